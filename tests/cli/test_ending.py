"""The command that an interruption names, and the one that is run at the end."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path

import pytest

from mergesearch.cli.ending import ending, remembered
from mergesearch.errors import Interrupted, MergeSearchError
from mergesearch.study.events import Event, RunOpened, RunStarted
from mergesearch.study.stopping import StopRule

OPENED = RunOpened("demo", 9, "demo", ("reasoning",), Path("results/my run"))
STARTED = RunStarted((), StopRule(9, None), "gp", ())


def test_the_options_that_a_run_does_not_remember() -> None:
    assert remembered([], None, None, None, False) == []
    options = remembered(["base=b", "a=x/a"], Path("t.gguf"), 2, 12 * 10**9, True)
    assert " ".join(options) == (
        "--parent base=b --parent a=x/a --template t.gguf --threads 2 --memory 12000MB"
        " --trust-tasks"
    )


@pytest.mark.parametrize(
    ("events", "fix"),
    [
        ([OPENED, STARTED], "resume: search run --out 'results/my run' --threads 2"),
        ([OPENED], None),  # nothing of it is on record
        ([], None),
    ],
)
def test_an_interruption_names_the_way_on_where_there_is_one(
    events: list[Event], fix: str | None
) -> None:
    def interrupted() -> None:
        with ending(["--threads", "2"]) as observe:
            for event in events:
                observe(event)
            raise Interrupted("stopped")

    with pytest.raises(Interrupted, match="stopped") as caught:
        interrupted()
    assert caught.value.fix == fix


@pytest.mark.parametrize(
    ("error", "state"),
    [(None, "finished"), (Interrupted("stopped"), "stopped"), (MergeSearchError("x"), "failed")],
)
def test_a_command_is_told_how_and_where_a_run_ended(
    tmp_path: Path, error: Exception | None, state: str
) -> None:
    told = tmp_path / "told"
    command = f'echo "$MERGESEARCH_STATE $MERGESEARCH_FOLDER" > {shlex.quote(str(told))}'
    with suppress(MergeSearchError, Interrupted), ending([], command) as observe:
        observe(RunOpened("demo", 9, "demo", ("reasoning",), Path("results/demo")))
        if error is not None:
            raise error
    assert told.read_text() == f"{state} results/demo\n"


def test_a_command_that_fails_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    with ending([], "exit 3"):
        pass
    assert capsys.readouterr().err == "note: the command of --notify ended with 3\n"
