"""Whether parents can be merged: one architecture and the same shapes, but for the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from mergesearch.errors import CheckpointError
from mergesearch.gguf import EMBEDDING, HEAD, Layout, tensor_shapes


class _Parent(Protocol):
    layout: Layout


def check_compatible(parents: Mapping[str, _Parent], *, same_depth: bool = True) -> None:
    """Refuse parents of different architectures, tensors or shapes.

    Args:
        parents: by id; each is compared with the first.
        same_depth: whether all need the same number of layers.

    Raises:
        CheckpointError: naming the two parents and the first difference.
    """
    (first, one), *others = parents.items()
    for ref, other in others:
        mine, theirs = one.layout, other.layout
        if mine.arch != theirs.arch:
            raise _differ("architecture", first, mine.title, ref, theirs.title)
        if same_depth and mine.n_layers != theirs.n_layers:
            raise _differ("num_hidden_layers", first, mine.n_layers, ref, theirs.n_layers)
        _check_shapes(first, mine, ref, theirs)
        if (mine.n_heads, mine.n_kv_heads) != (theirs.n_heads, theirs.n_kv_heads):
            raise _differ("num_attention_heads", first, mine.n_heads, ref, theirs.n_heads)


def _check_shapes(first: str, one: Layout, ref: str, other: Layout) -> None:
    """Compare the tensors of the layers that both have.

    How many rows the vocabulary has, and whether the head is tied, may differ (`align`).
    """
    depth = min(one.n_layers, other.n_layers)
    mine, theirs = (tensor_shapes(replace(layout, n_layers=depth)) for layout in (one, other))
    for name in dict.fromkeys([*mine, *theirs]):
        own, given = mine.get(name), theirs.get(name)
        vocabulary = name in (EMBEDDING, HEAD)
        if own == given or (vocabulary and one.hidden == other.hidden):
            continue
        raise _differ(name, first, own or "absent", ref, given or "absent")


def _differ(what: str, first: str, mine: Any, ref: str, theirs: Any) -> CheckpointError:
    return CheckpointError(
        f"the parents differ in {what}: {mine} in {first}, {theirs} in {ref}",
        expected="fine-tunes of the same base",
    )
