"""Two candidates compared item by item, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from mergesearch.objectives import PairedDifference, TaskDifference
from mergesearch.report import text
from mergesearch.report.tables import ruled_table
from mergesearch.study.records import Axis


def render_comparison(
    first: str,
    second: str,
    differences: Mapping[str, PairedDifference],
    axes: Sequence[Axis],
    rung: str,
) -> RenderableType:
    """Return by how much one candidate is ahead of another, with its tasks where there are several.

    Args:
        differences: Difference of each objective, first minus second.
    """
    table = ruled_table()
    table.add_column("", no_wrap=True)
    table.add_column("difference (95 %)", justify="right", no_wrap=True)
    table.add_column("items", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for axis in axes:
        difference = differences[axis.name]
        table.add_row(
            axis.name,
            text.difference(difference, axis.percent),
            _counts(difference),
            _verdict(*difference.interval(), axis.direction == "minimize"),
        )
        if len(difference.tasks) > 1:
            for task in difference.tasks:
                shown = text.difference(task, axis.percent)
                table.add_row(f"  {task.task}", shown, _counts(task))
    unscored = sum(difference.n_unscored for difference in differences.values())
    notes = [f"items: better/worse/equal for {first}"]
    if unscored:
        notes.append(f"{text.plural(unscored, 'item')} left out: scored for one of them only")
    return Group(
        Text(f"{first} minus {second}, on the {rung} items", style="bold"),
        table,
        Text("\n".join(notes), style="dim"),
    )


def _counts(difference: PairedDifference | TaskDifference) -> str:
    equal = difference.n - difference.better - difference.worse
    return f"{difference.better}/{difference.worse}/{equal}"


def _verdict(low: float, high: float, minimized: bool) -> str:
    if low <= 0 <= high:
        return "not clear"
    return "better" if (low > 0) is not minimized else "worse"
