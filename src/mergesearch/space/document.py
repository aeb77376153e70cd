"""Where things stand in the document of a recipe or a space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mergesearch.errors import SpaceError
from mergesearch.methods import METHODS, Method
from mergesearch.recipe.reading import IN_STAGE, Location
from mergesearch.recipe.references import references

KeyPath = tuple[str | int, ...]
"""Keys and indices that lead from the top of a document to a value."""


def location_of(document: Mapping[str, Any], path: KeyPath, where: str) -> Location:
    """Return the location of a value, in a stage by the stage's name.

    Args:
        document: Document of the space.
        path: Path to the value in it.
        where: Name of the document.
    """
    if path[:1] == ("stages",):
        where, path = f"{where}{IN_STAGE}{document['stages'][path[1]].get('name')}", path[2:]
    location = Location(where, SpaceError)
    return location / ".".join(map(str, path)) if path else location


def own_copy(node: Any) -> Any:
    """Return a copy without objects that are in two places, as YAML's anchors make them."""
    if isinstance(node, dict):
        return {key: own_copy(value) for key, value in node.items()}
    return [own_copy(value) for value in node] if isinstance(node, list) else node


def value_at(document: Any, path: KeyPath) -> Any:
    """Return the value at a path, None where there is none."""
    for key in path:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def put_at(document: Any, path: KeyPath, value: Any) -> None:
    """Put a value at a path."""
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def containers(node: Any) -> Iterator[Any]:
    """Yield a document and every mapping and list in it."""
    if isinstance(node, dict | list):
        yield node
        for value in node.values() if isinstance(node, dict) else node:
            yield from containers(value)


def choices_of(value: Any) -> list[Any]:
    """Return what may stand for a value: the choices of a hole, or the value alone."""
    if isinstance(value, dict) and isinstance(value.get("search"), list):
        return list(value["search"])
    return [value]


def merges_of(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Every merge of a document with its path, stages first."""
    for index, stage in enumerate(document.get("stages", [])):
        yield ("stages", index), stage
    yield (), {key: value for key, value in document.items() if key != "stages"}


def methods_of(merge: Mapping[str, Any]) -> list[Method]:
    """Return the methods that a merge may have, unknown ones left out."""
    names = choices_of(merge.get("merge_method"))
    return [METHODS[name] for name in names if isinstance(name, str) and name in METHODS]


def input_lists(merge: Mapping[str, Any]) -> Iterator[tuple[KeyPath, list[dict[str, Any]]]]:
    """Every list of inputs of one merge with its path in it."""
    if isinstance(merge.get("models"), list):
        yield ("models",), merge["models"]
    slices = merge.get("slices")
    path: KeyPath = ("slices",)
    if isinstance(slices, dict):
        slices, path = slices.get("of"), ("slices", "of")
    for index, part in enumerate(slices if isinstance(slices, list) else []):
        if isinstance(part, dict) and isinstance(part.get("sources"), list):
            yield (*path, index, "sources"), part["sources"]


def parameter_mappings(merge: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every `parameters` mapping of a merge."""
    for container in containers(merge):
        if isinstance(container, dict) and isinstance(container.get("parameters"), dict):
            yield container["parameters"]


def leave_out_other_methods(document: Mapping[str, Any], space: Mapping[str, Any]) -> None:
    """Leave out, in place, the parameters of methods that the space offers but the recipe lacks.

    Args:
        space: Document of the space that it fills.
    """
    for path, merge in merges_of(document):
        offered = methods_of(value_at(space, path))
        others = {name for method in offered for name in method.by_name}
        others -= {name for method in methods_of(merge) for name in method.by_name}
        for parameters in parameter_mappings(merge):
            for name in others & {*parameters}:
                del parameters[name]


def leave_out_absent_models(document: dict[str, Any]) -> None:
    """Leave out, in place, inputs whose model is None, and stages that nothing uses then."""
    for _, merge in merges_of(document):
        for _, inputs in input_lists(merge):
            inputs[:] = [entry for entry in inputs if entry.get("model", "") is not None]
    stages: list[dict[str, Any]] = document.pop("stages", [])
    while True:
        used = {ref for merge in (*stages, document) for ref in references(merge)}
        kept = [stage for stage in stages if stage.get("name") in used]
        if len(kept) == len(stages):
            break
        stages = kept
    if stages:
        document["stages"] = stages
