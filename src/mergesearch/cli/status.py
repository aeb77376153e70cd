"""`search status`: how far a run has got."""

from __future__ import annotations

import json
import time

from mergesearch._system.terminal import say
from mergesearch.cli.options import AsJson, Folder
from mergesearch.report.progress import working
from mergesearch.report.status import Status, render_status
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.run import Run


def command(folder: Folder, as_json: AsJson = False) -> None:
    """Show how far a run has got.

    Trials done and failed, who is at work and when that was last heard of, and the best scores so
    far.

    Example: search status results/demo
    """
    run = Run(folder)
    with working("reading the run"):
        status = Status.of(
            run.record, run.front(), run.trials(), run.workers(), running=run.is_running()
        )
    if as_json:
        say(json.dumps(status.to_dict(), indent=2, ensure_ascii=False))
    else:
        SafeConsole().print(render_status(status, time.time()))
