"""Spaces, objectives, recipes and parents as they are named; a space once its parents are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.objectives_file import FILE, load
from helpers.parents import make_family
from helpers.spaces import SPACE, TWO_ROUNDS

from mergesearch._system import resources
from mergesearch.build import Workshop
from mergesearch.errors import CheckpointError, InputError, ObjectivesError, SpaceError
from mergesearch.objectives import Objectives
from mergesearch.recipe import Recipe
from mergesearch.runs.inputs import (
    errors_of_objectives,
    fitted_space,
    open_workshop,
    parent_places,
    read_objectives,
    read_recipe,
    read_space,
    space_yaml,
)
from mergesearch.space import Space

RECIPE = "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n"


def test_a_space_is_an_object_a_file_or_the_name_of_a_built_in_one(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(SPACE, encoding="utf-8")
    space, text = read_space(file)
    assert (text, space.to_dict()) == (SPACE, Space.from_yaml(SPACE).to_dict())
    assert read_space("demo")[1] == resources.space_file("demo").read_text(encoding="utf-8")
    assert read_space(space)[0] is space
    with pytest.raises(InputError, match="no search space 'dmeo'"):
        read_space("dmeo")


@pytest.mark.parametrize("text", [SPACE, TWO_ROUNDS])
def test_the_text_of_a_space_is_the_space_its_stages_first(text: str) -> None:
    space = Space.from_yaml(text)
    assert Space.from_yaml(space_yaml(space)).to_dict() == space.to_dict()


def test_objectives_are_an_object_a_file_or_the_name_of_built_in_ones(tmp_path: Path) -> None:
    file = tmp_path / "o.yaml"
    file.write_text(FILE, encoding="utf-8")
    found = read_objectives(file)
    assert found == load(FILE, tmp_path)
    assert read_objectives(found) is found
    built_in = resources.objectives_file("demo")
    assert read_objectives("demo") == Objectives.from_yaml(
        built_in.read_text(encoding="utf-8"), built_in.parent
    )


def test_a_recipe_is_an_object_or_a_file_of_that_kind(tmp_path: Path) -> None:
    file, space = tmp_path / "r.yaml", tmp_path / "space.yaml"
    file.write_text(RECIPE, encoding="utf-8")
    space.write_text(SPACE, encoding="utf-8")
    found = read_recipe(file)
    assert found == Recipe.from_yaml(RECIPE)
    assert read_recipe(found) is found
    with pytest.raises(InputError, match="a space"):
        read_recipe(space)


def test_places_are_those_of_parents_and_of_what_they_are_made_of(tmp_path: Path) -> None:
    places = {"org/a": tmp_path, "lora": str(tmp_path)}
    assert parent_places(places, ["org/a+lora", "b"]) == {"org/a": tmp_path, "lora": tmp_path}
    assert parent_places(None, ["b"]) == {}
    with pytest.raises(InputError) as caught:
        parent_places({"c": tmp_path}, ["org/a+lora", "b"])
    assert "no parent 'c'\n  expected: org/a+lora, org/a, lora, b" in str(caught.value)
    with pytest.raises(InputError, match="no such folder or file for 'b'"):
        parent_places({"b": tmp_path / "gone"}, ["b"])


def space_of(family: dict[str, str]) -> Space:
    weight = {"search": [0, 1], "per": ["attn", "mlp"]}
    models = [{"model": ref, "parameters": {"weight": weight}} for ref in family.values()]
    return Space({"merge_method": "linear", "models": models})


@pytest.mark.parametrize(("arch", "text"), [("mixtral", "block_sparse_moe"), ("qwen3_moe", "mlp")])
def test_the_mlp_of_a_space_is_the_experts_of_its_parents(
    arch: str, text: str, tmp_path: Path
) -> None:
    family = make_family(tmp_path, ("a", "b"), arch=arch)
    space = space_of(family)
    fitted = fitted_space(space, Workshop.open(family.values()))
    assert (fitted is space) == (arch == "qwen3_moe")
    (recipe, *_) = fitted.examples("high")
    filters = [
        entry.get("filter") for entry in recipe.to_dict()["models"][0]["parameters"]["weight"]
    ]
    assert filters == ["self_attn", text, None]
    assert Workshop.open(family.values()).notes(recipe) == []


HOLES = "models:\n  - {model: a, parameters: {weight: {search: [0, 1]}}}\n  - {model: mix}\n"
MODELS = "models:\n  - {model: a, parameters: {weight: 1}}\n  - model: b\n"


@pytest.mark.parametrize(
    ("read", "text", "place"),
    [
        (read_recipe, f"merge_method: linear\n{MODELS}    modle: c\n", ", line 5: models.1"),
        (read_recipe, f"{MODELS}merge_method: tise\n", ", line 4"),
        (read_recipe, "a: [", ", line 1"),
        (
            read_space,
            f"merge_method: linear\n{MODELS}    parameters: {{wight: {{search: [0, 1]}}}}\n",
            ", line 5",
        ),
        (
            read_space,
            f"merge_method: linear\n{MODELS}    parameters: {{weight: {{search: [1, 0]}}}}\n",
            ", line 5: models.1.parameters.weight",
        ),
        (
            read_space,
            f"start_from:\n- parents\n- values:\n    a.weight: 7\nmerge_method: linear\n{HOLES}",
            ", line 4: start_from.1.values.a.weight",
        ),
        (
            read_space,
            f"merge_method: linear\n{HOLES}---\n# of the second round\nname: mix\n"
            f"merge_method: linear\n{MODELS}    parameters: {{weight: {{search: [a, 1]}}}}\n",
            ", line 12: stage mix: models.1.parameters.weight",
        ),
        (
            read_recipe,
            "merge_method: linear\nmodels:\n  - {model: mix}\n---\nname: mix\nmerge_method: ties\n"
            "base_model: b\nmodels:\n  - model: a\n    parameters: {density: 2}\n",
            ", line 10: stage mix: models.0.parameters.density",
        ),
        (
            read_recipe,
            "merge_method: linear\nmodels: [{model: mix}]\n---\nname: mix\nmerge_method: ties\n",
            ", line 4: stage mix",
        ),
        (
            read_objectives,
            "objectives:\n  a:\n    refrence: 0\n    tasks: [{task: t, metric: acc}]\n",
            ", line 3: objectives.a",
        ),
        (read_objectives, "objectives: {}\nruntime: {n_ctx: -5}\n", ", line 1"),
        (read_objectives, "- a\n", ""),
    ],
)
def test_an_error_of_a_file_names_its_line(
    read: Callable[[Path], Any], text: str, place: str, tmp_path: Path
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read(file)
    assert str(caught.value.where).startswith(f"{file}{place}")


def test_what_is_found_later_names_the_line_too(tmp_path: Path) -> None:
    """Errors of scoring know only the keys; objectives of a program have no file."""
    file = tmp_path / "o.yaml"
    file.write_text(FILE, encoding="utf-8")
    for given, place in ((file, f"{file}, line 8: "), (load(FILE, tmp_path), "")):
        with pytest.raises(ObjectivesError) as caught, errors_of_objectives(given):
            raise ObjectivesError("unknown task 'x'", where="objectives.reason.tasks.0")
        assert caught.value.where == f"{place}objectives.reason.tasks.0"
    with pytest.raises(ObjectivesError) as caught, errors_of_objectives(file):
        raise ObjectivesError("a second task 'x'", where="/elsewhere/tasks.yaml")
    assert caught.value.where == "/elsewhere/tasks.yaml"


def test_more_blocks_than_layers_name_the_line(tmp_path: Path) -> None:
    family = make_family(tmp_path / "family", ("base", "a"))
    file = tmp_path / "space.yaml"
    file.write_text(
        f"merge_method: task_arithmetic\nbase_model: {family['base']}\nmodels:\n"
        f"  - model: {family['a']}\n    parameters:\n      weight: {{search: [0, 1], blocks: 9}}\n"
    )
    space, _ = read_space(file)
    with pytest.raises(SpaceError) as caught:
        fitted_space(space, Workshop.open(family.values()))
    assert caught.value.where == f"{file}, line 6: models.0.parameters.weight"


def test_a_parent_that_is_missing_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("merge_method: linear\nmodels:\n  - model: nowhere/at/all\n  - model: b\n")
    with pytest.raises(CheckpointError) as caught:
        open_workshop(read_recipe(file), file=file)
    assert str(caught.value).startswith(
        f"{file}, line 3: no folder for the parent 'nowhere/at/all'\n"
    )
    file.write_text(
        "merge_method: linear\nmodels:\n  - {model: mix, parameters: {weight: {search: [0, 1]}}}\n"
        "  - model: mxi\n---\nname: mix\nmerge_method: linear\nmodels: [{model: demo:base}]\n"
    )
    with pytest.raises(InputError, match="'mxi' is neither a stage nor a parent") as caught:
        open_workshop(read_space(file)[0])
    assert caught.value.where == f"{file}, line 4"
