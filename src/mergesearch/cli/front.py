"""`search front`: the Pareto front of a run, finished or going on."""

from __future__ import annotations

import json

from mergesearch.cli.options import AsJson, RunFolder


def command(folder: RunFolder, as_json: AsJson = False) -> None:
    """Show the Pareto front of a run.

    Search and validated scores, shares of the parents, and the knee.

    Example: search front results/demo --json
    """
    from mergesearch.study.front import Front
    from mergesearch.study.ledger import Ledger

    with Ledger.open(folder) as ledger:
        found = Front.of(ledger.run().axes, ledger.trials())
    if as_json:
        print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    from mergesearch.report import render_front

    console = Console()
    console.print(render_front(found, console.width))
