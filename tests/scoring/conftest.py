from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from helpers import tiny_model
from helpers.tiny_model import RUNTIME

from mergesearch.objectives import Objectives
from mergesearch.scoring.harness import environment

if TYPE_CHECKING:
    from mergesearch.scoring.engine import Engine

environment.set_variables()  # before a test's module loads llama.cpp

GENERATED = """
task: tiny_answer
dataset_path: json
dataset_kwargs: {data_files: {test: tiny_answer.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
process_results: !function mergesearch.tasks.checks.answer_results
metric_list: [{metric: exact, aggregation: mean, higher_is_better: true}]
generation_kwargs: {until: ["<|end|>", "and"], do_sample: false, max_gen_toks: 12}
"""
CHOSEN = """
task: tiny_choice
dataset_path: json
dataset_kwargs: {data_files: {test: tiny_choice.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: label
doc_to_choice: choices
target_delimiter: ""
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: mcc, aggregation: matthews_corrcoef, higher_is_better: true}
"""
ROLLING = """
task: tiny_text
dataset_path: json
dataset_kwargs: {data_files: {test: tiny_text.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - {metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
"""
OBJECTIVES = """
task_folder: tasks
runtime: {n_ctx: 256, n_parallel: 8, n_batch: 256, chunk_items: 8, threads: 2}
objectives:
  answers:
    reference: 0
    tasks:
      - {task: tiny_answer, metric: exact, search_items: 20, validate_items: 10}
      - {task: tiny_choice, metric: acc, search_items: 20, validate_items: 10}
  text:
    direction: minimize
    reference: 100000
    tasks: [{task: tiny_text, metric: word_perplexity, search_items: 6, validate_items: 4}]
"""


def _write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="session")
def folder(prepared: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the tiny models and tasks."""
    folder = tmp_path_factory.mktemp("scoring")
    weights = tiny_model.random_weights()
    tiny_model.write_gguf(folder / "f32.gguf", weights, quantized=False)
    tiny_model.write_gguf(folder / "q4.gguf", weights, quantized=True)
    tasks = folder / "tasks"
    tasks.mkdir()
    for name, text in (("answer", GENERATED), ("choice", CHOSEN), ("text", ROLLING)):
        (tasks / f"{name}.yaml").write_text(text)
    numbers = range(32)
    _write_lines(
        tasks / "tiny_answer.jsonl",
        [
            {"question": f"Add {n} and {n * 7 % 11}.", "answer": str(n), "candidates": []}
            for n in numbers
        ],
    )
    _write_lines(
        tasks / "tiny_choice.jsonl",
        [
            {
                "question": f"Who has ball {n}{' of the many' * (n % 3)}?",
                "choices": [" Ann", " Bob", " the other", " a man"][: 3 + n % 2],
                "label": n % 3,
            }
            for n in numbers
        ],
    )
    _write_lines(
        tasks / "tiny_text.jsonl",
        [{"text": f"the {n} and the " * (2 if n % 4 else 50)} for n in numbers],
    )
    return folder


@pytest.fixture(scope="session")
def prepared() -> None:
    environment.prepare()


@pytest.fixture(scope="session")
def objectives(folder: Path) -> Objectives:
    return Objectives.from_yaml(OBJECTIVES, folder)


@pytest.fixture(scope="session")
def f32(folder: Path) -> Iterator[Engine]:
    from mergesearch.scoring.engine import Engine, log_to

    log_to(None)
    with Engine(folder / "f32.gguf", RUNTIME) as engine:
        yield engine


@pytest.fixture(scope="session")
def q4(folder: Path) -> Iterator[Engine]:
    from mergesearch.scoring.engine import Engine, log_to

    log_to(None)
    with Engine(folder / "q4.gguf", RUNTIME) as engine:
        yield engine


@pytest.fixture
def candidate(folder: Path) -> Iterator[SimpleNamespace]:
    """A candidate as a build hands it over: an open file that others open by this process."""
    with (folder / "q4.gguf").open("rb") as file:
        path = Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        yield SimpleNamespace(digest="", path=path if path.exists() else folder / "q4.gguf")
