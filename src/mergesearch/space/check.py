"""What a space's document must be before recipes can be made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mergesearch._system.yaml_text import as_written
from mergesearch.errors import SpaceError
from mergesearch.recipe.parse import RECIPE_KEYS
from mergesearch.recipe.reading import Location, refuse_slip
from mergesearch.space.document import (
    choices_of,
    input_lists,
    location_of,
    merges_of,
    methods_of,
    parameter_mappings,
)
from mergesearch.space.holes import Dimension, Hole

_MOST_DIMENSIONS = 2000


def dimensions_of(
    holes: Sequence[Hole], document: Mapping[str, Any], where: str
) -> tuple[Dimension, ...]:
    """Return the dimensions of all holes, in order, those of tied holes once.

    Raises:
        SpaceError: There is no hole, two have the same name, or tied ones differ in what they
            propose.
    """
    if not holes:
        raise SpaceError(
            "nothing to search: the recipe has no hole",
            where=where,
            fix="put {search: [low, high]} where a number stands, or use `search build`",
        )
    found: dict[str, tuple[Dimension, bool]] = {}
    for hole in holes:
        if len(found) > _MOST_DIMENSIONS:
            raise SpaceError(f"more than {_MOST_DIMENSIONS} dimensions", where=where)
        for dimension in hole.dimensions():
            known, tied = found.setdefault(dimension.name, (dimension, False))
            if known is not dimension and not (tied and hole.tied):
                raise location_of(document, hole.path, where).error(
                    f"another hole has the name {dimension.name!r} already",
                    fix="give one of them a name of its own: {search: ..., as: NAME}",
                )
            if known != dimension:
                raise location_of(document, hole.path, where).error(
                    f"another hole {dimension.name!r} searches other values",
                    expected="the same where `as` is the same",
                )
            found[dimension.name] = dimension, hole.tied
    return tuple(dimension for dimension, _ in found.values())


def check_merges(document: Mapping[str, Any], where: str) -> None:
    """Refuse what no recipe of a space may hold; the rest is seen in its recipes.

    Raises:
        SpaceError: A key that is probably `start_from`, a hole in a parameter that no method takes,
            or a model that two inputs could be.
    """
    for path, merge in merges_of(document):
        location = location_of(document, path, where)
        for key in {*merge} - {*RECIPE_KEYS}:
            refuse_slip(f"unknown key {key!r}", key, (*RECIPE_KEYS, "start_from"), {}, location)
        _check_parameters(merge, location)
        _check_models(merge, location)


def _check_parameters(merge: Mapping[str, Any], location: Location) -> None:
    """Refuse a hole in a parameter that none of a merge's methods takes."""
    methods = methods_of(merge)
    if len(methods) < len(choices_of(merge.get("merge_method"))):
        return  # an unknown method is refused with the first recipe that has it
    known = {name for method in methods for name in method.by_name}
    for parameters in parameter_mappings(merge):
        for name, value in parameters.items():
            if name not in known and isinstance(value, dict) and "search" in value:
                raise location.error(
                    f"searching {name!r} has no effect", expected=", ".join(sorted(known))
                )


def _check_models(merge: Mapping[str, Any], location: Location) -> None:
    """Refuse what is not an input, and a model that two inputs of one list could be."""
    for path, inputs in input_lists(merge):
        inner = location / ".".join(map(str, path))
        for index, entry in enumerate(inputs):
            if not isinstance(entry, dict):
                raise (inner / index).error(
                    f"an input is {as_written(entry)}", expected="a mapping with `model`"
                )
        offered = [model for entry in inputs for model in choices_of(entry.get("model"))]
        for model in offered:
            if model is not None and offered.count(model) > 1:
                raise inner.error(
                    f"two inputs could be {model!r}",
                    expected="every model among the choices of one input only",
                )
