"""Importances are computed once for the same trials."""

from __future__ import annotations

from pathlib import Path

from helpers.records import TRIALS, trial

from mergesearch.runs.kept_importances import kept_importances

FOUND = {"instruction": {"b": 0.7, "a": 0.1 + 0.2}, "reasoning": {}}


class Forests:
    """Counts how often importances are computed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> dict[str, dict[str, float]]:
        self.count += 1
        return FOUND


def test_the_same_trials_have_the_importances_that_are_kept(tmp_path: Path) -> None:
    file, forests = tmp_path / "importances.json", Forests()
    for _ in range(2):
        found = kept_importances(file, TRIALS, forests)
        assert found == FOUND
        assert list(found["instruction"]) == ["b", "a"]
    assert forests.count == 1


def test_other_scores_or_parameters_are_computed_anew(tmp_path: Path) -> None:
    file, forests = tmp_path / "importances.json", Forests()
    for trials in (
        TRIALS,
        (*TRIALS, trial(5, 0.5, 0.5)),
        (*TRIALS, trial(5, 0.5, 0.6)),
        (*TRIALS, trial(5, 0.5, 0.6, parameters={"weight": 0.8})),
    ):
        kept_importances(file, trials, forests)
    assert forests.count == 4


def test_a_damaged_file_and_a_folder_that_cannot_be_written_do_no_harm(tmp_path: Path) -> None:
    file, forests = tmp_path / "importances.json", Forests()
    file.write_text('["x", {"instruction": 7}]')
    assert kept_importances(file, TRIALS, forests) == FOUND
    assert kept_importances(file / "in-a-file", TRIALS, forests) == FOUND
    assert forests.count == 2
