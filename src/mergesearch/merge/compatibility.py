"""Whether parents can be merged: one architecture and the same shapes, but for the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mergesearch.errors import CheckpointError
from mergesearch.gguf import EMBEDDING, HEAD, BuiltInLayout, Layout
from mergesearch.parents import Checkpoint


def check_compatible(parents: Mapping[str, Checkpoint], *, same_depth: bool = True) -> None:
    """Refuse parents of different architectures, tensors or shapes.

    Args:
        parents: Parents by id; each is compared with the first.
        same_depth: Whether all need the same number of layers.

    Raises:
        CheckpointError: Names the two parents and the first difference.
    """
    first, *others = ((ref, parent.layout) for ref, parent in parents.items())
    for other in others:
        difference = _first_difference(first[1], other[1], same_depth)
        if difference is not None:
            what, expected, found = difference
            raise CheckpointError(
                f"the parents differ in {what}: {expected} in {first[0]}, {found} in {other[0]}",
                expected="fine-tunes of the same base",
            )


def _first_difference(
    first: Layout, second: Layout, same_depth: bool
) -> tuple[str, Any, Any] | None:
    """What two parents differ in, and how it is in each."""
    if first.title != second.title:
        return "architecture", first.title, second.title
    if same_depth and first.n_layers != second.n_layers:
        return "num_hidden_layers", first.n_layers, second.n_layers
    if (difference := _first_other_shape(first, second)) is not None:
        return difference
    if (first.n_heads, first.n_kv_heads) != (second.n_heads, second.n_kv_heads):
        return "num_attention_heads", first.n_heads, second.n_heads
    return None


def _first_other_shape(first: Layout, second: Layout) -> tuple[str, Any, Any] | None:
    """The first tensor of the layers that both have whose shapes differ.

    The number of rows of the vocabulary may differ, and whether the head is tied (`vocabulary`).
    """
    depth = min(first.n_layers, second.n_layers)
    expected, found = (
        layout.with_layers(range(depth)).tensor_shapes() for layout in (first, second)
    )
    vocabulary = (
        (EMBEDDING, HEAD)
        if isinstance(first, BuiltInLayout) and first.hidden == second.hidden
        else ()
    )
    for name in dict.fromkeys([*expected, *found]):
        if expected.get(name) != found.get(name) and name not in vocabulary:
            return name, expected.get(name, "absent"), found.get(name, "absent")
    return None
