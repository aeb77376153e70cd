"""How the tensors of a built-in architecture are stored in GGUF: names and the order of rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import gguf

from mergesearch.gguf.layout import BuiltInLayout, Shape
from mergesearch.gguf.rows import RowChange, Segment, StoredTensor

_EXPERT = re.compile(r"(?<=\.experts)\.\d+")


def gguf_names(layout: BuiltInLayout) -> dict[str, tuple[str, ...]]:
    """Return the GGUF names of every tensor, several where its rows are divided among them.

    They are keyed by Hugging Face names. The same matrix of all experts of a layer is one tensor of
    GGUF.
    """
    names = gguf.get_tensor_name_map(layout.arch, layout.n_layers)
    divided = {weight.name: weight.parts for weight in layout.family.weights if weight.parts}
    found = {}
    for name in layout.tensor_shapes():
        whole = next((weight for weight in divided if f".{weight}." in name), "")
        parts = [name.replace(whole, part) for part in divided[whole]] if whole else [name]
        mapped = [
            names.get_name(_EXPERT.sub("", part), try_suffixes=(".weight", ".bias"))
            for part in parts
        ]
        found[name] = tuple(str(stored) for stored in mapped if stored is not None)
        assert len(found[name]) == len(parts), name
    return found


def row_change(layout: BuiltInLayout, name: str) -> RowChange:
    """Return what the converter does to the rows of a tensor, by its Hugging Face name."""
    family = layout.family
    if name.endswith("norm.weight"):
        return RowChange(added=family.norm_shift)
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
            segments.setdefault(stored, []).append(segment)
    return [_stored(name, shapes, parts) for name, parts in segments.items()]


def _stored(name: str, shapes: Mapping[str, Shape], segments: Sequence[Segment]) -> StoredTensor:
    first = segments[0]
    shape = (first.stop - first.start, *shapes[first.name][1:])
    of_experts = _EXPERT.search(first.name) is not None
    return StoredTensor(name, (len(segments), *shape) if of_experts else shape, tuple(segments))
