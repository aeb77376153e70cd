"""Recipes made spaces: what is opened, how wide, and that the recipe itself stays in the space."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.recipe import Recipe
from mergesearch.space import Space
from mergesearch.space.document import value_at
from mergesearch.space.from_recipe import opened, openings
from mergesearch.space.holes import decimals, rounded, scaled
from mergesearch.space.ties import by_default, dimension_count

TIES: dict[str, Any] = {
    "merge_method": "ties",
    "base_model": "base",
    "models": [
        {"model": "a", "parameters": {"weight": 1.7, "density": 0.1}},
        {"model": "b", "parameters": {"weight": [0.2, 0.4, 0.9]}},
    ],
    "parameters": {"lambda": 0.8, "normalize": True},
}


def names(document: dict[str, Any]) -> list[str]:
    return [opening.name for opening in openings(document)]


def test_numbers_become_ranges_that_hold_them() -> None:
    space = opened(TIES, openings(TIES))
    assert space["models"][0]["parameters"] == {
        "weight": {"search": [0.0, 1.7]},
        "density": {"search": [0.1, 1.0]},
    }
    assert space["models"][1]["parameters"]["weight"] == {"search": [0.0, 1.5], "curve": 3}
    assert space["parameters"] == {"lambda": {"search": [0.5, 1.5]}, "normalize": True}
    assert len(Space(space).dimensions) == dimension_count(openings(TIES)) == 6


def test_filters_of_attention_and_mlp_become_groups() -> None:
    entries = [{"filter": "mlp", "value": 0.4}, {"filter": "self_attn", "value": 0.2}]
    document = TIES | {
        "models": [{"model": "a", "parameters": {"weight": [*entries, {"value": 1}]}}]
    }
    (weight,) = openings(document | {"parameters": {"normalize": False}})
    assert weight.hole == {"search": [0.0, 1.5], "per": ["mlp", "attn"]}
    assert dimension_count([weight]) == 3


def test_any_filter_and_any_gradient_becomes_holes() -> None:
    entries = [
        {"filter": "q_proj", "value": 0.4},
        {"filter": "mlp", "value": [0.2, 1.7, 0.3]},
        {"filter": "norm", "value": [0.6]},
        {"value": [1, 0.5]},
    ]
    document = {
        "merge_method": "linear",
        "models": [{"model": "a", "parameters": {"weight": entries}}, {"model": "b"}],
    }
    (weight,) = openings(document)
    search = [0.0, 1.7]
    assert weight.hole == [
        {"filter": "q_proj", "value": {"search": search}},
        {"filter": "mlp", "value": {"search": search, "curve": 3}},
        {"filter": "norm", "value": {"search": search}},
        {"value": {"search": search, "curve": 2}},
    ]
    assert dimension_count([weight]) == 7
    assert len(Space(opened(document, [weight])).dimensions) == 7


def test_the_scales_of_stacked_layers_are_opened() -> None:
    def stack(**parameters: Any) -> dict[str, Any]:
        sources = [{"model": "a", "layer_range": [0, 4], **parameters}]
        other = [{"model": "b", "layer_range": [2, 6]}]
        return {"merge_method": "passthrough", "slices": [{"sources": sources}, {"sources": other}]}

    assert names(stack()) == ["slice0.a.scale", "slice1.b.scale"]
    scale = [{"filter": "o_proj", "value": 0.7}, {"value": 1.0}]
    (found,) = openings(stack(parameters={"scale": scale}))
    assert found.hole == [
        {"filter": "o_proj", "value": {"search": [0.5, 1.5]}},
        {"value": {"search": [0.5, 1.5]}},
    ]


def test_ratios_that_nobody_wrote_are_there_too() -> None:
    linear = {"merge_method": "linear", "models": [{"model": "a"}, {"model": "b"}]}
    assert names(linear) == ["a.weight", "b.weight"]
    assert names(linear | {"models": [{"model": "a"}]}) == []
    slerp = {"merge_method": "slerp", "base_model": "a", "models": linear["models"]}
    assert names(slerp) == ["t"]
    assert opened(slerp, openings(slerp))["parameters"] == {"t": {"search": [0.0, 1.0]}}


def test_a_threshold_is_searched_around_its_size() -> None:
    document = {
        "merge_method": "nearswap",
        "base_model": "b",
        "models": [{"model": "a"}],
        "parameters": {"t": 0.0002},
    }
    (found,) = openings(document)
    assert found.hole["search"] == pytest.approx([0.00002, 0.002])
    gradient = document | {"parameters": {"t": [0.0002, 0.001]}}
    (found,) = openings(gradient)
    assert found.hole == {"search": pytest.approx([0.00002, 0.01]), "curve": 2}
    assert openings(document | {"parameters": {"t": [0.0, 0.001]}}) == []


def test_what_every_parent_has_of_its_own_is_not_opened_for_all() -> None:
    own = {"model": "a", "parameters": {"density": 0.4}}
    document = {
        "merge_method": "ties",
        "base_model": "base",
        "models": [own, {"model": "b"}],
        "parameters": {"density": 0.6},
    }
    assert names(document) == ["a.weight", "b.weight", "density", "a.density"]
    assert names(document | {"models": [own]}) == ["a.density"]
    own["parameters"] = {"density": [{"filter": "mlp", "value": 0.4}]}
    assert names(document | {"models": [own]}) == ["density", "a.density"]


@pytest.mark.parametrize(
    ("density", "epsilon", "search"),
    [(0.5, 0.15, (0.2, 0.845)), (0.5, 0.3, (0.302, 0.695)), (1.0, 0.15, None)],
)
def test_chances_of_della_stay_between_0_and_1(
    density: float, epsilon: float, search: tuple[float, float] | None
) -> None:
    """A density of 1 keeps everything, and nothing beside it is allowed."""
    document = {
        "merge_method": "della",
        "base_model": "base",
        "models": [{"model": "a", "parameters": {"density": density, "epsilon": epsilon}}],
        "parameters": {"normalize": False},
    }
    found = [value for value in openings(document) if value.parameter.name == "density"]
    assert [value.range for value in found] == ([] if search is None else [search])


def test_stages_are_opened_with_their_name() -> None:
    document = {
        "merge_method": "linear",
        "models": [{"model": "mix"}, {"model": "c"}],
        "stages": [TIES | {"name": "mix"}],
    }
    assert names(document) == [
        "mix.weight",
        "c.weight",
        "mix.a.weight",
        "mix.b.weight",
        "mix.lambda",
        "mix.a.density",
    ]


WEIGHTS = st.one_of(st.floats(-3, 3), st.lists(st.floats(-3, 3), min_size=1, max_size=4))
FILTERS = st.lists(
    st.fixed_dictionaries({"value": WEIGHTS, "filter": st.sampled_from(["mlp", "self_attn", "q"])}),
    max_size=3,
    unique_by=lambda entry: entry["filter"],
)


@given(
    st.sampled_from(["linear", "ties", "della", "slerp", "nuslerp"]),
    st.one_of(WEIGHTS, st.builds(lambda named, rest: [*named, {"value": rest}], FILTERS, WEIGHTS)),
    st.floats(0, 1),
    st.booleans(),
)
def test_the_recipe_stays_in_its_space(method: str, weight: Any, t: float, default: bool) -> None:
    """Its own numbers, rounded as a space rounds, are one point of the space."""
    own = {"weight": weight} if method != "slerp" else {}
    recipe = Recipe.from_dict(
        {
            "merge_method": method,
            "base_model": "a" if method == "slerp" else "base",
            "models": [{"model": "a", "parameters": own}, {"model": "b"}],
            "parameters": {"t": t} if method == "slerp" else {},
        }
    )
    document = recipe.to_dict()
    chosen = by_default(openings(document)) if default else openings(document)
    space = Space(opened(document, chosen))
    (start,) = space.starts()
    for value in chosen:
        holder = value_at(document, value.path[:-2])
        own = rounded(value.value, decimals(*value.range))
        named = holder.setdefault("parameters", {})
        named[value.path[-1]] = own if value.tie is None else scaled(value.value, 1.0)
    assert space.recipe(start) == Recipe.from_dict(document)
