"""`search status`: how far a run is."""

from __future__ import annotations

import time

from mergesearch.cli.options import Folder
from mergesearch.report import render_status
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.run import Run


def command(folder: Folder) -> None:
    """Show how far a run is.

    Trials done and failed, whether a process is at work, and the best scores so far.

    Example: search status results/demo
    """
    run = Run(folder)
    status = render_status(run.record, run.trials(), running=run.is_running(), now=time.time())
    SafeConsole().print(status)
