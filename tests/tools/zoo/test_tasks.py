"""The generated task data: repeatable, held out from training, and consistent with its checks."""

import json
from pathlib import Path
from typing import Any

import pytest

from mergesearch.tasks.checks import answer_results, instruct_results
from tools.zoo.tasks import SIZES, build_tasks, write_tasks

DATA = Path(__file__).parents[3] / "objectives" / "demo"


@pytest.fixture(scope="module")
def tasks() -> dict[str, list[dict[str, Any]]]:
    """The items that are bundled."""
    return {
        name: [json.loads(line) for line in (DATA / f"{name}.jsonl").open(encoding="utf-8")]
        for name in SIZES
    }


@pytest.mark.long
def test_the_committed_data_is_what_the_seed_gives(tmp_path: Path) -> None:
    """Writing the data anew gives the same bytes."""
    write_tasks(tmp_path)
    for name in SIZES:
        assert (tmp_path / f"{name}.jsonl").read_bytes() == (DATA / f"{name}.jsonl").read_bytes()


@pytest.mark.long
def test_another_seed_gives_other_items(tasks: dict[str, Any]) -> None:
    """The seed decides."""
    assert build_tasks(1) != tasks


def test_sizes_and_distinct_questions(tasks: dict[str, Any]) -> None:
    """Each task has its number of items, and asks nothing twice."""
    assert {name: len(items) for name, items in tasks.items()} == SIZES
    assert all(len({i["question"] for i in items}) == len(items) for items in tasks.values())


def test_reference_answers_pass_their_own_checks(tasks: dict[str, Any]) -> None:
    """A perfect model would score 1."""
    for item in tasks["demo_instruct"]:
        assert instruct_results(item, [item["answer"]])["prompt_strict"] == 1.0, item
    for item in tasks["demo_answer"]:
        assert answer_results(item, [item["answer"]]) == {"exact": 1.0}, item
    for item in tasks["demo_choice"]:
        assert len(set(item["choices"])) == len(item["choices"]) in (3, 4)
        assert 0 <= item["label"] < len(item["choices"])


def test_the_prompt_alone_does_not_pass(tasks: dict[str, Any]) -> None:
    """Copying the question is not an answer."""
    items = tasks["demo_instruct"]
    assert not any(instruct_results(i, [i["question"]])["prompt_strict"] for i in items)


def test_the_data_has_one_type_per_field(tasks: dict[str, Any]) -> None:
    """Arrow reads the lines with one type per column."""
    for rows in tasks.values():
        assert len({tuple((k, type(v)) for k, v in row.items()) for row in rows}) == 1
