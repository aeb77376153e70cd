"""Runs in a folder, each in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergesearch.report import text
from mergesearch.report.tables import best_members, known_by
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
            "confirmed": None if front is None else front.search is not None,
            "best": None if front is None else _best_values(front),
        }

    def in_words(self) -> str:
        """Return the state, the trials, the size of the front, and the best of each objective."""
        front = self.front
        if front is None:
            return f"{self.state}: {self.problem}"
        failed = f" ({front.failed} failed)" if front.failed else ""
        counted = f"{text.plural(front.trials, 'trial')}{failed}, {len(front.members)} on the front"
        percents = {axis.name: axis.percent for axis in front.axes}
        values = _best_values(front).items()
        best = ", ".join(f"{name} {text.value(value, percents[name])}" for name, value in values)
        return f"{self.state}, {counted}" + (f"; best {best} ({known_by(front)})" if best else "")


def _best_values(front: Front) -> dict[str, float]:
    return {name: member.known[name].value for name, member in best_members(front).items()}
