"""Shipped files: labelled, with the candidate's own weights, in one pass over the parents."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import gguf
import pytest

import mergesearch
from mergesearch.build import Workshop
from mergesearch.build.files import Piece, in_one_pass, write_pieces
from mergesearch.build.label import CANDIDATE, NOT_KNOWN_YET, Label
from mergesearch.merge.stopping import Stopping
from mergesearch.recipe import Recipe

RECIPE = Recipe.from_dict(
    {
        "merge_method": "task_arithmetic",
        "base_model": "demo:base",
        "models": [
            {"model": "demo:instruct", "parameters": {"weight": 0.7}},
            {"model": "demo:reason", "parameters": {"weight": 0.4}},
        ],
    }
)
LABEL = Label(
    name="night knee",
    recipe=RECIPE,
    parents="ab" * 32,
    base_models=("org/one", "org/two"),
    license="apache-2.0",
    languages=("en",),
    tags=("merge", "mergesearch"),
)


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return Workshop.for_recipe(RECIPE, threads=2)


@pytest.fixture(scope="module")
def shipped(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shipped")
    mixes = {mix: folder / f"{mix}.gguf" for mix in ("Q4_K_M", "Q8_0")}
    digests = workshop.write_all(RECIPE, folder, mixes, LABEL)
    (folder / "digests.json").write_text(json.dumps(digests))
    return folder


def text(reader: gguf.GGUFReader, key: str) -> str:
    return str(reader.fields[key].contents())


@pytest.mark.parametrize("mix", ["Q4_K_M", "Q8_0"])
def test_a_labelled_file_has_the_candidates_weights_and_names_its_digest(
    workshop: Workshop, shipped: Path, tmp_path: Path, mix: str
) -> None:
    digest = workshop.gguf(RECIPE, tmp_path / "plain.gguf", mix)
    assert json.loads((shipped / "digests.json").read_text())[mix] == digest
    ours, plain = gguf.GGUFReader(shipped / f"{mix}.gguf"), gguf.GGUFReader(tmp_path / "plain.gguf")
    assert text(ours, CANDIDATE) == digest
    assert hashlib.sha256((tmp_path / "plain.gguf").read_bytes()).hexdigest() == digest
    assert [tensor.name for tensor in ours.tensors] == [tensor.name for tensor in plain.tensors]
    for tensor, expected in zip(ours.tensors, plain.tensors, strict=True):
        assert tensor.data.tobytes() == expected.data.tobytes()
    others = [key for key in plain.fields if not key.startswith("GGUF.") and key != "general.name"]
    for key in others:
        assert ours.fields[key].contents() == plain.fields[key].contents()


def test_the_label_says_what_the_model_is(shipped: Path) -> None:
    reader = gguf.GGUFReader(shipped / "Q4_K_M.gguf")
    fields = {key: field.contents() for key, field in reader.fields.items()}
    assert fields["general.name"] == "night knee"
    assert fields["general.license"] == "apache-2.0"
    assert fields["general.languages"] == ["en"]
    assert fields["general.tags"] == ["merge", "mergesearch"]
    assert fields["general.base_model.count"] == 2
    assert fields["general.base_model.1.name"] == "two"
    assert fields["general.base_model.1.organization"] == "org"
    assert fields["general.base_model.1.repo_url"] == "https://huggingface.co/org/two"
    assert fields["mergesearch.version"] == mergesearch.__version__
    assert fields["mergesearch.parents_sha256"] == "ab" * 32
    again = Recipe.from_yaml(fields["mergesearch.recipe"])
    assert again.digest() == fields["mergesearch.recipe_sha256"] == RECIPE.digest()


def test_safetensors_carry_the_recipe(workshop: Workshop, shipped: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    workshop.safetensors(RECIPE, tmp_path / "plain")
    with (
        safe_open(shipped / "model.safetensors", "np") as ours,
        safe_open(tmp_path / "plain" / "model.safetensors", "np") as plain,
    ):
        assert ours.metadata()["mergesearch.recipe"] == RECIPE.to_yaml()
        assert ours.metadata()["format"] == "pt"
        assert plain.metadata() == {"format": "pt"}
        assert list(ours.keys()) == list(plain.keys())


def test_nothing_is_written_where_nothing_is_known() -> None:
    keys = Label("x", RECIPE, "").gguf_keys()
    assert "general.base_model.count" not in keys
    assert keys[CANDIDATE] == NOT_KNOWN_YET


def test_files_are_written_side_by_side_so_that_rows_are_read_once() -> None:
    order: list[tuple[str, int]] = []

    def pieces_of(name: str) -> list[Piece]:
        return [
            Piece(source, 0, lambda source=source: order.append(source), lambda: None)
            for source in ([("b", 0), ("b", 8), ("a", 0)] if name == "x" else [("a", 0), ("b", 0)])
        ]

    told: list[tuple[int, int]] = []
    pieces = in_one_pass([pieces_of("x"), pieces_of("y")])
    write_pieces(pieces, 1, Stopping(), lambda *counts: told.append(counts))
    assert order == [("b", 0), ("b", 0), ("b", 8), ("a", 0), ("a", 0)]
    assert told == [(done, 5) for done in range(1, 6)]
