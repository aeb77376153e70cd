"""Whether parents can be merged: one architecture, the same shapes, the same vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from mergesearch.errors import CheckpointError
from mergesearch.gguf_layout import Layout, tensor_shapes
from mergesearch.gguf_vocab import read_tokenizer


class _Parent(Protocol):
    folder: Path
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
            raise _differ("architecture", first, mine.arch.name, ref, theirs.arch.name)
        if same_depth and mine.n_layers != theirs.n_layers:
            raise _differ("num_hidden_layers", first, mine.n_layers, ref, theirs.n_layers)
        _check_shapes(first, mine, ref, theirs)
        if (mine.n_heads, mine.n_kv_heads) != (theirs.n_heads, theirs.n_kv_heads):
            raise _differ("num_attention_heads", first, mine.n_heads, ref, theirs.n_heads)


def _check_shapes(first: str, one: Layout, ref: str, other: Layout) -> None:
    """Compare the tensors of the layers that both have."""
    depth = min(one.n_layers, other.n_layers)
    mine, theirs = (tensor_shapes(replace(layout, n_layers=depth)) for layout in (one, other))
    for name in dict.fromkeys([*mine, *theirs]):
        if mine.get(name) != theirs.get(name):
            raise _differ(name, first, mine.get(name, "absent"), ref, theirs.get(name, "absent"))


def check_vocabularies(parents: Mapping[str, _Parent]) -> None:
    """Refuse parents whose tokenizers give different tokens to the rows of the embedding.

    Parents without a tokenizer.json are not compared.

    Raises:
        CheckpointError: naming the two parents and the first token that differs.
    """
    found = {
        ref: _vocabulary(parent.folder)
        for ref, parent in parents.items()
        if (parent.folder / "tokenizer.json").is_file()
    }
    if not found:
        return
    (first, one), *others = found.items()
    for ref, other in others:
        if one == other:
            continue
        row = next(row for row in sorted(one | other) if one.get(row) != other.get(row))
        error = _differ(f"token {row}", first, repr(one.get(row)), ref, repr(other.get(row)))
        error.fix = "name the parent whose tokenizer the result keeps: tokenizer_source"
        raise error


def _vocabulary(folder: Path) -> dict[int, str]:
    """Every token's row and text."""
    document = read_tokenizer(folder)
    rows = {row: text for text, row in document["model"]["vocab"].items()}
    return rows | {one["id"]: one["content"] for one in document.get("added_tokens") or []}


def _differ(what: str, first: str, mine: Any, ref: str, theirs: Any) -> CheckpointError:
    return CheckpointError(
        f"the parents differ in {what}: {mine} in {first}, {theirs} in {ref}",
        expected="fine-tunes of the same base",
    )
