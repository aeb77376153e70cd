"""`search sweep` in the folder of a run, and what the run then says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command import search
from helpers.shared_run import Run, front_of

from mergesearch.runs.run import Run as ReadRun
from mergesearch.runs.sweep import paid_for, sweep


def test_a_run_is_swept_in_its_folder_and_compared(run: Run, swept: Path) -> None:
    assert "sweep" not in front_of(run.folder)
    shares = [trial.shares["demo:instruct"] for trial in ReadRun(swept / "sweep").trials()]
    assert shares == pytest.approx([1.0, 0.0, 0.625], abs=1e-3)
    found = front_of(swept)["sweep"]
    low, high = found["interval"]
    assert low <= found["difference"] <= high
    assert found["rung"] == "validate"
    assert {member["trial"] for member in found["front"]} <= {0, 1, 2}
    again = search("sweep", swept, "--trials", 3)
    assert (again.code, "nothing to do" in again.out) == (0, True), again
    for shown in (again.out, search("front", swept).out):
        assert "hypervolume: the search " in shown


def test_a_sweep_costs_what_the_run_cost(run: Run) -> None:
    assert paid_for(ReadRun(run.folder)) == len(
        [trial for trial in ReadRun(run.folder).trials() if trial.reused_from is None]
    )


def test_too_few_trials_and_other_parents_are_refused() -> None:
    wrong = search("sweep", "demo", "--between", "demo:instruct", "nobody")
    assert (wrong.code, "'nobody' are not two parents" in wrong.err) == (2, True), wrong
    with pytest.raises(Exception, match="2 trials are too few for a sweep"):
        sweep("demo", trials=2)
