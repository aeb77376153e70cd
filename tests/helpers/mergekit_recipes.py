"""Short ways to write the recipes that are compared with mergekit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

GRADIENT = [0.1, 0.9, 0.4]
FILTERED = [
    {"filter": "self_attn", "value": [0.2, 1.1]},
    {"filter": "mlp.down_proj", "value": 0.35},
    {"value": 0.6},
]


def whole(method: str, weights: Sequence[Any], density: Any = None, **parameters: Any) -> Any:
    """A merge of the whole models a, b, ..., with a weight each, onto the base."""
    models = []
    for name, weight in zip("abc", weights, strict=False):
        own = {"weight": weight} | ({} if density is None else {"density": density})
        models.append({"model": name, "parameters": own})
    base = {} if method == "linear" else {"base_model": "base"}
    return {"merge_method": method, "models": models, "parameters": parameters} | base


def plain(
    method: str, parents: Sequence[str] = "ab", base: str | None = "base", **parameters: Any
) -> Any:
    """A merge of whole models without parameters of their own."""
    models = [{"model": parent} for parent in parents]
    document = {"merge_method": method, "models": models, "parameters": parameters}
    return document | ({} if base is None else {"base_model": base})


def without_base(document: Any) -> Any:
    return {key: value for key, value in document.items() if key != "base_model"}


def sliced(method: str, base: str | None, parameters: Any, ranges: list[Any]) -> Any:
    """A frankenmerge: a slice per pair of layer ranges of a and b."""
    slices = []
    for span_a, span_b in ranges:
        sources = [{"model": "a", "layer_range": span_a}, {"model": "b", "layer_range": span_b}]
        if method == "linear":
            for source, weight in zip(sources, (0.25, [0.5, 1.0]), strict=True):
                source["parameters"] = {"weight": weight}
        slices.append({"sources": sources})
    document = {"merge_method": method, "slices": slices, "parameters": parameters}
    return document | ({} if base is None else {"base_model": base})
