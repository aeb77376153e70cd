"""What `search run` does around a run."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path

import pytest

from mergesearch.cli.run import _notified
from mergesearch.errors import Interrupted, MergeSearchError
from mergesearch.study.events import RunOpened


@pytest.mark.parametrize(
    ("error", "state"),
    [(None, "finished"), (Interrupted("stopped"), "stopped"), (MergeSearchError("x"), "failed")],
)
def test_a_command_is_told_how_and_where_a_run_ended(
    tmp_path: Path, error: Exception | None, state: str
) -> None:
    told = tmp_path / "told"
    command = f'echo "$MERGESEARCH_STATE $MERGESEARCH_FOLDER" > {shlex.quote(str(told))}'
    with suppress(MergeSearchError, Interrupted), _notified(command) as observe:
        observe(RunOpened("demo", 9, "demo", ("reasoning",), Path("results/demo")))
        if error is not None:
            raise error
    assert told.read_text() == f"{state} results/demo\n"


def test_a_command_that_fails_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    with _notified("exit 3"):
        pass
    assert capsys.readouterr().err == "note: the command of --notify ended with 3\n"
