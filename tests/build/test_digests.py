"""Recipes and candidates keep the digests that they first had.

A recipe that somebody exported must build to the file that was scored, whatever version builds it.
The digests here are those of version 0.2.0; a new method brings its own.
"""

from __future__ import annotations

from typing import Any

import pytest

from mergesearch.build import Workshop
from mergesearch.methods import METHODS
from mergesearch.recipe import Recipe

CURVE = [
    {"filter": "self_attn", "value": [0.2, 0.9]},
    {"filter": "mlp", "value": 0.55},
    {"value": 0.3},
]
WEIGHTS = ({"weight": 0.7}, {"weight": CURVE})
THREE = [{"model": model} for model in ("demo:base", "demo:instruct", "demo:reason")]
SPARSE = ({"weight": 0.7, "density": 0.6}, {"weight": CURVE, "density": [0.5, 0.8]})


def merge(
    method: str,
    own: tuple[dict[str, Any], ...] = ({}, {}),
    base: str | None = "demo:base",
    **parameters: Any,
) -> dict[str, Any]:
    """A recipe of the demo's first parents, each with parameters of its own."""
    models = [
        {"model": model, "parameters": values}
        for model, values in zip(("demo:instruct", "demo:reason"), own, strict=False)
    ]
    document = {"merge_method": method, "models": models, "parameters": parameters}
    return document | ({} if base is None else {"base_model": base})


RECIPES = {
    "linear": merge("linear", WEIGHTS, None),
    "passthrough": merge("passthrough", ({"scale": [0.9, 1.1]},), None),
    "task_arithmetic": merge("task_arithmetic", WEIGHTS, **{"lambda": 0.9}),
    "ties": merge("ties", SPARSE, rescale=True),
    "dare_linear": merge("dare_linear", SPARSE),
    "dare_ties": merge("dare_ties", SPARSE, normalize=True),
    "della_linear": merge("della_linear", SPARSE),
    "della": merge("della", SPARSE, epsilon=0.1),
    "breadcrumbs": merge("breadcrumbs", SPARSE, gamma=0.05),
    "breadcrumbs_ties": merge("breadcrumbs_ties", SPARSE),
    "sce": merge("sce", select_topk=0.4),
    "slerp": merge("slerp", ({}, {}), "demo:instruct", t=CURVE),
    "model_stock": merge("model_stock", filter_wise=True),
    "nuslerp": merge("nuslerp", WEIGHTS),
    "multislerp": merge("multislerp", WEIGHTS, None),
    "karcher": merge("karcher", max_iter=20, tol=1e-6),
    "ram": merge("ram", epsilon=1e-4),
    "ramplus_tl": merge("ramplus_tl", r=0.2, alpha=0.3),
    "nearswap": merge("nearswap", ({},), t=0.01),
    "arcee_fusion": merge("arcee_fusion", ({},)),
    "median": merge("median", base=None) | {"models": THREE},
    "geometric_median": merge("geometric_median", base=None) | {"models": THREE},
    "two rounds": merge("linear", ({"weight": 3}, {"weight": 1}), None)
    | {
        "models": [{"model": "mixture"}, {"model": "demo:reason"}],
        "stages": [merge("dare_ties", SPARSE) | {"name": "mixture"}],
        "quantize": {"mix": "Q5_K_M", "tensors": {"attn_v": "Q8_0"}},
        "seed": 7,
    },
}

DIGESTS: dict[str, tuple[str, str]] = {
    "linear": ("0fc443bddacf9176", "20310dec818002c7"),
    "passthrough": ("0802e32d2292be65", "3e1241a93c3bca58"),
    "task_arithmetic": ("a7f188f0ce9d13ad", "07b716ac9d12a4ef"),
    "ties": ("7b3a3f8c4b736abf", "0a6aba7fe7f57c76"),
    "dare_linear": ("e852fdca90ff1c64", "55a5833e2a1e8bb3"),
    "dare_ties": ("b4d829c6826771b0", "5d921b955518bf5c"),
    "della_linear": ("5f7eb989bfa2dc9a", "1758a0e28b95349e"),
    "della": ("83aa966ad1d5184b", "02ae8311ddc88416"),
    "breadcrumbs": ("ef56e49113468ded", "3d4e9890de5ba9a4"),
    "breadcrumbs_ties": ("2b54184c4ffd0613", "36b427cdf52a3dc4"),
    "sce": ("450db8614a48d31e", "1a8a95796680c2be"),
    "slerp": ("5ba6a1499c2240dd", "8d9bfcb398756c31"),
    "model_stock": ("a92311aa1a1fff92", "9494fff8d58e8957"),
    "nuslerp": ("650c5e9a7960a5aa", "2b48949264ab47ae"),
    "multislerp": ("932908265ef80ba2", "a5e1fd9781a567c6"),
    "karcher": ("a95d71c9ec1f7396", "d8c45f989da4d8ff"),
    "ram": ("aef5b86c6bc05911", "083102a6c4499c6e"),
    "ramplus_tl": ("83ea261a6d8da695", "0d2ff1db3ea8e5ee"),
    "nearswap": ("5b299cbc3e96cc5d", "19c32ab327736845"),
    "arcee_fusion": ("0bb3fac324422f5d", "b61819d8b882ad3d"),
    "median": ("f2024ba218829231", "c96e98c8817eb908"),
    "geometric_median": ("56e0cee7aa1a77d7", "e2ce9f6a8a56ddd2"),
    "two rounds": ("27abdc07b40aba76", "baba31e83f205be6"),
}
"""First 16 digits of the digests of the recipe and of the candidate."""


def test_every_method_is_here() -> None:
    built = {document["merge_method"] for document in RECIPES.values()}
    assert built == set(METHODS)


@pytest.mark.parametrize("name", RECIPES)
def test_digests_never_change(name: str) -> None:
    recipe = Recipe.from_dict(RECIPES[name])
    with Workshop.for_recipe(recipe).candidate(recipe) as candidate:
        assert (recipe.digest()[:16], candidate.digest[:16]) == DIGESTS[name]
