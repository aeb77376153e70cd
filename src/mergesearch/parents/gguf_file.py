"""A parent in one GGUF file: its tensors dequantized by rows, under their Hugging Face names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import gguf
import numpy as np

from mergesearch._kernels.stored import Float, Stored
from mergesearch._system.documents import shown
from mergesearch.errors import CheckpointError
from mergesearch.gguf import (
    CONSTANTS,
    BuiltInLayout,
    RowChange,
    layer_of,
    stored_tensors,
    unused_names,
)
from mergesearch.gguf.config import config_of_gguf, has_predicting_layers
from mergesearch.gguf.fields import Fields
from mergesearch.gguf.file import GgufFile
from mergesearch.gguf.header import GgufTensor
from mergesearch.parents.parent import (
    PREDICTING,
    SHARING,
    StoredCheckpoint,
    TensorInfo,
    check_tensors,
    checked_layout,
)
from mergesearch.vocabulary import Tokenizer, tokenizer_from_gguf

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
class _Tensor(TensorInfo):
    """A tensor with its rows in the file, in order, and the change that the converter made."""

    pieces: tuple[_Piece, ...] = field(compare=False)
    change: RowChange = field(compare=False)


def _tensors(layout: BuiltInLayout, stored: Mapping[str, GgufTensor]) -> dict[str, _Tensor]:
    """Every tensor by its Hugging Face name; unknown ones by their own.

    One of another shape than the expected one stays as it is, so that it is refused.
    """
    shapes = layout.tensor_shapes()
    unknown, pieces = dict(stored), dict[str, list[_Piece]]()
    changes: dict[str, RowChange] = {}
    found: dict[str, _Tensor] = {}
    for expected in stored_tensors(layout):
        tensor = unknown.pop(expected.name, None)
        if tensor is None:
            continue
        if tensor.shape != expected.shape:
            found[expected.segments[0].name] = _as_it_is(tensor)
            continue
        at = 0
        for segment in expected.segments:
            piece = _Piece(tensor, at, segment.start, segment.stop)
            pieces.setdefault(segment.name, []).append(piece)
            changes[segment.name] = segment.change
            at += segment.stop - segment.start
    for name, parts in pieces.items():
        parts.sort(key=lambda piece: piece.start)
        if sum(piece.stop - piece.start for piece in parts) == shapes[name][0]:
            kind = parts[0].tensor.kind.name
            found.setdefault(name, _Tensor(shapes[name], kind, tuple(parts), changes[name]))
    return found | {name: _as_it_is(tensor) for name, tensor in unknown.items()}


def _as_it_is(tensor: GgufTensor) -> _Tensor:
    piece = _Piece(tensor, 0, 0, tensor.shape[0])
    return _Tensor(tensor.shape, tensor.kind.name, (piece,), RowChange())


class GgufCheckpoint(StoredCheckpoint):
    """A parent in a GGUF; see `Checkpoint`.

    `config` is made from the metadata; query and key rows that llama.cpp stores in another order
    come back in that of Hugging Face.
    """

    def __init__(self, ref: str, path: Path) -> None:
        self.ref = ref
        self._path = path
        self._file = file = GgufFile(path)
        _refuse_parts(file.fields)
        shapes = {name: tensor.shape for name, tensor in file.tensors.items()}
        self.config = config_of_gguf(file.fields, shapes, file.constants)
        # One matrix holds many experts; one without elements may claim to hold any number.
        n_tensors = sum(
            min(shape[0], math.prod(shape)) if len(shape) > 2 else 1 for shape in shapes.values()
        )
        self.layout = layout = checked_layout(self.config, n_tensors, path)
        tensors = _tensors(layout, file.tensors)
        shared = unused_names(layout) & set(tensors)
        ahead = [name for name in tensors if (layer_of(name) or 0) >= layout.n_layers]
        if not has_predicting_layers(file.fields):
            ahead = []  # they are refused by their names
        self.notes = [
            f"{len(names)} tensors {which}"
            for names, which in ((ahead, PREDICTING), (shared, SHARING))
            if names
        ]
        unused = {*CONSTANTS, *ahead, *shared}
        self.tensors: Mapping[str, _Tensor] = {
            name: tensor for name, tensor in tensors.items() if name not in unused
        }
        check_tensors(self.tensors, layout, path)

    @property
    def files(self) -> Mapping[str, Path]:
        """The file, which may have any name."""
        return {"model" + SUFFIX: self._path}

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer in the metadata; None where there is none."""
        fields = self._file.fields.values
        if gguf.Keys.Tokenizer.LIST not in fields:
            return None
        try:
            return tokenizer_from_gguf(fields, self._path)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                "the tokenizer in the metadata is damaged",
                where=self._path,
                fix="download the file again",
            ) from error

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return rows as float32: what is stored are blocks."""
        tensor, read = self.tensors[name], self._file.rows
        if len(tensor.shape) == 1:
            parts = [
                read(piece.tensor, 0, 1)[:, piece.at : piece.at + piece.stop - piece.start]
                for piece in tensor.pieces
            ]
            return tensor.change.from_gguf(_joined(parts, axis=1))
        together = tensor.change.together
        first, last = start // together * together, -(-stop // together) * together
        parts = [
            read(
                piece.tensor,
                piece.at + max(first, piece.start) - piece.start,
                piece.at + min(last, piece.stop) - piece.start,
            )
            for piece in tensor.pieces
            if piece.start < last and first < piece.stop
        ]
        return tensor.change.from_gguf(_joined(parts, axis=0))[start - first : stop - first]


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


def _refuse_parts(fields: Fields) -> None:
    """Refuse a part of a split model, and what is not a model."""
    if fields.get(gguf.Keys.Split.LLM_KV_SPLIT_COUNT) not in (None, 0, 1):
        raise CheckpointError(
            "a part of a split GGUF",
            where=fields.where,
            expected="the whole model in one file",
            fix="join the parts: llama-gguf-split --merge FIRST_PART OUTPUT",
        )
    kind = fields.get(gguf.Keys.General.TYPE)
    if kind not in (None, gguf.GGUFType.MODEL):
        raise CheckpointError(
            f"a GGUF of type {shown(kind)}", where=fields.where, expected="a whole model"
        )
