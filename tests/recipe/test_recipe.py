"""Recipes: mergekit's YAML in and out, parameter look-up, shares, and what is refused."""

from __future__ import annotations

import pytest
import yaml
from helpers.recipes import TIES

from mergesearch.errors import RecipeError
from mergesearch.recipe import Recipe


def test_yaml_round_trip_gives_an_equal_recipe_and_digest() -> None:
    recipe = Recipe.from_yaml(TIES)
    again = Recipe.from_yaml(recipe.to_yaml())
    assert again == recipe
    assert again.digest() == recipe.digest()
    assert recipe.parents() == ("base", "a", "b")
    assert recipe.last.dtype == "float16"


def test_digest_does_not_tell_1_from_1_point_0() -> None:
    recipe = Recipe.from_yaml("merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]")
    same = Recipe.from_yaml("models: [{parameters: {weight: 1.0}, model: a}]\nmerge_method: linear")
    other = Recipe.from_yaml("merge_method: linear\nmodels: [{model: a, parameters: {weight: 2}}]")
    assert recipe.digest() == same.digest() != other.digest()


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "a: 1\n---\nb: 2"])
def test_only_one_yaml_mapping_is_a_recipe(text: str) -> None:
    with pytest.raises(RecipeError):
        Recipe.from_yaml(text)


def test_a_seed_is_part_of_the_recipe_but_not_of_mergekit() -> None:
    plain = Recipe.from_yaml(TIES)
    seeded = Recipe.from_yaml(TIES + "seed: 3\n")
    assert Recipe.from_yaml(seeded.to_yaml()) == seeded
    assert seeded.digest() != plain.digest()
    assert "seed" not in plain.to_dict()
    assert "seed" not in yaml.safe_load(seeded.to_mergekit())
