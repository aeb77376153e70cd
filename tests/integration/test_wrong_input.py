"""Wrong input: exit code 2, one clear message, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.command import search

from mergesearch._system import resources

SPACE = {
    "merge_method": "linear",
    "models": [
        {"model": "first", "parameters": {"weight": {"search": [0, 1]}}},
        {"model": "second", "parameters": {"weight": {"search": [0, 1]}}},
    ],
}


@pytest.fixture
def parents(tmp_path: Path) -> Path:
    """Two copies of a bundled parent, to be damaged."""
    for name in ("first", "second"):
        shutil.copytree(resources.parent_folder("demo:base"), tmp_path / name)
    return tmp_path


def run(folder: Path, document: Any = SPACE, *extra: object) -> Any:
    """`search run` on a space whose parents are the two copies."""
    space = folder / "space.yaml"
    space.write_text(yaml.safe_dump(document))
    names = ("first", "second")
    pairs = [part for name in names for part in ("--parent", f"{name}={folder / name}")]
    return search("run", space, "--objectives", "demo", "--out", folder / "out", *pairs, *extra)


def refused(outcome: Any, folder: Path, *messages: str) -> None:
    """Check the exit code, the message, and that no run folder was begun."""
    assert outcome.code == 2, outcome
    for message in messages:
        assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modelz": []}, "did you mean `models`"),
        ({"merge_method": "magic"}, "unknown merge_method 'magic'"),
        (
            {"models": [{"model": "nowhere", "parameters": {"weight": {"search": [0, 1]}}}]},
            "nowhere",
        ),
    ],
)
def test_a_space_with_something_unknown(
    parents: Path, change: dict[str, Any], message: str
) -> None:
    refused(run(parents, SPACE | change), parents, message)


def _reshape(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name] = torch.cat([tensors[name]] * 2).contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _lose_a_shard(folder: Path) -> None:
    index = {
        "metadata": {},
        "weight_map": {"model.embed_tokens.weight": "model-00002-of-00002.safetensors"},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def _corrupt(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:])


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "messages"),
    [
        (_reshape, ("model.layers.0.mlp.up_proj.weight", "512", "1024")),
        (_lose_a_shard, ("model-00002-of-00002.safetensors",)),
        (_truncate, ("model.safetensors",)),
        (_corrupt, ("model.safetensors",)),
        (_pickle, ("pytorch_model.bin", "safetensors")),
    ],
)
def test_a_parent_that_cannot_be_merged(
    parents: Path, damage: Callable[[Path], None], messages: tuple[str, ...]
) -> None:
    damage(parents / "second")
    refused(run(parents), parents, *messages)


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ("objectives: {o: {tasks: [{task: demo_instruct, metric: bleu}], reference: 0}}", "bleu"),
        (
            "objectives: {o: {tasks: [{task: demo_instruct, metric: prompt_strict,"
            " search_items: 100000}]}}",
            "100320 items",
        ),
        ("objectives: {o: {tasks: []}}", "needs `tasks`"),
    ],
)
def test_objectives_that_cannot_be_scored(parents: Path, objectives: str, message: str) -> None:
    path = parents / "objectives.yaml"
    path.write_text(objectives + f"\ntask_folder: {resources.objectives_folder() / 'demo'}\n")
    outcome = run(parents, SPACE, "--objectives", path)
    refused(outcome, parents, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "no-such-space"), "no search space 'no-such-space'"),
        (("run", "demo", "--objectives", "nothing"), "no objectives file 'nothing'"),
        (("run", "demo", "--sampler", "oracle"), "oracle"),
        (("run", "demo", "--until", "25:00"), "25:00"),
        (("run", "demo", "--parent", "demo:base"), "ID=DIR"),
        (("run", "demo", "--trials", "0"), "--trials"),
        (("front", "."), "not a run folder"),
        (("show", ".", "0"), "not a run folder"),
        (("status", "."), "not a run folder"),
        (("export", "."), "not a run folder"),
        (("front", "results/none"), "no such folder\n  to do: name the folder that"),
        (("build", "nothing.yaml", "-o", "x.gguf"), "no such file"),
        (("build", "results/none", "-o", "x.gguf"), "search list shows the runs in results"),
        (("build", ".", "-o", "x.gguf"), "is a folder without a run"),
        (("score", "nothing.gguf", "--objectives", "demo"), "nothing.gguf"),
    ],
)
def test_arguments_that_name_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = search(*arguments)
    assert outcome.code == 2, outcome
    assert message in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run_folder_is_left_alone(parents: Path) -> None:
    (parents / "out").mkdir()
    (parents / "out" / "thesis.txt").write_text("mine")
    outcome = run(parents)
    assert outcome.code == 2
    assert [path.name for path in (parents / "out").iterdir()] == ["thesis.txt"]


def test_an_empty_folder_stays_when_a_run_never_began(parents: Path) -> None:
    (parents / "out").mkdir()
    outcome = run(parents, SPACE | {"base_modl": "x"})
    assert outcome.code == 2
    path = parents / "objectives.yaml"
    tasks = resources.objectives_folder() / "demo"
    path.write_text(
        f"objectives: {{o: {{tasks: [{{task: demo_choice, metric: bleu}}]}}}}\ntask_folder: {tasks}"
    )  # which the scoring process finds out
    assert run(parents, SPACE, "--objectives", path).code == 2
    assert list((parents / "out").iterdir()) == []


def test_an_override_of_an_unknown_parent(parents: Path) -> None:
    outcome = run(parents, SPACE, "--parent", f"frist={parents / 'first'}")
    refused(outcome, parents, "no parent 'frist'", "first, second")


RECIPE = "merge_method: linear\nmodels: [{model: demo:base, parameters: {weight: 1}}]\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--quant", "Q9_X", "-o", "m.gguf"), "Q4_K_M"),
        (("--to", "safetensors", "--quant", "Q4_0", "-o", "m"), "--to gguf"),
        (("-o", "folder"), "folder: is a folder\n  to do: name a file in it, such as folder/NAME"),
        (("-o", "pipe", "--force"), "not a regular file, so it is left alone"),
        (("-o", "recipe.yaml"), ".yaml is not the ending of a GGUF"),
        (("-o", "m.safetensors"), ".safetensors is not the ending of a GGUF"),
        (("--to", "safetensors", "-o", "m.gguf"), "--to safetensors writes a folder"),
        (("--to", "safetensors", "-o", "-"), "--to safetensors writes a folder"),
        (("--to", "safetensors", "-o", "full"), "is not empty"),
        (("--to", "safetensors", "-o", "full", "--force"), "holds more than a model"),
        (("-o", "recipe.yaml/m.gguf"), "recipe.yaml"),
        (("--to", "safetensors", "-o", "recipe.yaml/m"), "recipe.yaml"),
    ],
)
def test_builds_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(RECIPE)
    Path("folder").mkdir()
    Path("full").mkdir()
    Path("full/thesis.txt").write_text("mine")
    os.mkfifo("pipe")
    before = sorted(Path().rglob("*"))
    outcome = search("build", "recipe.yaml", *arguments)
    assert outcome.code == 2, outcome
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(Path().rglob("*")) == before
    assert Path("pipe").is_fifo()


def test_scoring_something_that_is_no_model(objectives: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    (tmp_path / "text.gguf").write_text("hello")
    for name, code, message in (
        ("", 2, "a folder"),
        ("text.gguf", 2, "not a GGUF file"),
        ("broken.gguf", 1, "broken.gguf: llama.cpp cannot load this GGUF"),
    ):
        outcome = search("score", tmp_path / name, "--objectives", objectives)
        assert (outcome.code, message in outcome.err) == (code, True), outcome


def test_prompts_that_lose_their_beginning_are_told(demo_tasks: Path, tmp_path: Path) -> None:
    path = tmp_path / "objectives.yaml"
    path.write_text(
        "objectives: {o: {tasks: [{task: demo_instruct, metric: prompt_strict,"
        " search_items: 8, validate_items: 8}]}}\nruntime: {n_ctx: 64}\n"
        f"task_folder: {demo_tasks}\n"
    )
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    outcome = search("score", tmp_path / "recipe.yaml", "--objectives", path)
    assert outcome.code == 0, outcome
    assert "8 of 8 prompts were longer than the context" in outcome.out


def test_what_takes_more_memory_than_is_allowed(parents: Path) -> None:
    before = sorted(parents.rglob("*"))
    outcome = run(parents, SPACE, "--memory", "1MB")
    assert outcome.code == 2
    assert "and 1 MB is allowed: the candidate 3 MB, llama.cpp's repacked copy of it" in (
        outcome.err
    )
    (parents / "space.yaml").unlink()
    assert sorted(parents.rglob("*")) == before
    recipe = parents / "recipe.yaml"
    models = [{"model": "demo:base", "parameters": {"weight": 1.0}}]
    recipe.write_text(yaml.safe_dump({"merge_method": "linear", "models": models}))
    outcome = search("score", recipe, "--objectives", "demo", "--memory", "1MB")
    assert (outcome.code, "1 MB is allowed" in outcome.err) == (2, True), outcome


def test_a_memory_that_is_no_size_or_has_nothing_to_count(parents: Path) -> None:
    for size in ("lots", "12", "0GB"):
        outcome = run(parents, SPACE, "--memory", size)
        assert (outcome.code, "such as 12GB or 800MB" in outcome.err) == (2, True), outcome
    model = parents / "model.gguf"
    model.write_bytes(b"GGUF")
    outcome = search("score", model, "--objectives", "demo", "--memory", "1GB")
    assert (outcome.code, "memory only works with a recipe" in outcome.err) == (2, True), outcome
