"""What may be compared with what, on pretended runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.objectives_file import load

from mergesearch.errors import InputError
from mergesearch.objectives import ItemResult, Objectives, Rung
from mergesearch.runs.compare import compare, is_scored_first
from mergesearch.runs.run import shared_rung

ONE = "objectives: {reasoning: {tasks: [{task: say, metric: exact}]}}"
BEST = 7


def items(values: Sequence[float]) -> list[ItemResult]:
    return [ItemResult("say", number, {"exact": value}) for number, value in enumerate(values)]


class PretendedRun:
    """A run whose trials have these values of their items."""

    def __init__(self, values: Mapping[int, Sequence[float]], otherwise: bool = False) -> None:
        self.folder = SimpleNamespace(objectives=Path("objectives.yaml"))
        self._values = values
        self._otherwise = otherwise

    def objectives(self) -> Objectives:
        return load(ONE)

    def parent_called(self, name: str) -> str | None:
        return "demo:instruct" if name in ("demo:instruct", "instruct") else None

    def pick(self, which: str) -> Any:
        numbers = {"knee": BEST, "instruct": 0, "demo:instruct": 0}
        return SimpleNamespace(number=numbers[which] if which in numbers else int(which))

    def items(self, number: int, rung: str) -> list[ItemResult]:
        assert rung == "search"
        return items(self._values[number])

    def results(self, number: int, rung: Rung) -> list[ItemResult]:
        return self.items(number, rung) if rung == Rung.SEARCH else []

    def refuse_scored_otherwise(self, other: Any) -> None:
        if other._otherwise:
            raise InputError("its run was started with different objectives")


RUN: Any = PretendedRun({0: [1, 0, 0, 1], BEST: [1, 1, 0, 1]})


def test_two_trials_of_the_run() -> None:
    found = compare(RUN, "knee", "0")
    assert (found.first, found.second, found.rung) == ("trial 7", "trial 0", Rung.SEARCH)
    assert list(found.differences) == ["reasoning"]
    assert (found.differences["reasoning"].value, found.differences["reasoning"].better) == (
        0.25,
        1,
    )


def test_two_trials_are_compared_where_they_have_more_items_in_common() -> None:
    def results(search: range, validate: range) -> Any:
        numbers = {Rung.SEARCH: search, Rung.VALIDATE: validate}
        return lambda rung: [ItemResult("say", number, {}) for number in numbers[rung]]

    knee = results(range(20, 40), range(4))
    assert shared_rung(knee, results(range(20), range(4))) == Rung.VALIDATE
    assert shared_rung(knee, results(range(30), range(4))) == Rung.SEARCH
    assert shared_rung(knee, results(range(20), range(0))) == Rung.SEARCH


def test_a_rung_that_there_is_not_is_an_error_of_ours() -> None:
    with pytest.raises(InputError, match="unknown rung 'second'\n  expected: search or validate"):
        compare(RUN, "knee", "0", "second")


def test_a_parent_is_named_by_its_id_or_the_last_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a folder is called as the beginning of its id, or as a whole one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    (tmp_path / "instruct").mkdir()
    for name in ("instruct", "demo:instruct"):
        assert compare(RUN, "knee", name).second == "trial 0"


def test_a_trial_of_another_run_whose_folder_may_have_colons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "night:2"
    folder.mkdir()
    opened = []

    def open_run(path: str) -> Any:
        opened.append(path)
        return PretendedRun({3: [0, 0, 0, 1]})

    monkeypatch.setattr("mergesearch.runs.compare.Run", open_run)
    found = compare(RUN, f"{folder}:3", "0")
    assert opened == [str(folder)]
    assert (found.first, found.second) == (f"trial 3 of {folder}", "trial 0")
    assert found.differences["reasoning"].value == -0.25


def test_a_run_that_was_scored_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = PretendedRun({}, otherwise=True)
    monkeypatch.setattr("mergesearch.runs.compare.Run", lambda path: other)
    with pytest.raises(InputError, match="different objectives"):
        compare(RUN, "0", f"{tmp_path}:3")


def test_a_file_is_scored_on_the_runs_items_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def score(model: str, objectives: Path, **options: Any) -> Any:
        asked.append((model, objectives, options["rung"]))
        return SimpleNamespace(items=lambda: items([1, 1, 1, 1]))

    monkeypatch.setattr("mergesearch.runs.compare.score", score)
    monkeypatch.setattr("mergesearch.runs.compare.read_objectives", lambda path: path)
    found = compare(RUN, "shipped.gguf", "0")
    assert asked == [("shipped.gguf", Path("objectives.yaml"), "search")]
    assert (found.first, found.differences["reasoning"].value) == ("shipped.gguf", 0.5)


@pytest.mark.parametrize(
    ("which", "expected"),
    [("a.gguf", True), ("r.yaml", True), ("r.yml", True), ("17", False), ("run:knee", False)],
)
def test_files_have_to_be_scored(which: str, expected: bool) -> None:
    assert is_scored_first(which) == expected
