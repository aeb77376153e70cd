"""Spaces that no recipe can be made of."""

from __future__ import annotations

import pytest
import yaml
from helpers.spaces import SPACE

from mergesearch.errors import InputError, SpaceError
from mergesearch.recipe import Recipe
from mergesearch.space import Space


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("merge_method", {"search": ["linear", "magic"]}, "unknown merge_method 'magic'"),
        ("merge_method", {"search": ["ties"]}, "is not a search"),
        ("dtype", {"search": ["float32", "float16"]}, "cannot be searched"),
        ("base_model", {"search": [0, 1]}, "not a list of choices"),
        ("base_model", {"search": ["x", None]}, "not a list of choices"),
        ("start_from", "parents", "is not a start"),
        ("start_from", [{"ratio": {"c": 1}}], "start_from.0.ratio: unknown parent 'c'"),
        ("start_from", [{"ratio": {"a": -1}}], "start_from.0.ratio: {a: -1} is not a ratio"),
        ("parameters", {"lambda": {"search": [1, 1]}}, "is empty"),
        ("parameters", {"lambda": {"search": [0, 1], "step": 1}}, "unknown key 'step'"),
        ("parameters", {"lambda": {"search": [0, 1], "per": ["head"]}}, "not a list of groups"),
        ("parameters", {"lambda": {"search": [0, 1], "curve": 0}}, "curve 0 is not a number"),
        ("parameters", {"speed": {"search": [0, 1]}}, "searching 'speed' has no effect"),
        ("parameters", {"density": {"search": [0, 2]}}, "out of range"),
        ("start_form", [], "did you mean `start_from`"),
        ("modelz", [], "did you mean `models`"),
    ],
)
def test_wrong_spaces_are_refused_by_name(key: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Space(yaml.safe_load(SPACE) | {key: value})


def test_a_recipe_is_not_a_space() -> None:
    with pytest.raises(SpaceError, match="nothing to search"):
        Space.from_yaml("merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]")


def test_messages_name_what_a_space_may_hold() -> None:
    document = yaml.safe_load(SPACE)
    with pytest.raises(SpaceError, match="start_from"):
        Space(document | {"start_form": []})
    document["models"][0]["parameters"]["weight"] = {"serach": [0, 1]}
    with pytest.raises(SpaceError, match=r"\{search: \[low, high\]\}"):
        Space(document)
    with pytest.raises(InputError, match="this is a search space"):
        Recipe.from_yaml(SPACE)


def test_two_inputs_must_not_offer_the_same_model() -> None:
    document = yaml.safe_load("""
merge_method: linear
models: [{model: {search: [a, b]}}, {model: {search: [b, null]}}]
""")
    with pytest.raises(SpaceError, match="two inputs could be 'b'"):
        Space(document)


def test_the_fewest_inputs_must_still_make_a_merge() -> None:
    with pytest.raises(SpaceError, match="needs a list with at least one entry"):
        Space.from_yaml("""
merge_method: linear
models: [{model: {search: [a, null]}}, {model: {search: [b, null]}}]
""")
