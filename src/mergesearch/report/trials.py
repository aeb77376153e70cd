"""All trials of a run as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from mergesearch._system.terminal import printable
from mergesearch.recipe.shares import short_names
from mergesearch.report import text
from mergesearch.report.scatter import KNEE, MEMBER
from mergesearch.report.tables import ruled_table
from mergesearch.study.front import Front
from mergesearch.study.pareto import sign_of
from mergesearch.study.records import Axis, State, TrialRecord


def in_order(trials: Sequence[TrialRecord], axes: Sequence[Axis], sort: str) -> list[TrialRecord]:
    """Return trials by `number`, by `seconds`, or the best in an objective first.

    Trials without what they are sorted by come last.
    """
    if sort == "number":
        return sorted(trials, key=lambda trial: trial.number)
    signs = {axis.name: sign_of(axis.direction) for axis in axes}

    def key(trial: TrialRecord) -> tuple[bool, float, int]:
        if sort == "seconds":
            found = trial.seconds
        else:
            found = -signs[sort] * trial.scores()[sort].value if trial.scores() else None
        return found is None, found or 0.0, trial.number

    return sorted(trials, key=key)


def render_trials(front: Front, trials: Sequence[TrialRecord]) -> RenderableType:
    """Return trials as a table in their order, the front's members and its knee marked."""
    parents = list(dict.fromkeys(ref for trial in trials for ref in trial.shares))
    members = {member.trial for member in front.members}
    table = ruled_table()
    table.add_column("", width=1)
    table.add_column("trial", justify="right", no_wrap=True)
    for axis in front.axes:
        table.add_column(axis.name, justify="right", no_wrap=True)
    table.add_column("shares", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("")  # the only one that shrinks
    for trial in trials:
        mark = KNEE if trial.number == front.knee else MEMBER if trial.number in members else ""
        table.add_row(
            mark,
            str(trial.number),
            *(text.score(trial.scores().get(axis.name), axis.percent) for axis in front.axes),
            text.shares(trial.shares, parents),
            "" if trial.seconds is None else text.duration(trial.seconds),
            Text(printable(_note(trial)), no_wrap=True, overflow="ellipsis"),
        )
    names = " / ".join(short_names(parents))
    notes = [f"{KNEE} knee   {MEMBER} front", f"shares in %: {names}" if names else ""]
    return Group(table, Text("\n".join(filter(None, notes)), style="dim"))


def _note(trial: TrialRecord) -> str:
    if trial.failure is not None:
        return f"{trial.state}: {text.first_line(trial.failure)}"
    if trial.reused_from is not None:
        return f"as trial {trial.reused_from}"
    if trial.race is not None and trial.race.stopped:
        return "stopped early"
    if trial.state is State.COMPLETE and not trial.scores():
        return "proxy only"
    return "" if trial.state is State.COMPLETE else trial.state
