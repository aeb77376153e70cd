"""A GGUF of one parent, made by any converter, as the template of merges of its architecture.

How the weights are stored is derived from it and proved tensor by tensor on that parent; metadata
and vocabulary are copied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from mergesearch.build.contents import Contents
from mergesearch.build.explain import Matrix, explanation, joined
from mergesearch.errors import CheckpointError
from mergesearch.gguf import (
    CONSTANTS,
    GENERAL_NAME,
    Part,
    StoredTensor,
    layer_of,
    tensor_shapes,
    with_layer,
)
from mergesearch.gguf.dequantize import check_dequantizable, dequantized
from mergesearch.gguf.header import GgufHeader, GgufTensor, read_gguf_header
from mergesearch.gguf.pack import Keys, packed_keys
from mergesearch.merge import MergePlan
from mergesearch.merge.config import CONTEXT_KEYS
from mergesearch.parents import Checkpoint
from mergesearch.quantize.mix import Model
from mergesearch.vocabulary import tokens_of

Float = npt.NDArray[np.float32]
_Field = tuple[str, Any, gguf.GGUFValueType, gguf.GGUFValueType | None]

_GENERAL = ("type", "name", "size_label", "sampling.", "quantization_version", "file_type")
_KEPT_GENERAL = tuple(f"general.{one}" for one in _GENERAL)
_DROPPED = ("general.", "split.", "quantize.")


@dataclass(frozen=True)
class Blueprint:
    """What a template says about every merge of its architecture.

    Attributes:
        path: the file.
        parent: the one that it was converted from.
        arch: GGUF's name of the architecture.
        model: what the choice of types depends on.
        fields: the metadata to copy.
        constants: vectors to copy, by name.
        tensors: how the weights are stored, in the order of the file.
    """

    path: Path
    parent: Checkpoint
    arch: str
    model: Model
    fields: Sequence[_Field]
    constants: Mapping[str, Float]
    tensors: Sequence[StoredTensor]

    def contents(self, plan: MergePlan) -> Contents:
        """Return what a merge's GGUF holds beside the merged values.

        Raises:
            CheckpointError: the merge has other tensors, tokens or context settings than the
                parent that the template was converted from.
        """
        self._check(plan)
        return Contents(self.arch, self.model, self._keys, self.constants, self.tensors)

    def _keys(self, file_type: gguf.LlamaFileType) -> list[Keys]:
        writer = gguf.GGUFWriter(None, self.arch)
        own = {
            gguf.Keys.General.QUANTIZATION_VERSION: gguf.GGML_QUANT_VERSION,
            gguf.Keys.General.FILE_TYPE: int(file_type),
        }
        named = {gguf.Keys.General.NAME: GENERAL_NAME}
        for key, value, kind, element in self.fields:
            value = own.pop(key, named.get(key, value))
            writer.add_key_value(key, value, kind, sub_type=element)
        for key, value in own.items():
            writer.add_uint32(key, value)
        return [packed_keys(writer)]

    def _check(self, plan: MergePlan) -> None:
        shapes, expected = tensor_shapes(plan.layout), tensor_shapes(self.parent.layout)
        for name in {part.name for one in self.tensors for part in one.parts}:
            if shapes.get(name) != expected[name]:
                raise self._refuse(f"{name} has the shape {shapes.get(name)}", expected[name])
        for key in CONTEXT_KEYS:
            mine, theirs = plan.config.get(key), self.parent.config.get(key)
            if mine != theirs:
                raise self._refuse(f"config.json: {key} is {mine}", theirs)
        ours = plan.tokenizer and tokens_of(plan.tokenizer)
        if self.parent.tokenizer and ours and ours != tokens_of(self.parent.tokenizer):
            raise self._refuse("the merge has another vocabulary", "that of the template")

    def _refuse(self, what: str, expected: Any) -> CheckpointError:
        return CheckpointError(
            what,
            where=self.path,
            expected=f"{expected}, as in {self.parent.ref}, which the template was converted from",
            fix="convert a parent of this recipe, the base where there is one",
        )


def read_blueprint(path: Path, parents: Mapping[str, Checkpoint]) -> Blueprint:
    """Read a template and prove it on the parent that it was converted from.

    Args:
        path: the GGUF.
        parents: those of the merge, opened as they are found; one of them was converted.

    Raises:
        CheckpointError: not a GGUF, or tensors that no parent explains.
    """
    header = read_gguf_header(path)
    arch = str(header.fields.get(gguf.Keys.General.ARCHITECTURE))
    for name, one in header.tensors.items():
        check_dequantizable(name, one.kind, path)
    data = np.memmap(path, dtype=np.uint8, mode="r")
    constants = {
        name: dequantized(data, one, 0, 1)[0]
        for name, one in header.tensors.items()
        if name in CONSTANTS
    }
    failures: list[_Unexplained] = []
    for parent in parents.values():
        try:
            tensors = _derive(header, arch, data, parent)
        except _Unexplained as failure:
            failures.append(failure)
            continue
        fields, model = _fields(header), _model(header, arch)
        return Blueprint(path, parent, arch, model, fields, constants, tensors)
    nearest = max(failures, key=lambda one: one.explained)
    raise CheckpointError(
        f"{nearest.name}: {nearest.reason} of {nearest.ref}",
        where=path,
        expected="a GGUF that was converted from one of the parents, and a way of storing weights"
        " that can be derived: other names, orders of rows, joined, cut or transposed tensors,"
        " added whole numbers",
    )


class _Unexplained(Exception):
    """A tensor of the template that a parent does not explain."""

    def __init__(self, name: str, reason: str, ref: str, explained: int) -> None:
        super().__init__(name)
        self.name = name
        self.reason = reason
        self.ref = ref
        self.explained = explained


def _derive(
    header: GgufHeader, arch: str, data: npt.NDArray[np.uint8], parent: Checkpoint
) -> list[StoredTensor]:
    """How every tensor of the template is made from a parent's."""
    named = _names(arch, parent, header)
    found: dict[str, tuple[Part, ...]] = {}
    patterns: dict[str, tuple[str, ...]] = {}
    weights = [name for name in header.tensors if name not in CONSTANTS]
    for name in sorted(weights, key=lambda one: math.prod(header.tensors[one].shape)):
        target = _stored_matrix(name, header.tensors[name], data)
        layer = layer_of(name)
        pattern = name if layer is None else with_layer(name, 0)
        first = named.get(name, patterns.get(pattern, ()))
        if layer is not None:
            first = tuple(with_layer(one, layer) for one in first)
        sources = _sources(parent, layer, target.cols == 1)
        parts, reason = _explain(target, [sources[one] for one in first if one in sources], sources)
        if parts is None:
            raise _Unexplained(name, reason, parent.ref, len(found))
        found[name] = parts
        patterns[pattern] = tuple(dict.fromkeys(part.name for part in parts))
    return [StoredTensor(name, header.tensors[name].shape, found[name]) for name in weights]


def _explain(
    target: Matrix, likely: Sequence[Matrix], sources: Mapping[str, Matrix]
) -> tuple[tuple[Part, ...] | None, str]:
    """The parts of a tensor, or the reason why there are none.

    What converters usually make of these names, or what held in another layer, is tried first.
    """
    if len(likely) == 1 and (parts := explanation(target, likely[0])):
        return parts, ""
    if len(likely) > 1 and (parts := joined(target, likely)):
        return parts, ""
    ways = [parts for one in sources.values() if (parts := explanation(target, one))]
    if len(ways) > 1:
        return None, f"{ways[0][0].name} and {ways[1][0].name} explain it alike in the weights"
    alike = [one for one in sources.values() if one.cols == target.cols]
    parts = ways[0] if ways else joined(target, alike)
    return parts, "its values are not found in the weights"


def _names(arch: str, parent: Checkpoint, header: GgufHeader) -> dict[str, tuple[str, ...]]:
    """GGUF names -> the Hugging Face names that llama.cpp's converter usually gives them."""
    known = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    if arch not in known:
        return {}
    table = gguf.get_tensor_name_map(known[arch], _count(header, f"{arch}.block_count"))
    pairs = [
        (table.get_name(name, try_suffixes=(".weight", ".bias")), name) for name in parent.tensors
    ]
    return {stored: (name,) for stored, name in pairs if stored is not None}


def _sources(parent: Checkpoint, layer: int | None, vectors: bool) -> dict[str, Matrix]:
    """The tensors of a layer, or of none, as matrices by their names."""
    return {
        name: _source(parent, name, info.shape)
        for name, info in parent.tensors.items()
        if layer_of(name) == layer and vectors == (math.prod(info.shape[:-1]) == 1)
    }


def _source(parent: Checkpoint, name: str, shape: tuple[int, ...]) -> Matrix:
    rows, cols = math.prod(shape[:-1]), shape[-1]
    if rows == 1:
        return Matrix(name, cols, 1, lambda a, b: parent.rows(name, 0, 1)[0, a:b].reshape(-1, 1))
    return Matrix(name, rows, cols, lambda a, b: parent.rows(name, a, b))


def _stored_matrix(name: str, one: GgufTensor, data: npt.NDArray[np.uint8]) -> Matrix:
    rows, cols = math.prod(one.shape[:-1]), one.shape[-1]
    if len(one.shape) == 1:
        return Matrix(
            name,
            cols,
            1,
            lambda a, b: dequantized(data, one, 0, 1)[0, a:b].reshape(-1, 1),
            one.kind,
        )
    return Matrix(name, rows, cols, lambda a, b: dequantized(data, one, a, b), one.kind)


def _fields(header: GgufHeader) -> list[_Field]:
    """The metadata to copy: all but what concerns the file itself or the parent by name."""
    return [
        (key, value, *header.kinds[key])
        for key, value in header.fields.items()
        if not key.startswith(_DROPPED) or key.startswith(_KEPT_GENERAL)
    ]


def _model(header: GgufHeader, arch: str) -> Model:
    """What the choice of types depends on (`src/models/llama.cpp` and `qwen2.cpp`)."""
    layers = _count(header, f"{arch}.block_count")
    heads, groups = (header.fields.get(f"{arch}.attention.head_count{one}") for one in ("", "_kv"))
    grouped = arch == "qwen2" or (arch == "llama" and groups not in (None, heads))
    experts = int(header.fields.get(f"{arch}.expert_count", 0))
    return Model(layers, experts, wide_groups=layers == 80 and grouped)


def _count(header: GgufHeader, key: str) -> int:
    value = header.fields.get(key)
    if not isinstance(value, int) or value < 1:
        raise CheckpointError(f"{key} is {value!r}", expected="a positive whole number")
    return value
