"""How far a piece of work is, where there is no terminal."""

from __future__ import annotations

import io
import time

import pytest

from mergesearch.report.progress import _lines, progress, steps, working


def test_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 4.0, 10.0, 12.0, 20.5])
    told = _lines("building", "blocks", lambda: next(times))
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


class Terminal(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let standard error be a terminal; pytest would undo that of a fixture."""
    monkeypatch.setenv("TERM", "xterm")
    found = Terminal()
    monkeypatch.setattr("sys.stderr", found)
    return found


def test_what_takes_longer_than_a_second_is_said_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = terminal(monkeypatch)
    with working("reading the run", seconds=60):
        pass
    assert shown.getvalue() == ""
    with working("reading the run", seconds=0.01):
        time.sleep(0.2)
    assert "reading the run" in shown.getvalue()


def test_work_that_fails_is_no_longer_said(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = terminal(monkeypatch)
    with pytest.raises(ZeroDivisionError), working("reading the run", seconds=0.2):
        _ = 1 / 0
    time.sleep(0.3)
    assert shown.getvalue() == ""


def test_elsewhere_work_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    with working("reading the run", seconds=0.01):
        time.sleep(0.1)
    assert capsys.readouterr() == ("", "")
