"""How far a piece of work is, where there is no terminal."""

from __future__ import annotations

import time

import pytest

from mergesearch.report.progress import _Lines, progress, steps, working


def test_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 4.0, 10.0, 12.0, 20.5])
    told = _Lines("building", "blocks", lambda: next(times))
    for done in (1, 2, 3, 4):
        told(done, 8)
    assert capsys.readouterr().err == (
        "building: 2/8 blocks, 10 s so far, 30 s left\n"
        "building: 4/8 blocks, 20 s so far, 20 s left\n"
    )


def test_steps_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with steps() as told:
        told("opening the parents")
    assert capsys.readouterr() == ("", "opening the parents ...\n")


def test_what_is_over_at_once_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("building", "blocks") as told:
        told(1, 1)
    assert capsys.readouterr() == ("", "")


def test_what_takes_longer_than_a_second_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with working("reading the run", seconds=60):
        pass
    assert capsys.readouterr() == ("", "")
    with working("reading the run", seconds=0.01):
        time.sleep(0.2)
    assert capsys.readouterr() == ("", "reading the run ...\n")


def test_work_that_fails_is_no_longer_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), working("reading the run", seconds=0.2):
        _ = 1 / 0
    time.sleep(0.3)
    assert capsys.readouterr() == ("", "")
