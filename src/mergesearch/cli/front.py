"""`search front`: the Pareto front of a run, finished or going on."""

from __future__ import annotations

import json

from mergesearch._system.terminal import say
from mergesearch.cli.options import AsJson, Folder
from mergesearch.report import render_front
from mergesearch.report.scatter import NARROWEST, render_scatter
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.run import Run


def command(folder: Folder, as_json: AsJson = False) -> None:
    """Show the Pareto front of a run.

    A scatter of its trials, then its members: search and validated scores, shares of the parents,
    and the knee.

    Example: search front results/demo --json
    """
    run = Run(folder)
    front = run.front()
    if as_json:
        say(json.dumps(front.to_dict(), indent=2, ensure_ascii=False))
    else:
        console = SafeConsole()
        if len(front.axes) > 1 and front.members and console.width >= NARROWEST:
            console.print(render_scatter(front, run.trials(), console.width), "", sep="\n")
        console.print(render_front(front, console.width))
