"""Files and folders of another kind are told apart, and answered with their command."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
import torch
from helpers.command import search
from safetensors.torch import save_file

from mergesearch._system import resources
from mergesearch.errors import InputError
from mergesearch.runs.kinds import Kind, kind_of, refuse_other

TEXTS = {
    Kind.RECIPE: "merge_method: linear\nmodels: [{model: a}]",
    Kind.SPACE: "merge_method: linear\nmodels: [{model: a, parameters: {weight: {search: [0]}}}]",
    Kind.OBJECTIVES: "objectives: {}",
    Kind.EVOLVE: "genome: {models: [a]}",
    Kind.MOE: "base_model: a\ngate_mode: random\nexperts: [{source_model: a}]",
    Kind.NOTEBOOK: '{"cells": [], "metadata": {}, "nbformat": 4}',
    Kind.TASK: "task: mine\ndataset_path: json\noutput_type: generate_until",
}


@pytest.fixture
def places(tmp_path: Path) -> dict[Kind, Path]:
    """One file or folder of each kind."""
    places = {kind: tmp_path / f"{kind.name.lower()}.yaml" for kind in TEXTS}
    for kind, text in TEXTS.items():
        places[kind].write_text(text)
    places[Kind.GGUF] = tmp_path / "m.gguf"
    places[Kind.GGUF].write_bytes(b"GGUF\x03\0\0\0")
    for kind, name in ((Kind.RUN, "study.db"), (Kind.ADAPTER, "adapter_config.json")):
        places[kind] = tmp_path / kind.name.lower()
        places[kind].mkdir()
        (places[kind] / name).touch()
    places[Kind.OF_RUN] = places[Kind.RUN] / "front.json"
    places[Kind.OF_RUN].write_text('{"objectives": ["a"], "search": {"front": []}}')
    places[Kind.ARCHIVE] = tmp_path / "a.tar"
    with tarfile.open(places[Kind.ARCHIVE], "w") as archive:
        archive.add(places[Kind.RECIPE], "recipe.yaml")
    save_file({"x": torch.zeros(2)}, tmp_path / "w.safetensors")
    places[Kind.WEIGHTS] = tmp_path / "w.safetensors"
    places[Kind.MODEL] = resources.parent_folder("demo:base")
    return places


def test_every_kind_is_known(places: dict[Kind, Path]) -> None:
    assert {kind: kind_of(path) for kind, path in places.items()} == {kind: kind for kind in Kind}


def test_what_is_of_no_kind(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [")
    (tmp_path / "other.yaml").write_text("a: 1")
    (tmp_path / "latin.txt").write_bytes(b"\xe9\xff")
    (tmp_path / "large.yaml").write_bytes(b"merge_method: linear\n" + b"#" * (1 << 20))
    for path in (tmp_path, *tmp_path.iterdir(), tmp_path / "nothing"):
        assert kind_of(path) is None
        refuse_other(path, Kind.RECIPE)


def test_a_damaged_file_from_which_a_run_resumes_is_left_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "study.db").touch()
    for name, wanted in (("space.yaml", Kind.SPACE), ("objectives.yaml", Kind.OBJECTIVES)):
        (tmp_path / name).write_text("[")
        refuse_other(tmp_path / name, wanted)
        with pytest.raises(InputError, match="is a file of a run"):
            refuse_other(tmp_path / "study.db", wanted)


def test_a_refusal_names_the_command(places: dict[Kind, Path]) -> None:
    with pytest.raises(InputError) as caught:
        refuse_other(places[Kind.EVOLVE], Kind.SPACE, Kind.RECIPE)
    path = places[Kind.EVOLVE]
    assert str(caught.value) == (
        f"{path}: is a file for mergekit-evolve\n"
        "  expected: a space or a recipe\n"
        f"  to do: search init --from {path}"
    )


@pytest.mark.parametrize(
    ("command", "kind", "fix"),
    [
        (("run", "{}", "--objectives", "demo"), Kind.RECIPE, "search init --from {} for a space"),
        (("run", "{}"), Kind.OBJECTIVES, "search run SPACE --objectives {}"),
        (("run", "demo", "--objectives", "{}"), Kind.SPACE, "search run {} --objectives FILE"),
        (("build", "{}", "-o", "m"), Kind.SPACE, "search run {} --objectives FILE"),
        (("build", "{}", "-o", "m"), Kind.ADAPTER, "model: BASE+{}"),
        (("score", "{}", "--objectives", "demo"), Kind.MODEL, "model: {}"),
        (("check", "{}"), Kind.EVOLVE, "search init --from {}"),
        (("build", "{}", "-o", "m"), Kind.EVOLVE, "search init --from {}"),
        (("build", "{}", "-o", "m"), Kind.MOE, "build the mixture with mergekit-moe"),
        (("check", "{}"), Kind.RUN, "search front {}"),
        (("front", "{}"), Kind.GGUF, "search score {} --objectives FILE"),
        (("status", "{}"), Kind.RECIPE, "search build {} --out model.gguf"),
        (("run", "{}", "--objectives", "demo"), Kind.NOTEBOOK, "copy the recipe, the space"),
        (("build", "{}", "-o", "m"), Kind.ARCHIVE, "unpack it"),
        (("check", "{}"), Kind.TASK, "name its folder in an objectives file: task_folder: "),
        (("run", "demo", "--objectives", "{}"), Kind.OF_RUN, "search front "),
        (("report", "{}"), Kind.WEIGHTS, "name its folder in a recipe or a space: model: "),
        (("init", "--from", "{}"), Kind.SPACE, "search run {} --objectives FILE"),
    ],
)
def test_commands_answer_what_is_not_theirs(
    places: dict[Kind, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: tuple[str, ...],
    kind: Kind,
    fix: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    outcome = search(*(part.format(places[kind]) for part in command))
    assert outcome.code == 2
    assert f"is {kind}\n" in outcome.err
    assert fix.format(places[kind]) in outcome.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", [("run", "{}"), ("check", "{}"), ("init", "--from", "{}")])
def test_a_folder_in_the_place_of_a_file_is_called_one(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    outcome = search(*(part.format(tmp_path) for part in command))
    assert (outcome.code, f"{tmp_path}: is a folder, not a file" in outcome.err) == (2, True)


def test_a_file_in_the_place_of_a_run_folder_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a note")
    assert search("list", tmp_path / "notes.txt").code == 2
    outcome = search("front", tmp_path / "notes.txt")
    assert outcome.code == 2
    assert f"{tmp_path / 'notes.txt'}: is a file, not a run folder" in outcome.err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("notes.txt", "is not a GGUF file or a recipe\n"),
        ("missing.gguf", "no such file\n  expected: a GGUF file or a recipe\n"),
        ("empty", "is a folder, not a file\n  expected: a GGUF file or a recipe\n"),
    ],
)
def test_what_is_no_model_is_called_what_it_is(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a note")
    (tmp_path / "empty").mkdir()
    outcome = search("score", tmp_path / name, "--objectives", "demo")
    assert (outcome.code, outcome.err) == (2, f"error: {tmp_path / name}: {message}")
    outcome = search("doctor", "--phone", tmp_path / name)
    expected = message.replace(" or a recipe", "")
    assert (outcome.code, outcome.err) == (2, f"error: {tmp_path / name}: {expected}")
