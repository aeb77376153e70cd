"""Where things stand in the document of a recipe or a space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mergesearch.methods import METHODS, Method
from mergesearch.recipe.documents import references

Place = tuple[str | int, ...]
"""Keys and indices from the top of a document."""


def own_copy(node: Any) -> Any:
    """Return a copy in which nothing stands in two places, as YAML's anchors may make it."""
    if isinstance(node, dict):
        return {key: own_copy(value) for key, value in node.items()}
    return [own_copy(value) for value in node] if isinstance(node, list) else node


def get(document: Any, place: Place) -> Any:
    """Return what stands at a place, None where nothing does."""
    for key in place:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def put(document: Any, place: Place, value: Any) -> None:
    """Put a value at a place."""
    for key in place[:-1]:
        document = document[key]
    document[place[-1]] = value


def choices(value: Any) -> list[Any]:
    """Return what may stand for a value: the choices of a hole, or the value alone."""
    if isinstance(value, dict) and isinstance(value.get("search"), list):
        return list(value["search"])
    return [value]


def merges(document: Mapping[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Every merge of a document with its place, stages first."""
    for index, stage in enumerate(document.get("stages", [])):
        yield ("stages", index), stage
    yield (), dict(document)


def methods_of(merge: Mapping[str, Any]) -> list[Method]:
    """Return the methods that a merge may have, unknown ones left out."""
    names = choices(merge.get("merge_method"))
    return [METHODS[name] for name in names if isinstance(name, str) and name in METHODS]


def input_lists(merge: Mapping[str, Any]) -> Iterator[tuple[Place, list[dict[str, Any]]]]:
    """Every list of inputs of one merge with its place in it."""
    if isinstance(merge.get("models"), list):
        yield ("models",), merge["models"]
    slices = merge.get("slices")
    for index, part in enumerate(slices if isinstance(slices, list) else []):
        if isinstance(part, dict) and isinstance(part.get("sources"), list):
            yield ("slices", index, "sources"), part["sources"]


def parameter_mappings(node: Any) -> Iterator[dict[str, Any]]:
    """Every `parameters` mapping of a merge, not those of stages under it."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "parameters" and isinstance(value, dict):
                yield value
            elif key != "stages":
                yield from parameter_mappings(value)
    elif isinstance(node, list):
        for one in node:
            yield from parameter_mappings(one)


def without_absent(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out, in place, inputs whose model is None, and stages that nothing uses then."""
    for _, merge in list(merges(document)):
        for _, inputs in input_lists(merge):
            inputs[:] = [one for one in inputs if one.get("model", "") is not None]
    stages: list[dict[str, Any]] = document.get("stages", [])
    while True:
        used = {ref for one in stages for ref in references(one)}
        used |= set(references({key: one for key, one in document.items() if key != "stages"}))
        kept = [one for one in stages if one.get("name") in used]
        if len(kept) == len(stages):
            break
        stages = kept
    if "stages" in document:
        document["stages"] = stages
        if not stages:
            del document["stages"]
    return document
