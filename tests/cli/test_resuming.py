"""The command that an interruption names."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergesearch.cli.resuming import remembered, way_on
from mergesearch.errors import Interrupted
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
        with way_on(["--threads", "2"]) as observe:
            for event in events:
                observe(event)
            raise Interrupted("stopped")

    with pytest.raises(Interrupted, match="stopped") as caught:
        interrupted()
    assert caught.value.fix == fix
