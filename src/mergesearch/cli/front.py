"""`search front`: the Pareto front of a run, finished or going on."""

from __future__ import annotations

import json

from mergesearch._system.terminal import say
from mergesearch.cli.options import AsJson, Folder
from mergesearch.report import render_front
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.run import Run


def command(folder: Folder, as_json: AsJson = False) -> None:
    """Show the Pareto front of a run.

    Search and validated scores, shares of the parents, and the knee.

    Example: search front results/demo --json
    """
    front = Run(folder).front()
    if as_json:
        say(json.dumps(front.to_dict(), indent=2, ensure_ascii=False))
    else:
        console = SafeConsole()
        console.print(render_front(front, console.width))
