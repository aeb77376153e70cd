"""A parent in one GGUF file: its tensors dequantized by rows, under their Hugging Face names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import numpy.typing as npt

from mergesearch._kernels.mapping import mapped_file
from mergesearch._kernels.stored import Stored
from mergesearch._system.documents import check
from mergesearch.errors import CheckpointError
from mergesearch.gguf import (
    ROPE_FACTORS,
    BuiltInLayout,
    RowChange,
    layout_of,
    stored_tensors,
)
from mergesearch.gguf.config import config_of_gguf
from mergesearch.gguf.dequantize import check_dequantizable, dequantized
from mergesearch.gguf.documents import MODEL_CONFIG
from mergesearch.gguf.header import GgufTensor, read_gguf_header
from mergesearch.parents.parent import TensorInfo, check_tensors

if TYPE_CHECKING:
    from mergesearch.vocabulary import Tokenizer

SUFFIX = ".gguf"


@dataclass(frozen=True)
class _Place:
    """Where a tensor is in the file.

    Attributes:
        tensor: Tensor of the file that holds it.
        shape: Shape `(cols,)` or `(rows, cols)` of it alone.
        start: First of its rows in the tensor.
        change: Change that the converter made to its rows.
    """

    tensor: GgufTensor
    shape: tuple[int, ...]
    start: int = 0
    change: RowChange = field(default_factory=RowChange)


def _places(layout: BuiltInLayout, tensors: Mapping[str, GgufTensor]) -> dict[str, _Place]:
    """The place of every tensor by its Hugging Face name; of unknown ones by their own.

    A tensor of the file that holds several, such as all experts, has to be of that shape.
    """
    places = {name: _Place(tensor, tensor.shape) for name, tensor in tensors.items()}
    for stored in stored_tensors(layout):
        tensor = tensors.get(stored.name)
        if tensor is None:
            continue
        del places[stored.name]
        several, at = len(stored.segments) > 1, 0
        for segment in stored.segments:
            rows = segment.stop - segment.start
            own = (rows, *tensor.shape[-1:]) if several and tensor.shape == stored.shape else None
            places[segment.name] = _Place(tensor, own or tensor.shape, at, segment.change)
            at += rows
    return places


class GgufCheckpoint:
    """A memory-mapped GGUF of any type that the kernels or `gguf` can dequantize.

    `config` is made from the metadata; query and key rows that llama.cpp stores in another order
    come back in that of Hugging Face.
    """

    notes = ()

    def __init__(self, ref: str, path: Path) -> None:
        self.ref = ref
        self._path = path
        header = read_gguf_header(path)
        self._fields = header.fields
        _refuse_parts(header.fields, path)
        for name, tensor in header.tensors.items():
            check_dequantizable(name, tensor.kind, path)
        shapes = {name: tensor.shape for name, tensor in header.tensors.items()}
        self._bytes = mapped_file(path)
        factors = header.tensors.get(ROPE_FACTORS)
        self.config: dict[str, Any] = config_of_gguf(
            header.fields, shapes, None if factors is None else self._read(factors, 0, 1)[0], path
        )
        check(MODEL_CONFIG, self.config, path, CheckpointError)
        self.layout = layout_of(self.config, path)
        tensors = {name: tensor for name, tensor in header.tensors.items() if name != ROPE_FACTORS}
        self._places = _places(self.layout, tensors)
        self.tensors: Mapping[str, TensorInfo] = {
            name: TensorInfo(place.shape, place.tensor.kind.name)
            for name, place in self._places.items()
        }
        check_tensors(self.tensors, self.layout, path)

    @property
    def files(self) -> dict[str, Path]:
        """The file, which may have any name."""
        return {"model" + SUFFIX: self._path}

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer in the metadata; None where there is none."""
        from mergesearch.vocabulary import tokenizer_from_gguf

        if gguf.Keys.Tokenizer.LIST not in self._fields:
            return None
        try:
            return tokenizer_from_gguf(self._fields, self._path)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"the tokenizer in the metadata is damaged: {type(error).__name__}: {error}",
                where=self._path,
                fix="download the file again",
            ) from error

    def rows(self, name: str, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return rows as float32, shape `(stop - start, cols)`; a vector is one row."""
        place = self._places[name]
        if len(place.shape) == 1:
            return place.change.from_gguf(self._read(place.tensor, start, stop))
        together = place.change.together
        first, last = start // together * together, -(-stop // together) * together
        block = self._read(place.tensor, place.start + first, place.start + last)
        return place.change.from_gguf(block)[start - first : stop - first]

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return the same rows: what is stored are blocks."""
        return self.rows(name, start, stop)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Leave it to the system: dequantizing takes longer than reading."""

    def _read(self, tensor: GgufTensor, start: int, stop: int) -> npt.NDArray[np.float32]:
        return dequantized(self._bytes, tensor, start, stop)


def gguf_inside(path: Path) -> Path | None:
    """Return the GGUF that a path means, None where it means a folder of safetensors.

    Raises:
        CheckpointError: It is another file, or a folder with several GGUFs and nothing else.
    """
    if not path.is_dir():
        if path.suffix.lower() == SUFFIX:
            return path
        raise CheckpointError("not a parent", where=path, expected="a folder, or a GGUF file")
    files = sorted(path.glob("*" + SUFFIX))
    if not files or any(path.glob("*.safetensors")):
        return None
    if len(files) > 1:
        raise CheckpointError(
            f"{len(files)} GGUF files",
            where=path,
            expected="one",
            fix=f"name the file itself, such as {files[0]}",
        )
    return files[0]


def _refuse_parts(fields: Mapping[str, Any], path: Path) -> None:
    """Refuse a part of a split model, and what is not a model."""
    if fields.get(gguf.Keys.Split.LLM_KV_SPLIT_COUNT, 1) not in (0, 1):
        raise CheckpointError(
            "a part of a split GGUF",
            where=path,
            expected="the whole model in one file",
            fix="join the parts: llama-gguf-split --merge FIRST_PART OUTPUT",
        )
    kind = fields.get(gguf.Keys.General.TYPE, gguf.GGUFType.MODEL)
    if kind != gguf.GGUFType.MODEL:
        raise CheckpointError(f"a GGUF of type {kind!r}", where=path, expected="a whole model")
