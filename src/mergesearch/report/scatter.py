"""The front as a scatter of characters: trials, members with their errors, parents, the knee."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from mergesearch.objectives import Score
from mergesearch.recipe.shares import short_names
from mergesearch.report import text
from mergesearch.study.front import Front
from mergesearch.study.records import Axis, TrialRecord

KNEE, MEMBER, PARENT, DOMINATED, SWEPT = "◆", "●", "▲", "·", "×"
NARROWEST = 48
"""Columns below which there is no room for a scatter."""

_STYLES = {
    KNEE: "bold green",
    MEMBER: "green",
    PARENT: "yellow",
    SWEPT: "red",
    "─": "dim",
    "│": "dim",
}
_TICKS = 5


def render_scatter(
    front: Front, trials: Sequence[TrialRecord], width: int, sweep: Sequence[TrialRecord] = ()
) -> Text:
    """Return a scatter of the first two objectives' search values; better is up and to the right.

    Args:
        width: Columns that there are, `NARROWEST` at least.
        sweep: Trials of the sweep that the run is compared with.
    """
    across, upward = front.axes[:2]
    shown, swept = scored(trials), scored(sweep)
    columns = _Scale.of(across, [*shown, *swept], min(width, 120) - 9)
    rows = _Scale.of(upward, [*shown, *swept], max(10, min(width, 120) // 4 - 4))
    canvas = _Canvas(columns, rows)
    members = {member.trial for member in front.members}
    for trial in shown:
        if trial.number not in members:
            canvas.point(trial, DOMINATED)
    for trial in swept:
        canvas.point(trial, SWEPT)
    for trial in shown:
        if trial.number in members:
            canvas.errors(trial)
    for trial in shown:
        if trial.number in members:
            canvas.point(trial, KNEE if trial.number == front.knee else MEMBER)
    parents = [trial for trial in shown if trial.parent is not None]
    for trial in parents:
        if trial.number != front.knee:
            canvas.point(trial, PARENT)
    result = Text()
    for line in canvas.lines():
        result.append_text(line).append("\n")
    return result.append_text(_legend(parents, bool(swept)))


def scored(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials with search scores of their own."""
    return [trial for trial in trials if trial.scores() and trial.reused_from is None]


def _legend(parents: Sequence[TrialRecord], swept: bool) -> Text:
    names = short_names([trial.parent or "" for trial in parents])
    labels = [f"{name} (trial {trial.number})" for name, trial in zip(names, parents, strict=True)]
    legend = f"{KNEE} knee   {MEMBER} front   {DOMINATED} dominated   ─│ standard error"
    legend += f"   {SWEPT} sweep" if swept else ""
    return Text(legend + (f"\n{PARENT} {', '.join(labels)}" if labels else ""), style="dim")


@dataclass(frozen=True)
class _Scale:
    """One axis of the plot: values from worst to best over so many cells."""

    axis: Axis
    worst: float
    best: float
    cells: int
    step: float

    @classmethod
    def of(cls, axis: Axis, trials: Sequence[TrialRecord], cells: int) -> _Scale:
        """Return the scale that holds all scores with their errors, from tick to tick."""
        scores = [trial.scores()[axis.name] for trial in trials]
        low = min(score.value - score.stderr for score in scores)
        high = max(score.value + score.stderr for score in scores)
        if axis.percent:
            low, high = max(0.0, low), min(1.0, high)
        step = text.tick_step((high - low) or abs(high) or 1.0, _TICKS)
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        if low == high:
            low, high = low - step, high + step
        worst, best = (low, high) if axis.direction == "maximize" else (high, low)
        return cls(axis, worst, best, cells, step)

    def cell(self, value: float) -> int:
        """Return the cell of a value, the nearest one where it lies outside."""
        share = (value - self.worst) / (self.best - self.worst)
        return min(self.cells - 1, max(0, round(share * (self.cells - 1))))

    def ticks(self) -> Iterator[tuple[int, str]]:
        """Yield the cell and the label of each tick."""
        count = round(abs(self.best - self.worst) / self.step)
        for index in range(count + 1):
            value = self.worst + (self.best - self.worst) * index / count
            yield self.cell(value), text.tick(value, self.step, self.axis.percent)


class _Canvas:
    """Cells that points are put in, later ones over earlier ones; the first row is the worst."""

    def __init__(self, columns: _Scale, rows: _Scale) -> None:
        self._columns = columns
        self._rows = rows
        self._across, self._upward = columns.axis.name, rows.axis.name
        self._cells = [[" "] * columns.cells for _ in range(rows.cells)]

    def _scores(self, trial: TrialRecord) -> tuple[Score, Score]:
        scores = trial.scores()
        return scores[self._across], scores[self._upward]

    def point(self, trial: TrialRecord, mark: str) -> None:
        """Put a mark where a trial is."""
        across, upward = self._scores(trial)
        self._cells[self._rows.cell(upward.value)][self._columns.cell(across.value)] = mark

    def errors(self, trial: TrialRecord) -> None:
        """Draw one standard error to each side of a trial."""
        across, upward = self._scores(trial)
        column, row = self._columns.cell(across.value), self._rows.cell(upward.value)
        for cell in _cells_between(self._columns, across):
            self._cells[row][cell] = "─"
        for cell in _cells_between(self._rows, upward):
            self._cells[cell][column] = "│"

    def lines(self) -> Iterator[Text]:
        """Yield the plot's lines from the best row down, with both axes' labels."""
        labels = dict(self._rows.ticks())
        margin = max(len(label) for label in labels.values())
        yield Text(f"{'':>{margin}} {self._upward}")
        for row in reversed(range(self._rows.cells)):
            line = Text(
                f"{labels.get(row, ''):>{margin}} ┤" if row in labels else " " * margin + " │"
            )
            for mark in self._cells[row]:
                line.append(mark, style=_STYLES.get(mark))
            line.rstrip()
            yield line
        ruler, numbers = ["─"] * self._columns.cells, [" "] * (self._columns.cells + 4)
        for cell, label in self._columns.ticks():
            ruler[cell] = "┬"
            start = max(0, min(cell - len(label) // 2, len(numbers) - len(label)))
            numbers[start : start + len(label)] = label
        yield Text(" " * margin + " └" + "".join(ruler))
        yield Text((" " * (margin + 2) + "".join(numbers)).rstrip())
        yield Text(f"{self._across:>{margin + 2 + self._columns.cells}}")


def _cells_between(scale: _Scale, score: Score) -> range:
    """The cells from one standard error below a score to one above it."""
    ends = sorted(
        scale.cell(value) for value in (score.value - score.stderr, score.value + score.stderr)
    )
    return range(ends[0], ends[1] + 1)
