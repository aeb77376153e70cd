"""A small real run that the integration tests share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import search
from parents import make_parent

from mergesearch import resources

TRIALS = 7
OBJECTIVES = """
objectives:
  instruction:
    tasks: [{{task: demo_instruct, metric: prompt_strict, search_items: 24, validate_items: 24}}]
  reasoning:
    reference: 0.1
    tasks:
      - {{task: demo_answer, metric: exact, search_items: 12, validate_items: 12}}
      - {{task: demo_choice, metric: acc, search_items: 12, validate_items: 12}}
task_folder: {folder}
runtime: {{n_ctx: 512, n_parallel: 16, chunk_items: 16}}
"""


@dataclass(frozen=True)
class Run:
    """A run folder and the arguments that made it."""

    folder: Path
    arguments: tuple[object, ...]

    def again(self, folder: Path, *extra: object) -> tuple[object, ...]:
        """The arguments of the same run in another folder; `extra` ones win."""
        return (*self.arguments, "--out", folder, *extra)


def trials_of(folder: Path) -> list[dict[str, Any]]:
    """Every trial's parameters, state, digest and scores."""
    from mergesearch.ledger import Ledger

    with Ledger.open(folder) as ledger:
        return [
            {
                "number": one.number,
                "state": one.state,
                "parameters": dict(one.parameters),
                "digest": one.candidate_digest,
                "scores": {
                    rung: {name: vars(score) for name, score in found.scores.items()}
                    for rung, found in one.rungs.items()
                },
            }
            for one in ledger.trials()
        ]


def front_of(folder: Path) -> dict[str, Any]:
    """What `search front --json` prints."""
    outcome = search("front", folder, "--json")
    assert outcome.code == 0, outcome
    return dict(json.loads(outcome.out))


@pytest.fixture(scope="session")
def objectives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's objectives with few items."""
    path = tmp_path_factory.mktemp("objectives") / "small.yaml"
    path.write_text(OBJECTIVES.format(folder=resources.objectives_folder() / "demo"))
    return path


@pytest.fixture(scope="session")
def run(objectives: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the demo space."""
    folder = tmp_path_factory.mktemp("run") / "demo"
    arguments = ("run", "demo", "--objectives", objectives, "--seed", 0, "--trials", TRIALS)
    outcome = search(*arguments, "--out", folder)
    assert outcome.code == 0, outcome
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
