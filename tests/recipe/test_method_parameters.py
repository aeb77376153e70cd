"""What each method takes: which parameters, in which range, with or without a base."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mergesearch.errors import RecipeError
from mergesearch.methods import METHODS
from mergesearch.recipe import Recipe


def recipe(method: str, parents: str = "a", base: str | None = "base", **parameters: Any) -> Recipe:
    document: dict[str, Any] = {
        "merge_method": method,
        "models": [{"model": parent} for parent in parents],
        "parameters": parameters,
    }
    return Recipe.from_dict(document | ({} if base is None else {"base_model": base}))


@pytest.mark.mergekit
def test_parameters_are_those_of_mergekit() -> None:
    """By name and by whether a parent has its own; `int8_mask` is read with every method."""
    from mergekit.merge_methods import registered_methods

    theirs = {method.spec.name: method.spec for method in registered_methods()}
    ours = {name: method for name, method in METHODS.items() if method.in_mergekit}
    assert set(ours) == set(theirs)
    for name, method in ours.items():
        shared = {parameter.name for parameter in theirs[name].shared_parameters}
        own = {parameter.name for parameter in theirs[name].input_parameters}
        ignored = set(method.without_effect)
        assert set(method.shared) | ignored >= shared - {"int8_mask"}, name
        assert set(method.shared) <= shared, name
        assert set(method.per_parent) | ignored >= own, name
        assert set(method.per_parent) <= own, name


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        ("nearswap", "t", 3),
        ("nearswap", "t", "1e-4"),
        ("ram", "epsilon", 0.9),
        ("ramplus_tl", "epsilon", "1e-5"),
        ("ramplus_tl", "r", -0.5),
        ("ramplus_tl", "alpha", 7),
        ("multislerp", "eps", "1e-8"),
        ("karcher", "tol", 0),
    ],
)
def test_numbers_in_range(method: str, name: str, value: Any) -> None:
    assert recipe(method, **{name: value}).last.parameters == {name: float(value)}


def test_whole_numbers_stay_whole() -> None:
    for value in (50, 50.0, "50"):
        made = recipe("karcher", "ab", max_iter=[{"filter": "mlp", "value": value}, {"value": 3}])
        assert yaml.safe_load(made.to_yaml())["parameters"]["max_iter"][0]["value"] == 50
        assert "value: 50}" in made.to_yaml()


@pytest.mark.parametrize(
    ("method", "parents", "parameters", "message"),
    [
        ("nearswap", "a", {}, "nearswap has no default for `t`"),
        ("nearswap", "a", {"t": [{"filter": "mlp", "value": 1}]}, "no default for `t`"),
        ("nearswap", "a", {"t": -0.1}, "t -0.1 is out of range"),
        ("nearswap", "ab", {"t": 0.1}, "exactly one parent beside the base, 2 are named"),
        ("arcee_fusion", "ab", {}, "exactly one parent beside the base, 2 are named"),
        ("arcee_fusion", "a", {"t": 0.5}, "takes no parameter 't'"),
        ("slerp", "ab", {}, "exactly one parent beside the base, 2 are named"),
        ("slerp", "a", {"t": 1.5}, "t 1.5 is out of range"),
        ("ram", "a", {"epsilon": -1}, "epsilon -1 is out of range"),
        ("ram", "a", {"weight": 1}, "takes no parameter 'weight'"),
        ("ramplus_tl", "a", {"alpha": -1}, "alpha -1 is out of range"),
        ("karcher", "ab", {"max_iter": 1.5}, "max_iter 1.5 is not a whole number"),
        ("karcher", "ab", {"max_iter": [1, 9]}, "max_iter has no gradient"),
        ("karcher", "ab", {"max_iter": -1}, "max_iter -1 is out of range"),
        ("karcher", "ab", {"tol": -1}, "tol -1 is out of range"),
        ("multislerp", "ab", {"normalize_weights": 1}, "1 is not true or false"),
    ],
)
def test_wrong_parameters_are_refused(
    method: str, parents: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(method, parents, **parameters)


def test_a_slice_may_give_what_has_no_default() -> None:
    sources = [{"model": model, "layer_range": [0, 2]} for model in ("base", "a")]
    document = {
        "merge_method": "nearswap",
        "base_model": "base",
        "slices": [{"sources": sources, "parameters": {"t": 0.1}}, {"sources": sources}],
    }
    with pytest.raises(RecipeError, match="no default for `t`"):
        Recipe.from_dict(document)
    Recipe.from_dict(document | {"parameters": {"t": 0.2}})


def test_what_has_no_effect_is_read_and_left_out() -> None:
    """The same recipe, so the same digest."""
    plain = recipe("task_arithmetic", weight=0.5)
    assert recipe("task_arithmetic", weight=0.5, density=0.3, rescale=True) == plain


@pytest.mark.parametrize(
    ("method", "base", "parameters", "expected"),
    [
        ("karcher", None, {}, {"a": 1.0}),
        ("karcher", "base", {}, {"a": 0.5, "base": 0.5}),
        ("karcher", "a", {}, {"a": 1.0}),
        ("ram", "base", {}, {"a": 1.0, "base": 0.0}),
        ("ramplus_tl", "base", {}, {"a": 1.0, "base": 0.0}),
        ("nearswap", "base", {"t": 0.1}, {"a": 0.5, "base": 0.5}),
        ("arcee_fusion", "base", {}, {"a": 0.5, "base": 0.5}),
        ("slerp", "base", {"t": 0.3}, {"a": 0.3, "base": 0.7}),
        ("multislerp", None, {"weight": 0.4}, {"a": 1.0}),
        ("multislerp", "base", {"weight": 0.4}, {"a": 1.0, "base": 0.0}),
        (
            "multislerp",
            "base",
            {"weight": 0.4, "normalize_weights": False},
            {"a": 0.4, "base": 0.6},
        ),
    ],
)
def test_shares(
    method: str, base: str | None, parameters: dict[str, Any], expected: dict[str, float]
) -> None:
    assert recipe(method, "a", base, **parameters).shares(3) == pytest.approx(expected)


def test_mergekit_is_told_of_a_base_that_counts() -> None:
    """Karcher's mean takes a base as one more parent, a linear merge must not."""
    made = yaml.safe_load(recipe("karcher", "ab").to_mergekit())
    assert made["base_model"] == "base"
    assert "base_model" not in yaml.safe_load(recipe("linear", "ab").to_mergekit())


def test_mergekit_is_told_what_it_has_no_default_for() -> None:
    """Below what a parent or a slice says; nothing where all tensors have a value anyway."""
    document = {
        "merge_method": "ties",
        "base_model": "base",
        "models": [{"model": "a", "parameters": {"weight": 0.3}}, {"model": "b"}],
    }
    made = yaml.safe_load(Recipe.from_dict(document).to_mergekit())
    assert made["models"] == document["models"]
    assert made["parameters"] == {"weight": 1.0}
    assert yaml.safe_load(recipe("slerp").to_mergekit())["parameters"] == {"t": 0.5}
    assert yaml.safe_load(recipe("slerp", t=0.2).to_mergekit())["parameters"] == {"t": 0.2}
    assert "parameters" not in yaml.safe_load(recipe("sce").to_mergekit())
