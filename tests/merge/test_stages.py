"""Merges that feed each other: a stage is what its result would be as a parent on disk."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.parents import make_family, make_parent
from safetensors.torch import load_file, save_file

from mergesearch._system.spare import Spare
from mergesearch.build import Workshop
from mergesearch.errors import CheckpointError, Interrupted, RecipeError
from mergesearch.merge import plan_merge
from mergesearch.parents import open_parents
from mergesearch.recipe import Recipe

FIRST = {
    "name": "mix",
    "merge_method": "ties",
    "base_model": "base",
    "models": [
        {"model": "a", "parameters": {"weight": [0.2, 0.9], "density": 0.5}},
        {"model": "b", "parameters": {"density": 0.7}},
    ],
}
LAST = {
    "merge_method": "slerp",
    "base_model": "a",
    "models": [{"model": "mix"}, {"model": "a"}],
    "parameters": {"t": [0.2, 0.7]},
}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_family(tmp_path_factory.mktemp("family"), num_hidden_layers=3)


def merged(document: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    recipe = Recipe.from_dict(document).renamed(names)
    plan = plan_merge(recipe, open_parents(recipe.parents()))
    return {tensor.name: plan.rows(tensor.name, 0, tensor.rows) for tensor in plan.tensors.values()}


def test_a_stage_equals_its_result_on_disk(family: dict[str, str], tmp_path: Path) -> None:
    """The same merge of a float32 folder that holds the first merge's result, to the bit."""
    first = Recipe.from_dict(FIRST | {"dtype": "float32"}).renamed(family)
    Workshop.for_recipe(first).safetensors(first, tmp_path / "mix")
    expected = merged(LAST, family | {"mix": str(tmp_path / "mix")})
    found = merged(LAST | {"stages": [FIRST]}, family)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_stages_of_stages_and_of_other_depths(family: dict[str, str]) -> None:
    """A frankenmerge of five layers, merged with another of five."""
    spans = {"x": ([0, 3], [1, 3]), "y": ([0, 2], [0, 3])}
    stages = [
        {
            "name": name,
            "merge_method": "passthrough",
            "slices": [
                {"sources": [{"model": source, "layer_range": span}]}
                for source, span in zip("ab", pair, strict=True)
            ],
        }
        for name, pair in spans.items()
    ]
    last = {"merge_method": "linear", "models": [{"model": "x"}, {"model": "y"}]}
    found = merged(last | {"stages": stages}, family)
    stored = {name: load_file(Path(family[name]) / "model.safetensors") for name in "ab"}
    name = "model.layers.{}.input_layernorm.weight"
    expected = (stored["b"][name.format(1)].float() + stored["b"][name.format(1)].float()) / 2
    np.testing.assert_array_equal(found[name.format(3)][0], expected.numpy())
    expected = (stored["a"][name.format(2)].float() + stored["b"][name.format(0)].float()) / 2
    np.testing.assert_array_equal(found[name.format(2)][0], expected.numpy())
    assert len([name for name in found if name.endswith("input_layernorm.weight")]) == 5


def test_two_random_stages_draw_different_numbers(family: dict[str, str]) -> None:
    """Noise depends on the stage's name, so the same merge twice is not the same sample."""
    stage = {
        "merge_method": "dare_linear",
        "base_model": "base",
        "models": [{"model": "a", "parameters": {"density": 0.5}}],
        "parameters": {"rescale": False},
    }
    last = {"merge_method": "linear", "models": [{"model": "x"}]}
    x = merged(last | {"stages": [stage | {"name": "x"}]}, family)
    y = merged(
        {"merge_method": "linear", "models": [{"model": "y"}], "stages": [stage | {"name": "y"}]},
        family,
    )
    name = "model.layers.0.mlp.up_proj.weight"
    assert (x[name] != y[name]).mean() == pytest.approx(0.5, abs=0.05)
    again = merged(last | {"stages": [stage | {"name": "x"}]}, family)
    np.testing.assert_array_equal(x[name], again[name])


def test_the_number_of_threads_changes_nothing(family: dict[str, str]) -> None:
    recipe = Recipe.from_dict(LAST | {"stages": [FIRST]}).renamed(family)
    parents = open_parents(recipe.parents())
    with (
        Workshop(parents, threads=1).candidate(recipe) as one,
        Workshop(parents, threads=3).candidate(recipe) as three,
    ):
        assert one.digest == three.digest


class Counting:
    """A parent that notes what is read of it."""

    def __init__(self, parent: Any, read: list[tuple[Any, ...]]) -> None:
        self._parent = parent
        self._read = read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parent, name)

    def stored(self, *arguments: Any) -> Any:
        self._read.append(arguments)
        return self._parent.stored(*arguments)


@pytest.mark.parametrize("room", ["memory", "file", "none"])
def test_a_stage_is_computed_once_where_there_is_room(
    family: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    """Two passes and the merge itself read a stage's tensor, which takes one pass over parents."""
    monkeypatch.setattr("mergesearch.merge.rows.BLOCK_ELEMENTS", 1024)
    first = {"name": "mix", "merge_method": "linear", "models": [{"model": "a"}, {"model": "b"}]}
    last = {
        "merge_method": "ties",
        "base_model": "base",
        "models": [{"model": "mix", "parameters": {"density": 0.5}}],
        "stages": [first],
    }
    recipe = Recipe.from_dict(last).renamed(family)
    read: list[tuple[Any, ...]] = []
    b = family["b"]
    parents = {
        ref: Counting(parent, read) if ref == b else parent
        for ref, parent in open_parents(recipe.parents()).items()
    }
    memory = 10**9 if room == "memory" else 0
    spare = Spare(memory, tmp_path if room != "none" else tmp_path / "gone")
    plan = plan_merge(recipe, parents, spare=spare)
    tensor = max(plan.tensors.values(), key=lambda tensor: tensor.rows * tensor.cols)
    found = plan.rows(tensor.name, 0, tensor.rows)
    expected = merged(last, family)[tensor.name]
    np.testing.assert_array_equal(found, expected)
    blocks = -(-tensor.rows // (1024 // tensor.cols))
    passes = len(read) / blocks
    assert passes > 3 if room == "none" else passes == 1
    assert spare.array((memory // 4,)) is not None  # nothing is kept any longer


def test_context_settings_come_from_the_named_parent(tmp_path: Path) -> None:
    """Every setting of the long context is the named parent's, one that it lacks is gone."""
    a = make_parent(tmp_path / "a", 0, sliding_window=128, use_sliding_window=True)
    longer = {"max_position_embeddings": 4096, "rope_theta": 1e7, "rope_scaling": None}
    b = make_parent(tmp_path / "b", 1, **longer)
    document = {"merge_method": "linear", "models": [{"model": str(a)}, {"model": str(b)}]}
    for source, window in ((None, 128), ("base", 128), (str(b), None)):
        recipe = Recipe.from_dict(document | ({} if source is None else {"context_source": source}))
        config = plan_merge(recipe, open_parents(recipe.parents())).config
        assert config.get("sliding_window") == window
        assert config["max_position_embeddings"] == (256 if window else 4096)
        assert config["rope_theta"] == (1e4 if window else 1e7)
    recipe = Recipe.from_dict(document | {"context_source": "c"})
    with pytest.raises(RecipeError, match="context_source 'c' is not a parent"):
        plan_merge(recipe, open_parents(recipe.parents()))


def test_numbers_that_are_not_finite_are_traced_to_the_parent(
    family: dict[str, str], tmp_path: Path
) -> None:
    """The damaged parent and its tensor are named, through a stage too."""
    name = "model.layers.1.mlp.down_proj.weight"
    folder = make_parent(tmp_path / "b", 9, num_hidden_layers=3)
    weights = load_file(folder / "model.safetensors")
    weights[name][3, 5] = float("inf")
    save_file(weights, folder / "model.safetensors")
    recipe = Recipe.from_dict(LAST | {"stages": [FIRST]}).renamed(family | {"b": str(folder)})
    with pytest.raises(CheckpointError, match=f"{name} holds numbers.*not finite") as caught:
        Workshop.for_recipe(recipe).candidate(recipe)
    assert str(folder) in str(caught.value)


def test_an_unknown_name_is_neither_stage_nor_parent(family: dict[str, str]) -> None:
    last = {"merge_method": "linear", "models": [{"model": "mix"}, {"model": "mxi"}]}
    recipe = Recipe.from_dict(last | {"stages": [FIRST]}).renamed(family)
    with pytest.raises(RecipeError, match="'mxi' is neither a stage nor") as caught:
        open_parents(recipe.parents(), recipe.stages())
    assert caught.value.expected == "a folder, or one of the stages mix"


def test_stages_of_other_depths_do_not_fit(family: dict[str, str]) -> None:
    short = {
        "name": "short",
        "merge_method": "passthrough",
        "slices": [{"sources": [{"model": "a", "layer_range": [0, 2]}]}],
    }
    last = {"merge_method": "linear", "models": [{"model": "short"}, {"model": "a"}]}
    with pytest.raises(CheckpointError, match="num_hidden_layers: 2 in short, 3 in"):
        merged(last | {"stages": [short]}, family)


def test_an_ended_plan_reads_no_further_block_not_even_of_a_stage(
    family: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statistics of a stage's tensor are under way when the plan is ended."""
    recipe = Recipe.from_dict(LAST | {"stages": [FIRST]}).renamed(family)
    ended, read = threading.Event(), []

    class Ending:
        """A parent that ends the plan when it is read for the third time."""

        def __init__(self, parent: Any) -> None:
            self._parent = parent

        def __getattr__(self, name: str) -> Any:
            return getattr(self._parent, name)

        def stored(self, *arguments: Any) -> Any:
            read.append(arguments)
            if len(read) == 3:
                ended.set()
            return self._parent.stored(*arguments)

    monkeypatch.setattr("mergesearch.merge.rows.BLOCK_ELEMENTS", 1024)
    parents = {ref: Ending(parent) for ref, parent in open_parents(recipe.parents()).items()}
    plan = plan_merge(recipe, parents, ended)
    largest = max(plan.tensors.values(), key=lambda tensor: tensor.rows * tensor.cols)
    with pytest.raises(Interrupted, match="the build was stopped"):
        plan.rows(largest.name, 0, 1)
    assert len(read) == 4  # slerp's own, then base, a and b of the stage's first block


def test_the_longest_chain_of_stages_is_built(family: dict[str, str]) -> None:
    """Also where each collects statistics, which takes the most calls inside each other."""
    onto_base = {"merge_method": "sce", "base_model": family["base"]}
    stages = [
        onto_base
        | {
            "name": f"s{number}",
            "models": [
                {"model": f"s{number - 1}" if number else family["a"]},
                {"model": family["b"]},
            ],
        }
        for number in range(51)
    ]
    recipe = Recipe.from_dict({**stages.pop(), "stages": stages})
    Workshop.for_recipe(recipe).candidate(recipe).close()
