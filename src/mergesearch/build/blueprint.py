"""A GGUF of one parent, made by any converter, as the blueprint of merges of its architecture.

How the weights are stored is derived from it and proved tensor by tensor on that parent; metadata
and vocabulary are copied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import gguf
from gguf import GGMLQuantizationType as Type

from mergesearch._kernels.stored import Float
from mergesearch._system.documents import shown, state_of
from mergesearch.build.contents import Contents
from mergesearch.build.explain import Matrix, ReadRows, explanation, joined_rows
from mergesearch.errors import CheckpointError
from mergesearch.gguf import (
    CONSTANTS,
    GENERAL_NAME,
    Segment,
    StoredTensor,
    layer_of,
    with_layer,
)
from mergesearch.gguf.fields import Fields
from mergesearch.gguf.file import GgufFile
from mergesearch.gguf.pack import Metadata, Section
from mergesearch.merge import MergedModel
from mergesearch.merge.config import CONTEXT_KEYS, output_config
from mergesearch.parents import Checkpoint
from mergesearch.quantize.mix import ModelTraits, traits_of

_Field = tuple[str, Any, gguf.GGUFValueType]

_GENERAL = (
    "architecture",
    "type",
    "name",
    "size_label",
    "sampling.",
    "quantization_version",
    "file_type",
)
_KEPT_GENERAL = tuple(f"general.{key}" for key in _GENERAL)
_DROPPED = ("general.", "split.", "quantize.")


@dataclass(frozen=True)
class Blueprint:
    """What one converted parent says about every merge of its architecture.

    Attributes:
        path: Path of the file.
        parent: Parent that it was converted from.
        traits: Traits that the types of the tensors depend on.
        fields: Metadata to copy.
        constants: Vectors to copy, by name.
        tensors: How the weights are stored, in the order of the file.
    """

    path: Path
    parent: Checkpoint
    traits: ModelTraits
    fields: Sequence[_Field]
    constants: Mapping[str, Float]
    tensors: Sequence[StoredTensor]

    def contents(self, merged: MergedModel) -> Contents:
        """Return what a merge's GGUF holds beside the merged values.

        Raises:
            CheckpointError: The merge has other tensors, tokens or context settings than the
                parent that the template was converted from.
        """
        tensors = self._with_layers(merged.layers)
        self._check(merged, tensors)
        own = self._changed(merged)
        traits = replace(self.traits, n_layers=len(merged.layers))
        return Contents(traits, partial(self._metadata, own), self.constants, tensors)

    def _with_layers(self, layers: Sequence[int]) -> Sequence[StoredTensor]:
        """How the weights of layers are stored that are each like one of the template's."""
        n_layers = self.traits.n_layers
        if list(layers) == list(range(n_layers)):
            return self.tensors
        beyond = [layer for layer in layers if layer >= n_layers]
        if beyond:
            raise self._refuse(f"a layer like number {beyond[0]}", f"one of {n_layers} layers")
        of_layers = [
            _of_layer(tensor, layer)
            for layer, kind in enumerate(layers)
            for tensor in self.tensors
            if layer_of(tensor.name) == kind
        ]
        outside = [tensor for tensor in self.tensors if layer_of(tensor.name) is None]
        before = list(takewhile(lambda tensor: layer_of(tensor.name) is None, self.tensors))
        return [*before, *of_layers, *outside[len(before) :]]

    def _changed(self, merged: MergedModel) -> dict[str, Any]:
        """Metadata that is not the template's: number and kinds of layers, the chat template."""
        layers, n_layers = list(merged.layers), self.traits.n_layers
        changed: dict[str, Any] = {}
        if layers != list(range(n_layers)):
            lists = {
                key: value
                for key, value, _ in self.fields
                if isinstance(value, list) and len(value) == n_layers and ".tokenizer" not in key
            }
            self._check_kinds(layers, bool(lists))
            count = next(key for key, _, _ in self.fields if key.endswith(".block_count"))
            changed = {key: [value[layer] for layer in layers] for key, value in lists.items()}
            changed[count] = len(layers)
            changed[gguf.Keys.General.SIZE_LABEL] = self._size_label(merged)
        template, own = (model.tokenizer for model in (merged, self.parent))
        if template and own and template.chat_template != own.chat_template:
            changed[gguf.Keys.Tokenizer.CHAT_TEMPLATE] = template.chat_template or ""
        return changed

    def _size_label(self, merged: MergedModel) -> str:
        """The size in the name that llama.cpp gives a model; of experts only the sum is known."""
        weights = sum(math.prod(shape) for shape in merged.layout.tensor_shapes().values())
        total = weights + sum(values.size for values in self.constants.values())
        return str(gguf.size_label(total, total, 0, 0))

    def _check_kinds(self, layers: Sequence[int], listed: bool) -> None:
        """Refuse layers of another kind in a place for which llama.cpp alone knows the kind."""
        kinds = self.parent.config.get("layer_types") or []
        if listed or len(set(kinds)) < 2:
            return
        for layer, like in enumerate(layers):
            if layer >= len(kinds) or kinds[layer] != kinds[like]:
                raise self._refuse(
                    f"layer {layer} is like number {like}, a {kinds[like]}",
                    "layers of the kinds of the template, which llama.cpp knows by their places",
                )

    def _metadata(
        self,
        changed: Mapping[str, Any],
        file_type: gguf.LlamaFileType,
        label: Mapping[str, Any],
    ) -> list[Section]:
        own = {
            gguf.Keys.General.QUANTIZATION_VERSION: gguf.GGML_QUANT_VERSION,
            gguf.Keys.General.FILE_TYPE: int(file_type),
        }
        named = {gguf.Keys.General.NAME: GENERAL_NAME} | dict(changed)
        keys = Metadata()
        for key, value, kind in self.fields:
            keys.add(key, own.pop(key, named.get(key, value)), kind)
        for key, value in (own | dict(label)).items():
            keys.add(key, value)
        return [keys.packed()]

    def _check(self, merged: MergedModel, tensors: Sequence[StoredTensor]) -> None:
        shapes = merged.layout.tensor_shapes()
        expected = self.parent.layout.with_layers(merged.layers).tensor_shapes()
        used = {segment.name for tensor in tensors for segment in tensor.segments}
        for name in sorted(used):
            if shapes.get(name) != expected[name]:
                raise self._refuse(f"{name} has the shape {shapes.get(name)}", expected[name])
        wanted = output_config(self.parent, self.parent, merged.layers)
        for key in CONTEXT_KEYS:
            if merged.config.get(key) != wanted.get(key):
                found = merged.config.get(key)
                raise self._refuse(state_of(key, found), shown(wanted.get(key)))
        expected_tokenizer, tokenizer = self.parent.tokenizer, merged.tokenizer
        if expected_tokenizer and tokenizer and tokenizer.tokens != expected_tokenizer.tokens:
            raise self._refuse("the merge has another vocabulary", "that of the template")

    def _refuse(self, what: str, expected: Any) -> CheckpointError:
        return CheckpointError(
            what,
            where=self.path,
            expected=f"{expected}, as in {self.parent.ref}, which the template was converted from",
            fix="convert a parent of this recipe, the base where there is one",
        )


def _of_layer(tensor: StoredTensor, layer: int) -> StoredTensor:
    """How a tensor is stored, in another layer."""
    segments = tuple(
        replace(segment, name=with_layer(segment.name, layer)) for segment in tensor.segments
    )
    return replace(tensor, name=with_layer(tensor.name, layer), segments=segments)


def read_blueprint(path: Path, parents: Mapping[str, Checkpoint]) -> Blueprint:
    """Read a template and prove it on the parent that it was converted from.

    Args:
        parents: Parents of the merge, opened as they are found; one of them was converted.

    Raises:
        CheckpointError: The file is not a GGUF, or has tensors that no parent explains.
    """
    file = GgufFile(path)
    failures: list[_Unexplained] = []
    for parent in parents.values():
        try:
            tensors = _derive(file, parent)
        except _Unexplained as failure:
            failures.append(failure)
            continue
        return Blueprint(path, parent, _traits(file.fields), _kept(file), file.constants, tensors)
    nearest = max(failures, key=lambda failure: failure.explained)
    raise CheckpointError(
        f"{nearest.name}: {nearest.reason} of {nearest.ref}",
        where=path,
        expected="a GGUF that was converted from one of the parents, and a way of storing weights"
        " that can be derived: other names, orders of rows, joined, cut or transposed tensors,"
        " added whole numbers",
    )


@dataclass(eq=False)
class _Unexplained(Exception):
    """A tensor of the template that a parent does not explain, and how many it does."""

    name: str
    reason: str
    ref: str
    explained: int


def _derive(file: GgufFile, parent: Checkpoint) -> list[StoredTensor]:
    """How every tensor of the GGUF is made from a parent's, the smallest tensors first."""
    named = _names(file.fields, parent)
    found: dict[str, tuple[Segment, ...]] = {}
    patterns: dict[str, tuple[str, ...]] = {}
    weights = [name for name in file.tensors if name not in CONSTANTS]
    for name in sorted(weights, key=lambda name: math.prod(file.tensors[name].shape)):
        tensor = file.tensors[name]
        read = partial(file.rows, tensor)
        target = _matrix(name, tensor.shape, read, len(tensor.shape) == 1, tensor.kind)
        layer = layer_of(name)
        pattern = name if layer is None else with_layer(name, 0)
        likely = named.get(name, patterns.get(pattern, ()))
        if layer is not None:
            likely = tuple(with_layer(source, layer) for source in likely)
        sources = _sources(parent, layer, target.cols == 1)
        first = [sources[source] for source in likely if source in sources]
        segments, reason = _explain(target, first, sources)
        if segments is None:
            raise _Unexplained(name, reason, parent.ref, len(found))
        found[name] = segments
        patterns[pattern] = tuple(dict.fromkeys(segment.name for segment in segments))
    return [StoredTensor(name, file.tensors[name].shape, found[name]) for name in weights]


def _explain(
    target: Matrix, likely: Sequence[Matrix], sources: Mapping[str, Matrix]
) -> tuple[tuple[Segment, ...] | None, str]:
    """The segments of a tensor, or the reason why there are none.

    What converters usually make of these names, or what held in another layer, is tried first.
    """
    if len(likely) == 1 and (segments := explanation(target, likely[0])):
        return segments, ""
    if len(likely) > 1 and (segments := joined_rows(target, likely)):
        return segments, ""
    ways = [way for source in sources.values() if (way := explanation(target, source))]
    if len(ways) > 1:
        return None, f"{ways[0][0].name} and {ways[1][0].name} explain it alike in the weights"
    alike = [source for source in sources.values() if source.cols == target.cols]
    return ways[0] if ways else joined_rows(
        target, alike
    ), "its values are not found in the weights"


def _names(fields: Fields, parent: Checkpoint) -> dict[str, tuple[str, ...]]:
    """The Hugging Face names that llama.cpp's converter usually gives GGUF names."""
    known = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    if str(fields.arch) not in known:
        return {}
    table = gguf.get_tensor_name_map(known[fields.arch], _layers(fields))
    pairs = [
        (table.get_name(name, try_suffixes=(".weight", ".bias")), name) for name in parent.tensors
    ]
    return {stored: (name,) for stored, name in pairs if stored is not None}


def _sources(parent: Checkpoint, layer: int | None, vectors: bool) -> dict[str, Matrix]:
    """The tensors of a layer, or of none, as matrices by their names."""
    return {
        name: _matrix(name, info.shape, partial(parent.rows, name), vectors)
        for name, info in parent.tensors.items()
        if layer_of(name) == layer and vectors == (math.prod(info.shape[:-1]) == 1)
    }


def _matrix(
    name: str, shape: tuple[int, ...], read: ReadRows, vector: bool, kind: Type = Type.F32
) -> Matrix:
    """A tensor as rows to compare; a vector as one column."""
    if not vector:
        return Matrix(name, math.prod(shape[:-1]), shape[-1], read, kind)
    return Matrix(
        name, shape[-1], 1, lambda start, stop: read(0, 1)[0, start:stop].reshape(-1, 1), kind
    )


def _kept(file: GgufFile) -> list[_Field]:
    """The metadata to copy: all but what concerns the file itself or the parent by name."""
    return [
        (key, value, file.kinds[key])
        for key, value in file.fields.values.items()
        if not key.startswith(_DROPPED) or key.startswith(_KEPT_GENERAL)
    ]


def _traits(fields: Fields) -> ModelTraits:
    """What the choice of types depends on."""
    heads = fields.get(gguf.Keys.Attention.HEAD_COUNT)
    groups = fields.get(gguf.Keys.Attention.HEAD_COUNT_KV)
    experts = gguf.Keys.LLM.EXPERT_COUNT
    n_experts = 0 if fields.get(experts) is None else fields.whole(experts, 0)
    return traits_of(
        str(fields.arch), _layers(fields), n_experts, grouped=groups not in (None, heads)
    )


def _layers(fields: Fields) -> int:
    return fields.whole(gguf.Keys.LLM.BLOCK_COUNT, 1)
