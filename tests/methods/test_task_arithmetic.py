"""The task-arithmetic family: what composes it, and that its random members repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.blockwise import merge
from helpers.parents import make_family
from helpers.plain import noise

from mergesearch.errors import RecipeError
from mergesearch.merge import MergedModel, plan_merge
from mergesearch.methods import METHODS
from mergesearch.parents import open_parents
from mergesearch.recipe import Recipe

RNG = np.random.default_rng(7)
BASE, A, B = (RNG.standard_normal((6, 8)).astype(np.float32) for _ in range(3))
NAME = "model.layers.1.mlp.up_proj.weight"
SPARSE = ("dare_linear", "dare_ties", "della_linear", "della", "breadcrumbs", "breadcrumbs_ties")


def test_dare_linear_by_its_formula() -> None:
    """Masks of the keys' random numbers, no rescaling: base + lambda * sum(w m d)."""
    masks = [
        (noise(key, 0, BASE.size) < density * 2**32).reshape(BASE.shape)
        for key, density in ((1, 0.5), (2, 0.25))
    ]
    expected = BASE + 0.9 * (0.5 * masks[0] * (A - BASE) + 0.8 * masks[1] * (B - BASE))
    values = {"weight": (0.5, 0.8), "density": (0.5, 0.25), "lambda": 0.9, "rescale": False}
    found = merge("dare_linear", BASE, A, B, noise_keys=(1, 2), **values)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", SPARSE)
def test_at_density_one_members_are_task_arithmetic_or_ties(method: str) -> None:
    values = {"weight": (0.5, 0.8), "normalize": False, "rescale": True}
    plain = "ties" if method == "della" or "_ties" in method else "task_arithmetic"
    expected = merge(plain, BASE, A, B, **values)
    found = merge(method, BASE, A, B, noise_keys=(1, 2), gamma=(0.1, 0.1), **values)
    assert np.array_equal(found, expected)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_family(tmp_path_factory.mktemp("family"))


def merged(family: dict[str, str], method: str, inputs: str = "ab", **change: Any) -> MergedModel:
    """A merge of parents named a and b, wherever their folders are."""
    models = [{"model": name, "parameters": {"density": 0.5}} for name in inputs]
    document = {"merge_method": method, "base_model": "base", "models": models} | change
    recipe = Recipe.from_dict(document)
    opened = open_parents(recipe.renamed(family).parents())
    return plan_merge(recipe, {name: opened[family[name]] for name in recipe.parents()})


def whole(model: MergedModel, name: str = NAME) -> np.ndarray:
    return model.rows(name, 0, model.tensors[name].rows)


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della_linear", "della"])
def test_random_merges_repeat_by_rows_in_any_order(method: str, family: dict[str, str]) -> None:
    expected = whole(merged(family, method))
    again = merged(family, method)
    rows = len(expected)
    parts = [again.rows(NAME, at, min(at + 5, rows)) for at in reversed(range(0, rows, 5))]
    assert np.array_equal(np.concatenate(parts[::-1]), expected)
    assert not np.array_equal(whole(merged(family, method, seed=1)), expected)


def test_each_parent_has_its_own_mask_whatever_its_place(family: dict[str, str]) -> None:
    """The order of the parents leaves their masks as they are."""
    keys = [merged(family, "dare_linear", order).tensors[NAME].noise_keys for order in ("ab", "ba")]
    assert keys[0] == keys[1][::-1]
    assert keys[0][0] != keys[0][1]


def test_one_parent_with_density_one_is_base_plus_lambda_delta(family: dict[str, str]) -> None:
    """The published first stages: della, density 1, weight 1, lambda 0.9, normalize."""
    models = [{"model": "a", "parameters": {"density": 1, "weight": 1}}]
    parameters = {"lambda": 0.9, "normalize": True, "int8_mask": True}
    made = merged(family, "della", models=models, parameters=parameters)
    assert len(made.tensors) > 10
    opened = open_parents([family["base"], family["a"]])
    for tensor in made.tensors.values():
        base, a = (opened[family[x]].rows(tensor.name, 0, tensor.rows) for x in ("base", "a"))
        expected = (a - base) * np.float32(0.9) + base
        assert np.array_equal(whole(made, tensor.name), expected)


@pytest.mark.parametrize(("density", "epsilon"), [(0.9, 0.15), (0.1, 0.1), (0.5, 0.5)])
def test_chances_beyond_zero_and_one_are_refused(
    density: float, epsilon: float, family: dict[str, str]
) -> None:
    models = [{"model": "a", "parameters": {"density": density, "epsilon": epsilon}}]
    with pytest.raises(RecipeError, match=f"density {density} with epsilon {epsilon}"):
        merged(family, "della", models=models)


def test_defaults_of_normalize_and_rescale() -> None:
    """As in mergekit: normalized are ties and della, rescaled the random ones."""
    defaults = {
        method: {parameter.name: parameter.default for parameter in METHODS[method].parameters}
        for method in ("task_arithmetic", "ties", *SPARSE)
    }
    assert {method for method in defaults if defaults[method]["normalize"]} == {"ties", "della"}
    assert {method for method in defaults if defaults[method].get("rescale")} == {
        "dare_linear",
        "dare_ties",
        "della_linear",
        "della",
    }
