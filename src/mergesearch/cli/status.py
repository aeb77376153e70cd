"""`search status`: how far a run has got."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import typer
from rich.live import Live

from mergesearch._system.terminal import say
from mergesearch.cli.options import AsJson, Folder
from mergesearch.errors import Interrupted
from mergesearch.report.progress import working
from mergesearch.report.status import Status, render_status
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.run import Run

WATCH_SECONDS = 2.0
"""Time between two looks at a run that is watched."""


def command(
    folder: Folder,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep showing it until the run ends, or until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show how far a run has got.

    Shows the trials done and failed, the workers with their last sign of life, and the best scores
    so far. Watching disturbs nothing; with --json it prints a line whenever something has changed.

    Example: search status results/demo --watch
    """
    run = Run(folder)
    if watch:
        with suppress(Interrupted):  # which ends the watching, not the run
            _watch(run, as_json)
        return
    with working("reading the run"):
        status = _status(run)
    if as_json:
        say(json.dumps(status.to_dict(), indent=2, ensure_ascii=False))
    else:
        SafeConsole().print(render_status(status, time.time()))


def _status(run: Run) -> Status:
    return Status(run.record, run.front(), run.trials(), run.workers(), running=run.is_running())


def _statuses(run: Run) -> Iterator[Status]:
    """How a run stands, again and again until nobody works on it."""
    while True:
        status = _status(run)
        yield status
        if not status.running:
            return
        time.sleep(WATCH_SECONDS)


def _watch(run: Run, as_json: bool) -> None:
    """Show a run in one place of a terminal; elsewhere whenever something has changed."""
    console = SafeConsole()
    if console.is_terminal and not as_json:
        with Live(console=console, auto_refresh=False) as live:
            for status in _statuses(run):
                live.update(render_status(status, time.time()), refresh=True)
        return
    before = None
    for status in _statuses(run):
        document = status.to_dict()
        changed = (document["running"], document["trials"], document["validated"])
        if changed == before:
            continue
        before = changed
        if as_json:
            say(json.dumps(document, ensure_ascii=False))
        else:
            console.print(render_status(status, time.time()), "", sep="\n")
