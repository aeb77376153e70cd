"""Runs in a folder as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from mergesearch._system.terminal import printable
from mergesearch.report import text
from mergesearch.report.tables import ruled_table
from mergesearch.study.front import Front


@dataclass(frozen=True)
class ListedRun:
    """One run of a folder of runs.

    Attributes:
        path: Folder of the run.
        state: `running`, `finished`, `stopped` or `unreadable`.
        front: Front as it stands, None where the run cannot be read.
        problem: Why it cannot be read, else None.
    """

    path: Path
    state: str
    front: Front | None = None
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the run as `search list --json` has it."""
        front = self.front
        return {
            "folder": str(self.path),
            "state": self.state,
            "problem": self.problem,
            "trials": None if front is None else front.trials,
            "failed": None if front is None else front.failed,
            "members": None if front is None else len(front.members),
            "hypervolume": None if front is None else front.hypervolume,
            "best": None if front is None else _best_values(front),
        }


def render_runs(runs: Sequence[ListedRun]) -> RenderableType:
    """Return runs as a table: state, trials, members of the front, the best of each objective."""
    table = ruled_table()
    table.add_column("run", overflow="fold")
    table.add_column("state", no_wrap=True)
    for heading in ("trials", "front"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("best", overflow="fold")
    for run in runs:
        name = Text(printable(str(run.path)))
        if run.front is None:
            table.add_row(name, run.state, "", "", Text(printable(run.problem or "")))
            continue
        failed = f" ({run.front.failed} failed)" if run.front.failed else ""
        table.add_row(
            name,
            run.state,
            f"{run.front.trials}{failed}",
            str(len(run.front.members)),
            Text(_best(run.front)),
        )
    return table


def _best_values(front: Front) -> dict[str, float]:
    if not front.members:
        return {}
    return {axis.name: front.best(axis.name).known[axis.name].value for axis in front.axes}


def _best(front: Front) -> str:
    values = _best_values(front)
    percents = {axis.name: axis.percent for axis in front.axes}
    return ", ".join(
        f"{name} {text.value(value, percents[name])}" for name, value in values.items()
    )
