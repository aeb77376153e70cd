"""Which parent's tensor goes where, with which parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.parents import make_family, make_parent
from safetensors.torch import load_file, save_file

from mergesearch.errors import BuildError, CheckpointError, RecipeError
from mergesearch.gguf import EMBEDDING
from mergesearch.merge import MergedModel, PlannedTensor, plan_merge
from mergesearch.parents import open_parents
from mergesearch.recipe import Recipe

DELLA_DEFAULTS = {
    "density": (1.0, 1.0),
    "epsilon": (0.15, 0.15),
    "normalize": True,
    "rescale": True,
}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_family(tmp_path_factory.mktemp("family"), num_hidden_layers=4)


def plan(document: dict[str, Any], family: dict[str, str]) -> tuple[MergedModel, Any]:
    recipe = Recipe.from_dict(document).renamed(family)
    parents = open_parents(recipe.parents())
    return plan_merge(recipe, parents), parents


def tensor(made: MergedModel, name: str) -> PlannedTensor:
    return made.tensors[name]


def test_gradients_run_over_layers_and_start_at_the_embedding(family: dict[str, str]) -> None:
    models = [{"model": "a", "parameters": {"weight": [0.0, 1.0, 4.0]}}]
    made, _ = plan({"merge_method": "linear", "models": models}, family)
    weights = [
        tensor(made, f"model.layers.{layer}.mlp.up_proj.weight").settings["weight"][0]
        for layer in range(4)
    ]
    assert weights == pytest.approx([0.0, 2 / 3, 2.0, 4.0])
    for name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"):
        assert tensor(made, name).settings["weight"] == (0.0,)


def test_defaults_are_those_of_each_method(family: dict[str, str]) -> None:
    models = [{"model": "a"}, {"model": "b"}]
    deltas = {"normalize": False, "lambda": 1.0, "weight": (1.0, 1.0)}
    for method, expected in (
        ("linear", {"weight": (1.0, 1.0), "normalize": True}),
        ("task_arithmetic", deltas),
        ("ties", deltas | {"density": (1.0, 1.0), "normalize": True, "rescale": False}),
        ("della", deltas | DELLA_DEFAULTS),
        ("ram", {"epsilon": 1e-5}),
    ):
        made, _ = plan({"merge_method": method, "base_model": "base", "models": models}, family)
        assert made.tensors[EMBEDDING].settings == expected


def test_base_among_the_models_is_no_input(family: dict[str, str]) -> None:
    """Deltas of the base to itself are left out; a linear merge takes it as any parent."""
    models = [{"model": name} for name in ("base", "a")]
    made, _ = plan(
        {"merge_method": "task_arithmetic", "base_model": "base", "models": models}, family
    )
    assert [source.parent for source in made.tensors[EMBEDDING].inputs] == [family["a"]]
    made, _ = plan({"merge_method": "linear", "base_model": "base", "models": models}, family)
    assert [source.parent for source in made.tensors[EMBEDDING].inputs] == [
        family["base"],
        family["a"],
    ]


def test_karcher_takes_a_base_beside_the_models_as_one_more(family: dict[str, str]) -> None:
    """As mergekit does; a base among the models is there once, and slices name their own."""
    for models, expected in (("ab", ["a", "b", "base"]), (["base", "a"], ["base", "a"])):
        document = {
            "merge_method": "karcher",
            "base_model": "base",
            "models": [{"model": model} for model in models],
        }
        made, _ = plan(document, family)
        found = [source.parent for source in made.tensors[EMBEDDING].inputs]
        assert found == [family[name] for name in expected]
    sources = [{"model": name, "layer_range": [0, 2]} for name in ("a", "b")]
    made, _ = plan(
        {"merge_method": "karcher", "base_model": "base", "slices": [{"sources": sources}]}, family
    )
    assert [source.parent for source in made.tensors[EMBEDDING].inputs] == [
        family["a"],
        family["b"],
    ]


def test_directions_that_cancel_are_refused_by_the_tensor(family: dict[str, str]) -> None:
    models = [
        {"model": name, "parameters": {"weight": weight}} for name, weight in (("a", 1), ("b", -1))
    ]
    made, _ = plan({"merge_method": "multislerp", "models": models}, family)
    with pytest.raises(BuildError, match=r"lm_head\.weight: the merge gives numbers"):
        made.rows("lm_head.weight", 0, 2)


@pytest.mark.parametrize("method", ["karcher", "multislerp", "geometric_median"])
def test_a_damaged_row_elsewhere_in_the_tensor_is_traced(
    method: str, family: dict[str, str], tmp_path: Path
) -> None:
    """What is known of the whole tensor carries it into every row."""
    folder = make_parent(tmp_path / "b", 9, num_hidden_layers=4)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"][-1, 5] = float("nan")
    save_file(weights, folder / "model.safetensors")
    models = [{"model": name} for name in ("a", "base", "b")]
    made, _ = plan({"merge_method": method, "models": models}, family | {"b": str(folder)})
    with pytest.raises(CheckpointError, match=r"lm_head\.weight holds numbers") as caught:
        made.rows("lm_head.weight", 0, 1)
    assert str(folder) in str(caught.value)


def test_slices_renumber_layers(family: dict[str, str]) -> None:
    """Layers 0, 1 of a, then 1 to 3 of b; outer tensors come from the first and last slice."""
    slices = [
        {"sources": [{"model": "a", "layer_range": [0, 2]}]},
        {"sources": [{"model": "b", "layer_range": [1, 4]}]},
    ]
    made, parents = plan({"merge_method": "linear", "slices": slices}, family)
    assert made.config["num_hidden_layers"] == made.layout.n_layers == 5
    sources = {
        tensor.name: (tensor.inputs[0].parent, tensor.inputs[0].name)
        for tensor in made.tensors.values()
    }
    name = "model.layers.{}.self_attn.q_proj.bias"
    assert [sources[name.format(layer)] for layer in range(5)] == [
        (family[parent], name.format(layer))
        for parent, layer in (("a", 0), ("a", 1), ("b", 1), ("b", 2), ("b", 3))
    ]
    assert sources["model.embed_tokens.weight"][0] == family["a"]
    assert sources["lm_head.weight"][0] == sources["model.norm.weight"][0] == family["b"]
    found = made.rows(name.format(4), 0, 1)
    assert np.array_equal(found, parents[family["b"]].rows(name.format(3), 0, 1))


def test_layer_kinds_follow_the_slices(tmp_path: Path) -> None:
    kinds = ["full_attention", "full_attention", "sliding_attention"]
    family = make_family(tmp_path, ("a",), num_hidden_layers=3, layer_types=kinds)
    spans = ([0, 1], [1, 3], [2, 3])
    slices = [{"sources": [{"model": "a", "layer_range": span}]} for span in spans]
    made, _ = plan({"merge_method": "linear", "slices": slices}, family)
    assert made.config["layer_types"] == [kinds[0], kinds[1], kinds[2], kinds[2]]


def test_layers_that_do_not_exist_are_refused(family: dict[str, str]) -> None:
    slices = [{"sources": [{"model": "a", "layer_range": [2, 5]}]}]
    with pytest.raises(RecipeError, match=r"layer_range \[2, 5\]"):
        plan({"merge_method": "linear", "slices": slices}, family)


def test_slices_need_their_base(family: dict[str, str]) -> None:
    slices = [{"sources": [{"model": "a", "layer_range": [0, 2]}]}]
    document = {"merge_method": "ties", "base_model": "base", "slices": slices}
    with pytest.raises(RecipeError, match="does not name the base"):
        plan(document, family)


def of_layers(*sources: tuple[str, int, int]) -> dict[str, Any]:
    entries = [{"model": name, "layer_range": [at, stop]} for name, at, stop in sources]
    return {"sources": entries}


def test_layers_of_gemma_4_keep_their_kinds(tmp_path: Path) -> None:
    """Kinds go with the layers; layers of different kinds cannot be merged."""
    apart = {"num_kv_shared_layers": 0, "hidden_size_per_layer_input": 0}
    family = make_family(
        tmp_path, ("a", "b"), arch="gemma4_text", use_double_wide_mlp=False, **apart
    )
    slices = [of_layers(("a", 0, 3)), of_layers(("b", 2, 5))]
    made, _ = plan({"merge_method": "passthrough", "slices": slices}, family)
    windowed = [kind == "sliding_attention" for kind in made.config["layer_types"]]
    assert windowed == [True, True, False, False, True, False]
    shapes = {name: tensor.shape for name, tensor in made.tensors.items()}
    assert shapes["model.layers.3.self_attn.q_norm.weight"] == (32,)
    assert shapes["model.layers.4.self_attn.q_norm.weight"] == (16,)
    mixed = {"merge_method": "linear", "slices": [of_layers(("a", 0, 2), ("b", 1, 3))]}
    with pytest.raises(
        CheckpointError, match=r"layers\.2\.self_attn\.q_proj\.weight has the shape"
    ):
        plan(mixed | {"parameters": {"weight": 1}}, family)


def test_tables_of_all_layers_are_not_cut(tmp_path: Path) -> None:
    family = make_family(tmp_path, ("a", "b"), arch="gemma4_text")
    whole = {"merge_method": "slerp", "base_model": "a", "parameters": {"t": 0.5}}
    made, _ = plan(whole | {"slices": [of_layers(("a", 0, 5), ("b", 0, 5))]}, family)
    assert "model.embed_tokens_per_layer.weight" in made.tensors
    halves = [of_layers(("a", 0, 2), ("b", 0, 2)), of_layers(("a", 2, 5), ("b", 2, 5))]
    with pytest.raises(RecipeError, match="several slices of Gemma4"):
        plan(whole | {"slices": halves}, family)
