"""How the tensors of a built-in architecture are stored in GGUF: names and the order of rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import gguf

from mergesearch.gguf.family import EXPERT, Weight
from mergesearch.gguf.layout import BuiltInLayout, Shape
from mergesearch.gguf.names import layer_of
from mergesearch.gguf.rows import RowChange, Segment, StoredTensor

_EXPERT = re.compile(r"(?<=\.experts)\.\d+")


def gguf_names(layout: BuiltInLayout) -> dict[str, tuple[str, ...]]:
    """Return the GGUF names of every tensor, several where its rows are divided among them.

    They are keyed by Hugging Face names. The same matrix of all experts of a layer is one tensor of
    GGUF.
    """
    names = gguf.get_tensor_name_map(layout.arch, layout.n_layers)
    found = {}
    for name in layout.tensor_shapes():
        weight = weight_of(layout, name)
        parts = [name]
        if weight is not None and weight.parts:
            parts = [name.replace(weight.name, part) for part in weight.parts]
        mapped = [
            names.get_name(_EXPERT.sub("", part), try_suffixes=(".weight", ".bias"))
            for part in parts
        ]
        found[name] = tuple(str(stored) for stored in mapped if stored is not None)
        assert len(found[name]) == len(parts), name
    return found


def unused_names(layout: BuiltInLayout) -> set[str]:
    """Return the GGUF names of tensors that a file may hold and the model does not use."""
    unused = layout.unused_tensors()
    if not unused:
        return set()
    names = gguf.get_tensor_name_map(layout.arch, layout.n_layers)
    return {str(names.get_name(name, try_suffixes=(".weight",))) for name in unused}


def weight_of(layout: BuiltInLayout, name: str) -> Weight | None:
    """Return the declaration of a tensor, None outside the layers."""
    layer = layer_of(name)
    if layer is None:
        return None
    own = _EXPERT.sub(f".{EXPERT}", name).partition(f".{layer}.")[2]
    own = own.removesuffix(".weight").removesuffix(".bias")
    return next(weight for weight in layout.weights(layer) if weight.name == own)


def row_change(layout: BuiltInLayout, name: str) -> RowChange:
    """Return what the converter does to the rows of a tensor, by its Hugging Face name."""
    family = layout.family
    if name.endswith("linear_attn.norm.weight"):
        return RowChange()
    if name.endswith("norm.weight"):
        return RowChange(added=family.norm_shift)
    if name.endswith("A_log"):
        return RowChange(decay=True)
    weight = weight_of(layout, name)
    if weight is not None and weight.values == "columns":
        sizes = layout.sizes()
        groups = sizes["linear key heads"]
        return RowChange(grouped=(groups, sizes["linear heads"] // groups))
    turned = ".self_attn." in name and ("q_proj" in name or "k_proj" in name)
    return RowChange(together=layout.head_dim if family.permuted and turned else 1)


def stored_tensors(layout: BuiltInLayout) -> list[StoredTensor]:
    """Return every tensor of the GGUF in order, with the rows that it is made of."""
    shapes = layout.tensor_shapes()
    segments: dict[str, list[Segment]] = {}
    for name, parts in gguf_names(layout).items():
        rows, change = shapes[name][0] // len(parts), row_change(layout, name)
        for place, stored in enumerate(parts):
            segment = Segment(name, place * rows, (place + 1) * rows, change)
            segments.setdefault(stored, []).extend(_by_value_heads(layout, segment))
    return [_stored(name, shapes, parts) for name, parts in segments.items()]


def _by_value_heads(layout: BuiltInLayout, segment: Segment) -> Iterator[Segment]:
    """Cut rows of linear attention so that the first heads of values of all groups come first.

    Heads of values that share a head of keys are a group (`conversion/qwen.py`,
    `_reorder_v_heads`). They are the last rows of a tensor, one row each or `value_dim`.
    """
    weight = weight_of(layout, segment.name)
    if weight is None or weight.values != "rows":
        yield segment
        return
    sizes = layout.sizes()
    groups, heads = sizes["linear key heads"], sizes["linear heads"]
    if groups == heads:
        yield segment
        return
    rows = 1 if segment.stop == heads else sizes["linear head"]
    first = segment.stop - heads * rows
    if first:
        yield replace(segment, stop=first)
    of_group = heads // groups
    for head in range(of_group):
        for group in range(groups):
            start = first + (group * of_group + head) * rows
            yield replace(segment, start=start, stop=start + rows)


def _stored(name: str, shapes: Mapping[str, Shape], segments: Sequence[Segment]) -> StoredTensor:
    first = segments[0]
    shape = shapes[first.name]
    if _EXPERT.search(first.name) is not None:
        return StoredTensor(name, (len(segments), *shape), tuple(segments))
    rows = sum(segment.stop - segment.start for segment in segments)
    return StoredTensor(name, (rows, shape[-1]) if len(shape) > 1 else (rows,), tuple(segments))
