"""A small real run that the integration tests share."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.command import search
from helpers.made_once import made_once
from helpers.parents import make_parent
from helpers.scorer_thread import scorer_in_thread
from helpers.shared_run import OBJECTIVES, TRIALS, Run

from mergesearch._system import resources


@pytest.fixture(autouse=True, scope="module")
def _scorer_in_thread() -> Iterator[None]:
    """No process has to load lm-eval and llama.cpp anew, but for the shared run's."""
    with scorer_in_thread():
        yield


@pytest.fixture(scope="session")
def objectives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's objectives with few items."""
    path = tmp_path_factory.mktemp("objectives") / "small.yaml"
    path.write_text(OBJECTIVES.format(folder=resources.objectives_folder() / "demo"))
    return path


@pytest.fixture(scope="session")
def run(objectives: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the demo space, made once for all workers and copied."""
    arguments = ("run", "demo", "--objectives", objectives, "--seed", 0, "--trials", TRIALS)

    def make(folder: Path) -> None:
        outcome = search(*arguments, "--out", folder)
        assert outcome.code == 0, outcome

    folder = tmp_path_factory.mktemp("run") / "demo"
    shutil.copytree(made_once(tmp_path_factory, "demo-run", make), folder)
    return Run(folder, arguments)


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A GGUF of a parent whose architecture nobody knows."""
    monkeypatch.chdir(tmp_path)
    config = make_parent(Path("a")) / "config.json"
    Path("recipe.yaml").write_text(
        "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n"
    )
    assert search("build", "recipe.yaml", "--quant", "F16", "-o", "template.gguf").code == 0
    document = json.loads(config.read_text()) | {"architectures": ["NobodyForCausalLM"]}
    config.write_text(json.dumps(document))
    return "template.gguf"
