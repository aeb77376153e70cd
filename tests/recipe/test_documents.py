"""Several documents that feed each other, and the old keys of published recipes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from helpers.recipes import LINEAR, ROUNDS

from mergesearch.errors import RecipeError
from mergesearch.recipe import Recipe


def test_the_document_that_none_uses_is_the_last_merge() -> None:
    recipe = Recipe.from_yaml(ROUNDS)
    assert recipe.last.method.name == "linear"
    assert recipe.stages() == ("first", "other")
    assert recipe.parents() == ("instruct", "reason", "base")
    assert recipe.last.refs == ("first", "other")


def test_stages_are_ordered_by_what_they_use() -> None:
    documents = [
        {"merge_method": "linear", "models": [{"model": "z"}]},
        {"name": "z", "merge_method": "linear", "models": [{"model": "y"}]},
        {"name": "y", "merge_method": "linear", "models": [{"model": "x"}, {"model": "p"}]},
        {"name": "x", "merge_method": "linear", "models": [{"model": "p"}]},
    ]
    recipe = Recipe.from_yaml(yaml.safe_dump_all(documents))
    assert recipe.stages() == ("x", "y", "z")
    assert recipe.parents() == ("p",)


def test_documents_survive_both_ways_out() -> None:
    recipe = Recipe.from_yaml(ROUNDS)
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert Recipe.from_yaml(recipe.to_yaml()).digest() == recipe.digest()
    renamed = recipe.renamed({"instruct": "/i"})
    assert renamed.parents() == ("/i", "reason", "base")


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([LINEAR, LINEAR], "no document uses the results of the unnamed one, the unnamed one"),
        ([LINEAR | {"name": "x"}, LINEAR], "no document uses the results of x, the unnamed one"),
        (
            [
                {"merge_method": "linear", "models": [{"model": "x"}]},
                LINEAR | {"name": "x", "models": [{"model": "y"}]},
                LINEAR | {"name": "y", "models": [{"model": "x"}]},
            ],
            "in a circle: ('x' -> 'y' -> 'x'|'y' -> 'x' -> 'y')",
        ),
        (
            [
                LINEAR | {"name": "x", "models": [{"model": "y"}]},
                LINEAR | {"name": "y", "models": [{"model": "x"}]},
            ],
            "in a circle",
        ),
        ([LINEAR | {"name": "x", "models": [{"model": "x"}]}], "'x' takes its own result"),
        (
            [
                {"merge_method": "linear", "models": [{"model": "x"}]},
                LINEAR | {"name": "x"},
                LINEAR | {"name": "x"},
            ],
            "two stages have the name 'x'",
        ),
        (
            [
                {"merge_method": "linear", "models": [{"model": "x"}]},
                LINEAR | {"name": "x", "quantize": "Q4_0"},
            ],
            "unknown key 'quantize'",
        ),
        ([LINEAR, 3], "not a mapping"),
    ],
)
def test_documents_that_lead_to_no_model(documents: list[Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_yaml(yaml.safe_dump_all(documents))


def test_an_unused_stage_is_refused() -> None:
    with pytest.raises(RecipeError, match="no document uses the stage 'x'"):
        Recipe.from_dict(LINEAR | {"stages": [LINEAR | {"name": "x"}]})


def chain(length: int, before: int = 1) -> dict[str, Any]:
    """A recipe of stages that each take the results of some before them."""
    stages = []
    for number in range(length):
        taken = [f"s{other}" for other in range(max(0, number - before), number)] or ["a"]
        models = [{"model": ref, "parameters": {"weight": 1}} for ref in taken]
        stages.append({"name": f"s{number}", "merge_method": "linear", "models": models})
    return {**stages.pop(), "stages": stages}


def test_more_stages_than_can_be_computed_are_refused() -> None:
    """A stage is computed again for each that takes it, inside the calls of that one."""
    assert len(Recipe.from_dict(chain(51)).stages()) == 50
    with pytest.raises(RecipeError, match="51 stages\n  expected: at most 50"):
        Recipe.from_dict(chain(52))
    assert len(Recipe.from_dict(chain(14, before=2)).stages()) == 13
    with pytest.raises(RecipeError, match="'s14' takes 1596 merges of the stages before it"):
        Recipe.from_dict(chain(40, before=2))
