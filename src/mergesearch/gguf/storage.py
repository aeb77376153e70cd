"""How the tensors of a built-in architecture are stored in GGUF: names and the order of rows."""

from __future__ import annotations

import re

import gguf

from mergesearch.gguf.layout import BuiltInLayout
from mergesearch.gguf.rows import RowChange, Segment, StoredTensor

_EXPERT = re.compile(r"(?<=\.experts)\.\d+")


def gguf_names(layout: BuiltInLayout) -> dict[str, str]:
    """Return the GGUF name of every tensor, keyed by its Hugging Face name.

    The same matrix of all experts of a layer is one tensor of GGUF.
    """
    names = gguf.get_tensor_name_map(layout.arch, layout.n_layers)
    found = {}
    for name in layout.tensor_shapes():
        mapped = names.get_name(_EXPERT.sub("", name), try_suffixes=(".weight", ".bias"))
        assert mapped is not None, name
        found[name] = mapped
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
    sources: dict[str, list[str]] = {}
    for name, stored in gguf_names(layout).items():
        sources.setdefault(stored, []).append(name)
    tensors = []
    for stored, names in sources.items():
        shape = shapes[names[0]]
        of_experts = _EXPERT.search(names[0]) is not None
        segments = [Segment(name, 0, shape[0], row_change(layout, name)) for name in names]
        whole = (len(names), *shape) if of_experts else shape
        tensors.append(StoredTensor(stored, whole, tuple(segments)))
    return tensors
