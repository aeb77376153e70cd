"""A folder that goes out into the world: labelled files, card, recipe, Modelfile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import pytest
from helpers.modelfile_grammar import parsed

from mergesearch._system.resources import parent_folder
from mergesearch.build import Workshop
from mergesearch.errors import InputError
from mergesearch.recipe import Recipe
from mergesearch.runs.shipping import label_of, public_names, ship

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
    assert again.parents() == ("instruct", "reason")
    places = {Path(ref).name: Path(ref) for ref in recipe.parents()}
    with Workshop.for_recipe(again, overrides=places).candidate(again) as candidate:
        assert fields["mergesearch.candidate_sha256"].contents() == candidate.digest
        assert f"`Night-Q4_0.gguf`: `{candidate.digest}`" in (folder / "README.md").read_text()
    instructions = parsed((folder / "Modelfile").read_text())
    assert instructions[0] == ("FROM", "./Night-Q4_0.gguf")
    assert ("PARAMETER stop", "<|end|>") in instructions


def test_no_file_names_a_place_of_the_machine(
    recipe: Recipe, workshop: Workshop, tmp_path: Path
) -> None:
    """Not even one that a parent's settings had from the machine that it was saved on."""
    settings = [Path(ref) / "config.json" for ref in recipe.parents()]
    texts = [file.read_text() for file in settings]
    for file in settings:
        document = json.loads(file.read_text()) | {"_name_or_path": str(file.parent)}
        file.write_text(json.dumps(document))
    try:
        folder = tmp_path / "Night"
        ship(Workshop.for_recipe(recipe, threads=2), recipe, folder, ["Q4_0"])
    finally:
        for file, text in zip(settings, texts, strict=True):
            file.write_text(text)
    for written in folder.iterdir():
        for ref in recipe.parents():
            assert str(Path(ref).parent).encode() not in written.read_bytes(), written
    command = "search build recipe.yaml --to gguf -o model.gguf --parent instruct=DIR"
    assert command in (folder / "README.md").read_text()


def test_parents_that_share_a_name_or_have_that_of_a_stage_are_numbered() -> None:
    half = {"parameters": {"weight": 0.5}}
    models = [{"model": ref} | half for ref in ("/a/model", "/b/model", "org/name", "demo:base")]
    stage = {"name": "model-2", "merge_method": "linear", "models": models}
    last = {"merge_method": "linear", "models": [{"model": "model-2"} | half]}
    recipe = Recipe.from_dict({"stages": [stage]} | last)
    assert public_names(recipe) == {"/a/model": "model", "/b/model": "model-3"}


def test_the_hubs_client_reads_the_card(recipe: Recipe, workshop: Workshop, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    ship(workshop, recipe, tmp_path / "Night", [])
    data = ModelCard.load(tmp_path / "Night" / "README.md", ignore_metadata_errors=False).data
    assert data.to_dict() == {
        "language": ["en"],
        "library_name": "transformers",
        "license": "other",
        "pipeline_tag": "text-generation",
        "tags": ["merge", "mergesearch", "gguf"],
    }


def test_the_safetensors_have_the_logits_of_the_merge_in_transformers(
    recipe: Recipe, workshop: Workshop, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    ship(workshop, recipe, tmp_path / "Night", [])

    def load(folder: str | Path) -> Any:
        return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)

    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "Night")
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Say red, blue and green."}], tokenize=False
    )
    tokens = tokenizer(text, return_tensors="pt").input_ids
    first, second = (load(parent) for parent in recipe.parents())
    others = dict(second.named_parameters())
    with torch.no_grad():
        for name, weights in first.named_parameters():
            weights.copy_((weights.float() + others[name].float()) / 2)
        assert tokens.shape[1] > 4
        assert torch.equal(load(tmp_path / "Night")(tokens).logits, first(tokens).logits)


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
