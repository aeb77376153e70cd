"""A folder that goes out into the world: labelled files, card, recipe, Modelfile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gguf
import pytest

from mergesearch._system.resources import parent_folder
from mergesearch.build import Workshop
from mergesearch.errors import InputError
from mergesearch.recipe import Recipe
from mergesearch.runs.shipping import label_of, ship

CARD = "---\nlicense: {license}\nlanguage: {language}\n---\n# A parent\n"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A merge of two copies of the bundled parents, whose licenses differ."""
    models = []
    for name, license in (("instruct", "apache-2.0"), ("reason", "mit")):
        folder = tmp_path_factory.mktemp("parents") / name
        shutil.copytree(parent_folder(f"demo:{name}"), folder)
        (folder / "README.md").write_text(CARD.format(license=license, language="en"))
        models.append({"model": str(folder), "parameters": {"weight": 0.5}})
    return Recipe.from_dict({"merge_method": "linear", "models": models, "quantize": "Q4_0"})


@pytest.fixture(scope="module")
def workshop(recipe: Recipe) -> Workshop:
    return Workshop.for_recipe(recipe, threads=2)


def test_a_folder_has_all_that_an_upload_needs(
    recipe: Recipe, workshop: Workshop, tmp_path: Path
) -> None:
    folder = tmp_path / "Night"
    told: list[tuple[int, int]] = []
    notes = ship(workshop, recipe, folder, ["Q4_0", "Q8_0"], on_progress=lambda *n: told.append(n))
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "Modelfile", "Night-Q4_0.gguf", "Night-Q8_0.gguf", "README.md", "chat_template.jinja",
        "config.json", "generation_config.json", "model.safetensors", "recipe.yaml",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert any("different licenses (apache-2.0, mit)" in note for note in notes)
    assert told[-1] == (len(told), len(told))
    fields = gguf.GGUFReader(folder / "Night-Q4_0.gguf").fields
    assert fields["general.name"].contents() == "Night"
    assert fields["general.license"].contents() == "other"
    assert fields["general.languages"].contents() == ["en"]
    again = Recipe.from_yaml((folder / "recipe.yaml").read_text())
    with workshop.candidate(again) as candidate:
        assert fields["mergesearch.candidate_sha256"].contents() == candidate.digest
        assert f"`Night-Q4_0.gguf`: `{candidate.digest}`" in (folder / "README.md").read_text()
    assert (folder / "Modelfile").read_text().splitlines()[1] == "FROM ./Night-Q4_0.gguf"


def test_the_safetensors_load_in_transformers(
    recipe: Recipe, workshop: Workshop, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    ship(workshop, recipe, tmp_path / "Night", ["Q8_0"])
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "Night")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "Night")
    names = json.loads((tmp_path / "Night" / "config.json").read_text())["architectures"]
    assert type(model).__name__ == names[0]
    assert tokenizer.chat_template


def test_an_unknown_mix_and_a_folder_of_others_are_refused(
    recipe: Recipe, workshop: Workshop, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="unknown mix 'Q9'"):
        ship(workshop, recipe, tmp_path / "Night", ["Q9"])
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        ship(workshop, recipe, tmp_path, ["Q4_0"])
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_parents_without_a_license_are_named() -> None:
    recipe = Recipe.from_dict({"merge_method": "linear", "models": [{"model": "demo:base"}]})
    label, notes = label_of(Workshop.for_recipe(recipe), recipe, "x")
    assert label.license == ""
    assert notes == ["no license is named by demo:base: look it up before you publish"]
