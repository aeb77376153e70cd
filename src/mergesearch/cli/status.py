"""`search status`: how far a run is."""

from __future__ import annotations

from mergesearch.cli.options import RunFolder


def command(folder: RunFolder) -> None:
    """Show how far a run is.

    Trials done and failed, whether a process is at work, and the best scores so far.

    Example: search status results/demo
    """
    import time

    from rich.console import Console

    from mergesearch.report import render_status
    from mergesearch.study.ledger import Ledger
    from mergesearch.study.lock import is_running

    with Ledger.open(folder) as ledger:
        run, trials = ledger.run(), ledger.trials()
    console = Console()
    console.print(render_status(run, trials, running=is_running(folder), now=time.time()))
