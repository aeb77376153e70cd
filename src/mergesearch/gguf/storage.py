"""How the tensors of a built-in architecture are stored in GGUF: names and the order of rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import gguf

from mergesearch.gguf.family import EXPERT, Weight
from mergesearch.gguf.layout import BuiltInLayout, Shape
from mergesearch.gguf.rows import RowChange, Segment, StoredTensor

_EXPERT = re.compile(r"(?<=\.experts)\.\d+")


def gguf_names(layout: BuiltInLayout) -> dict[str, tuple[str, ...]]:
    """Return the GGUF names of every tensor, several where its rows are divided among them.

    They are keyed by Hugging Face names. The same matrix of all experts of a layer is one tensor of
    GGUF.
    """
    names = gguf.get_tensor_name_map(layout.arch, layout.n_layers)
    found = {}
    for name, (weight, _) in layout.tensors().items():
        parts = [name.replace(weight.name, part) for part in weight.parts] or [name]
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


def stored_tensors(layout: BuiltInLayout) -> list[StoredTensor]:
    """Return every tensor of the GGUF in order, with the rows that it is made of."""
    names, tensors = gguf_names(layout), layout.tensors()
    segments: dict[str, list[Segment]] = {}
    for name, (weight, shape) in tensors.items():
        rows, change = shape[0] // len(names[name]), _row_change(layout, weight)
        for place, stored in enumerate(names[name]):
            segment = Segment(name, place * rows, (place + 1) * rows, change)
            segments.setdefault(stored, []).extend(_by_value_heads(layout, weight, segment))
    return [
        StoredTensor(stored, _stored_shape(*tensors[parts[0].name], parts), tuple(parts))
        for stored, parts in segments.items()
    ]


def _stored_shape(weight: Weight, shape: Shape, segments: Sequence[Segment]) -> Shape:
    if EXPERT in weight.name:
        return (len(segments), *shape)
    rows = sum(segment.stop - segment.start for segment in segments)
    return (rows, shape[-1]) if len(shape) > 1 else (rows,)


def _row_change(layout: BuiltInLayout, weight: Weight) -> RowChange:
    """What the converter does to the rows of a tensor."""
    if weight.name.endswith("norm") and weight.name != "linear_attn.norm":
        return RowChange(added=layout.family.norm_shift)
    if weight.name.endswith("A_log"):
        return RowChange(decay=True)
    if weight.values == "columns":
        sizes = layout.sizes()
        groups = sizes["linear key heads"]
        return RowChange(grouped=(groups, sizes["linear heads"] // groups))
    turned = weight.name in ("self_attn.q_proj", "self_attn.k_proj")
    return RowChange(together=layout.head_dim if layout.family.permuted and turned else 1)


def _by_value_heads(layout: BuiltInLayout, weight: Weight, segment: Segment) -> Iterator[Segment]:
    """Cut rows of linear attention so that the first heads of values of all groups come first.

    Heads of values that share a head of keys are a group (`conversion/qwen.py`,
    `_reorder_v_heads`). They are the last rows of a tensor, one row each or as many as a head has.
    """
    sizes = layout.sizes() if weight.values == "rows" else {}
    groups, heads = sizes.get("linear key heads"), sizes.get("linear heads")
    if groups is None or heads is None or groups == heads:
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
