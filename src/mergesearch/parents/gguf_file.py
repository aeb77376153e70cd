"""A parent in one GGUF file: its tensors dequantized by rows, under their Hugging Face names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np

from mergesearch._kernels.mapping import mapped_file
from mergesearch._kernels.stored import Float, Stored
from mergesearch._system.documents import check, shown
from mergesearch.errors import CheckpointError
from mergesearch.gguf import (
    CONSTANTS,
    BuiltInLayout,
    RowChange,
    layer_of,
    layout_of,
    row_change,
    stored_tensors,
    unused_names,
)
from mergesearch.gguf.config import config_of_gguf, has_predicting_layers
from mergesearch.gguf.dequantize import check_dequantizable, dequantized
from mergesearch.gguf.documents import MODEL_CONFIG
from mergesearch.gguf.fields import Fields
from mergesearch.gguf.header import GgufTensor, read_gguf_header
from mergesearch.parents.parent import TensorInfo, check_tensors
from mergesearch.parents.tokens import check_token_ids

if TYPE_CHECKING:
    from mergesearch.vocabulary import Tokenizer

SUFFIX = ".gguf"


@dataclass(frozen=True)
class _Piece:
    """Rows of a Hugging Face tensor that the file holds one after the other.

    Attributes:
        tensor: Tensor of the file that holds the rows.
        at: First row in that tensor; in vectors elements count as rows.
        start: First row in the Hugging Face tensor.
        stop: Row after the last one in the Hugging Face tensor.
    """

    tensor: GgufTensor
    at: int
    start: int
    stop: int


@dataclass(frozen=True)
class _Place:
    """Where a tensor is in the file.

    Attributes:
        shape: Shape of the tensor.
        pieces: Rows of the tensor, in order.
        change: Change that the converter made to the rows.
    """

    shape: tuple[int, ...]
    pieces: tuple[_Piece, ...]
    change: RowChange

    @property
    def dtype(self) -> str:
        """Type of the stored rows."""
        return str(self.pieces[0].tensor.kind.name)


def _places(layout: BuiltInLayout, tensors: Mapping[str, GgufTensor]) -> dict[str, _Place]:
    """The place of every tensor by its Hugging Face name; of unknown ones by their own.

    A tensor of the file that is not of the expected shape is its own place, so that it is refused.
    """
    shapes = layout.tensor_shapes()
    unknown, pieces = dict(tensors), dict[str, list[_Piece]]()
    places: dict[str, _Place] = {}
    for stored in stored_tensors(layout):
        tensor = unknown.pop(stored.name, None)
        if tensor is None:
            continue
        if tensor.shape != stored.shape:
            places[stored.segments[0].name] = _whole(tensor)
            continue
        at = 0
        for segment in stored.segments:
            piece = _Piece(tensor, at, segment.start, segment.stop)
            pieces.setdefault(segment.name, []).append(piece)
            at += segment.stop - segment.start
    for name, parts in pieces.items():
        parts.sort(key=lambda piece: piece.start)
        if sum(piece.stop - piece.start for piece in parts) == shapes[name][0]:
            places.setdefault(name, _Place(shapes[name], tuple(parts), row_change(layout, name)))
    return places | {name: _whole(tensor) for name, tensor in unknown.items()}


def _whole(tensor: GgufTensor) -> _Place:
    return _Place(tensor.shape, (_Piece(tensor, 0, 0, tensor.shape[0]),), RowChange())


class GgufCheckpoint:
    """A memory-mapped GGUF of any type that the kernels or `gguf` can dequantize.

    `config` is made from the metadata; query and key rows that llama.cpp stores in another order
    come back in that of Hugging Face.
    """

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
        fields = Fields(header.fields, path)
        constants = {
            name: self._read(header.tensors[name], 0, 1)[0]
            for name in CONSTANTS
            if name in header.tensors
        }
        self.config: dict[str, Any] = config_of_gguf(fields, shapes, constants)
        check(MODEL_CONFIG, self.config, path, CheckpointError)
        self.layout = layout_of(self.config, path)
        check_token_ids(self.config, self.layout.vocab_rows, path)
        self._places, self.notes = self._used(_places(self.layout, header.tensors))
        self.tensors: Mapping[str, TensorInfo] = {
            name: TensorInfo(place.shape, place.dtype) for name, place in self._places.items()
        }
        check_tensors(self.tensors, self.layout, path)

    def _used(self, places: Mapping[str, _Place]) -> tuple[dict[str, _Place], list[str]]:
        """The places of weights that are used, and what is said of those that are not."""
        layout = self.layout
        shared = unused_names(layout) & set(places)
        ahead = [name for name in places if (layer_of(name) or 0) >= layout.n_layers]
        if not has_predicting_layers(Fields(self._fields, self._path)):
            ahead = []  # they are refused by their names
        notes = []
        if ahead:
            notes.append(f"{len(ahead)} tensors that predict several tokens are left out")
        if shared:
            notes.append(
                f"{len(shared)} tensors are left out, of layers that share the keys of others"
            )
        unused = {*CONSTANTS, *ahead, *shared}
        return {name: place for name, place in places.items() if name not in unused}, notes

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
                "the tokenizer in the metadata is damaged",
                where=self._path,
                fix="download the file again",
            ) from error

    def rows(self, name: str, start: int, stop: int) -> Float:
        """Return rows as float32, shape `(stop - start, cols)`; a vector is one row."""
        place = self._places[name]
        if len(place.shape) == 1:
            parts = [
                self._read(piece.tensor, 0, 1)[:, piece.at : piece.at + piece.stop - piece.start]
                for piece in place.pieces
            ]
            return place.change.from_gguf(_joined(parts, axis=1))
        together = place.change.together
        first, last = start // together * together, -(-stop // together) * together
        parts = [
            self._read(
                piece.tensor,
                piece.at + max(first, piece.start) - piece.start,
                piece.at + min(last, piece.stop) - piece.start,
            )
            for piece in place.pieces
            if piece.start < last and first < piece.stop
        ]
        return place.change.from_gguf(_joined(parts, axis=0))[start - first : stop - first]

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return the same rows: what is stored are blocks."""
        return self.rows(name, start, stop)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Leave it to the system: dequantizing takes longer than reading."""

    def _read(self, tensor: GgufTensor, start: int, stop: int) -> Float:
        return dequantized(self._bytes, tensor, start, stop)


def _joined(parts: list[Float], axis: int) -> Float:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)


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
        raise CheckpointError(f"a GGUF of type {shown(kind)}", where=path, expected="a whole model")
