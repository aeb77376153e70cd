"""Models named by mappings, as mergekit also reads them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mergesearch.errors import RecipeError
from mergesearch.recipe import Recipe
from mergesearch.space import Space


def _linear(*models: Any, **more: Any) -> dict[str, Any]:
    return {"merge_method": "linear", "models": [{"model": model} for model in models], **more}


@pytest.mark.parametrize(
    ("mapping", "string"),
    [
        ({"model": "org/a"}, "org/a"),
        ({"model": {"path": "org/a"}}, "org/a"),
        ({"path": "org/a", "revision": "v1"}, "org/a@v1"),
        ({"model": {"path": "org/a", "revision": "refs/pr/1"}}, "org/a@refs/pr/1"),
        ({"model": {"path": "a", "revision": None}, "lora": None}, "a"),
        ({"model": "a", "lora": "l"}, "a+l"),
        ({"model": "a", "lora": {"path": "org/l", "revision": "v2"}}, "a+org/l@v2"),
        ({"model": {"path": "c++/a"}}, "c%2B%2B/a"),
        ({"model": {"path": "a"}, "lora": {"path": "l+m@n"}}, "a+l%2Bm%40n"),
        ({"model": {"path": "a"}, "override_architecture": None}, "a"),
    ],
)
def test_a_mapping_is_the_string_that_stands_for_it(mapping: Any, string: str) -> None:
    assert Recipe.from_dict(_linear(mapping, "b")).parents() == (string, "b")


def test_a_mapping_may_stand_wherever_a_model_is_named() -> None:
    a, b = {"model": {"path": "a"}}, {"model": {"path": "b", "revision": "r"}}
    document = _linear(a, b, base_model=a, context_source=b, tokenizer={"source": b})
    document["tokenizer"]["tokens"] = {
        "<x>": {"source": b},
        "<y>": {"source": {"kind": "model_token", "model": b, "token": "<x>"}},
    }
    written = yaml.safe_load(Recipe.from_dict(document).to_yaml())
    assert written["base_model"] == "a"
    assert written["context_source"] == "b@r"
    assert written["tokenizer"]["source"] == "b@r"
    assert written["tokenizer"]["tokens"]["<x>"] == {"source": "b@r"}
    assert written["tokenizer"]["tokens"]["<y>"]["source"]["model"] == "b@r"


def test_choices_of_a_space_may_be_mappings() -> None:
    hole = {"search": [{"model": {"path": "a"}, "lora": "l"}, "b", None]}
    space = Space({"merge_method": "linear", "models": [{"model": hole}, {"model": "c"}]})
    assert space.dimensions[0].choices == ("a+l", "b", None)
    assert space.parents() == ("a+l", "b", "c")


def test_documents_may_feed_each_other_by_mappings() -> None:
    text = """
name: first
merge_method: linear
models: [{model: a}]
---
merge_method: linear
models: [{model: {model: {path: first}}}, {model: b}]
"""
    assert Recipe.from_yaml(text).stages() == ("first",)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"model": "a", "adapter": "l"}, "unknown key 'adapter'"),
        ({"model": {"path": 3}}, "`path` 3 is not a string"),
        ({"model": {"revision": "r"}}, "a model needs `path`"),
        ({"model": 7}, "7 is not a mapping"),
        ({"model": "a", "override_architecture": "X"}, "`override_architecture` is not supported"),
    ],
)
def test_other_mappings_are_refused(mapping: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(_linear(mapping))


@pytest.mark.mergekit
def test_exports_name_the_models_that_mergekit_reads() -> None:
    """A `+` or `@` in a path is in a mapping, since mergekit would cut a string there."""
    from mergekit.config import MergeConfiguration

    models = [
        {"model": {"path": "x/c++", "revision": "v1"}, "lora": {"path": "l@m"}},
        {"model": {"path": "org/a", "revision": "v2"}, "lora": "l"},
    ]
    exported = yaml.safe_load(Recipe.from_dict(_linear(*models)).to_mergekit())
    first, second = (entry.model for entry in MergeConfiguration.model_validate(exported).models)
    assert (first.model.path, first.model.revision, first.lora.path) == ("x/c++", "v1", "l@m")
    assert (second.model.path, second.model.revision, second.lora.path) == ("org/a", "v2", "l")
    assert exported["models"][1]["model"] == "org/a@v2+l"
