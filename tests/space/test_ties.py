"""What is opened by default: few dimensions, whatever the size of the recipe."""

from __future__ import annotations

from typing import Any

import pytest

from mergesearch.methods import Parameter
from mergesearch.methods.declaration import Role
from mergesearch.recipe import Recipe
from mergesearch.space import Space
from mergesearch.space.from_recipe import SearchableValue, opened, openings
from mergesearch.space.ties import MOST, by_default, dimension_count

GRADIENT = [0.1, 0.4, 0.2, 0.9, 0.5]
FILTERED = [{"filter": "self_attn", "value": GRADIENT}, {"filter": "q_norm", "value": 0}]


def ties_of(models: int, weight: Any, slices: int = 0, **parameters: Any) -> dict[str, Any]:
    """A merge of many models onto a base, whole or slice by slice."""
    entries = [
        {"model": f"m{index}", "parameters": {"weight": weight} | parameters}
        for index in range(models)
    ]
    document: dict[str, Any] = {"merge_method": "ties", "base_model": "base"}
    if not slices:
        return document | {"models": entries}
    spans = [{"layer_range": [index * 2, index * 2 + 2]} for index in range(slices)]
    return document | {
        "slices": [
            {"sources": [{"model": "base", **span}, *(entry | span for entry in entries)]}
            for span in spans
        ]
    }


def test_the_rest_is_opened_while_it_is_few() -> None:
    few = by_default(openings(ties_of(2, 0.5, density=0.3)))
    assert [value.name for value in few] == ["m0.weight", "m1.weight", "m0.density", "m1.density"]
    many = by_default(openings(ties_of(8, 0.5, density=0.3)))
    assert {value.parameter.name for value in many} == {"weight"}
    assert dimension_count(many) == 8
    assert {value.tie for value in many} == {None}
    twelve = by_default(openings(ties_of(12, 0.5)))
    assert (dimension_count(twelve), {value.tie for value in twelve}) == (12, {None})


def test_details_are_not_opened_by_default() -> None:
    document = ties_of(2, 0.5, gamma=0.01) | {"merge_method": "breadcrumbs"}
    assert {value.parameter.name for value in openings(document)} == {"weight", "gamma"}
    assert {value.parameter.name for value in by_default(openings(document))} == {"weight"}


@pytest.mark.parametrize(
    ("role", "factors"),
    [("share", (0.0, 2.0)), ("strength", (0.5, 1.5)), ("detail", (0.5, 1.5))],
)
def test_what_multiplies_tied_values_follows_their_role(
    role: Role, factors: tuple[float, float]
) -> None:
    parameter = Parameter("x", 1.0, role=role)
    gradient = SearchableValue(("parameters", "x"), "", "", "", parameter, [0.5] * 13, (0.0, 1.0))
    (found,) = by_default([gradient])
    assert (found.tie, found.range) == ("x", factors)


@pytest.mark.parametrize(
    ("document", "ties"),
    [
        (ties_of(3, GRADIENT), ["m0.weight", "m1.weight", "m2.weight"]),
        (ties_of(2, [*FILTERED, {"value": 0.3}], slices=8), ["m0.weight", "m1.weight"]),
        (ties_of(20, 0.5), ["weight"]),
        (ties_of(20, GRADIENT, slices=3), ["weight"]),
    ],
)
def test_numbers_are_tied_where_they_are_many(document: dict[str, Any], ties: list[str]) -> None:
    """One number multiplies a value that keeps its shape, then all of a parent, then all."""
    document = Recipe.from_dict(document).to_dict()
    chosen = by_default(openings(document))
    assert list(dict.fromkeys(value.tie for value in chosen)) == ties
    space = Space(opened(document, chosen))
    assert [dimension.name for dimension in space.dimensions] == ties
    assert len(space.dimensions) == dimension_count(chosen) <= MOST
    assert space.starts() == [dict.fromkeys(ties, 1.0)]
    assert space.recipe(space.starts()[0]) == Recipe.from_dict(document)


def test_a_factor_keeps_values_in_their_range() -> None:
    """A t of 1 can only shrink, one of 0.8 grow to 1."""
    slerp = {
        "merge_method": "slerp",
        "base_model": "a",
        "models": [{"model": "a"}, {"model": "b"}],
        "parameters": {"t": [*[0.1] * 12, 0.8]},
    }
    (found,) = by_default(openings(slerp))
    assert found.hole == {"search": [0.0, 1.25], "times": [*[0.1] * 12, 0.8], "as": "t"}
    space = Space(opened(slerp, [found]))
    assert space.recipe({"t": 1.25}).last.parameters["t"] == (*[0.125] * 12, 1.0)


def test_zeros_that_nothing_would_change_stay() -> None:
    document = ties_of(14, 0.0)
    document["models"][3]["parameters"]["weight"] = 0.5
    assert {value.tie for value in by_default(openings(document))} == {"weight"}
    assert by_default(openings(ties_of(1, [0.0] * 13) | {"parameters": {"normalize": False}})) == []


def test_parameters_of_one_name_but_other_meanings_are_not_tied() -> None:
    """The t of slerp is a part, that of nearswap a threshold."""
    gradient = [0.5] * 7
    slerp = {
        "name": "mix",
        "merge_method": "slerp",
        "base_model": "a",
        "models": [{"model": "a"}, {"model": "b"}],
        "parameters": {"t": gradient},
    }
    document = {
        "merge_method": "nearswap",
        "base_model": "a",
        "models": [{"model": "mix"}],
        "parameters": {"t": gradient},
        "stages": [slerp],
    }
    found = by_default(openings(document))
    assert {(value.tie, value.range) for value in found} == {
        ("t", (0.1, 10.0)),
        ("mix.t", (0.0, 2.0)),
    }
