"""Items that one trial solved and another did not, with what was asked and answered."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from mergesearch.objectives import ItemResult, Objectives
from mergesearch.report import text
from mergesearch.scoring.texts import ItemText, Texts
from mergesearch.study.pareto import sign_of


@dataclass(frozen=True)
class Flip:
    """An item on which two trials differ.

    Attributes:
        metric: First metric of the objectives in which they differ.
        first: Result of the first trial.
        second: Result of the second trial.
        better: Whether the first trial is the better one.
    """

    metric: str
    first: ItemResult
    second: ItemResult
    better: bool

    @property
    def key(self) -> tuple[str, int]:
        """Task and number of the item."""
        return self.first.task, self.first.item


def flips(
    objectives: Objectives, first: Sequence[ItemResult], second: Sequence[ItemResult]
) -> list[Flip]:
    """Return the items on which two trials differ in a metric that an objective uses.

    Items that one of both could not score are left out.
    """
    others = {(item.task, item.item): item for item in second if not item.unscored}
    found: list[Flip] = []
    for item in first:
        other = others.get((item.task, item.item))
        if other is None or item.unscored:
            continue
        for metric, sign in _metrics(objectives, item.task).items():
            gap = sign * (item.metrics[metric] - other.metrics[metric])
            if gap:
                found.append(Flip(metric, item, other, gap > 0))
                break
    return found


def _metrics(objectives: Objectives, task: str) -> dict[str, int]:
    """The used metrics of a task, with 1 where more is better and -1 where less is."""
    return {
        use.metric: sign_of(objective.direction)
        for objective in objectives.objectives
        for use in objective.uses
        if use.task == task
    }


def render_flips(
    names: tuple[str, str],
    found: Sequence[Flip],
    rung: str,
    *,
    texts: Texts | None = None,
    limit: int | None = None,
    width: int = 80,
) -> str:
    """Return the items on which two trials differ as plain lines, each direction by itself.

    Args:
        texts: What items ask; None where that is not known.
        limit: Number of items to show of each direction; None for all.
        width: Columns that there are.
    """
    first, second = names
    gained = [flip for flip in found if flip.better]
    lost = [flip for flip in found if not flip.better]
    lines = [
        f"{first} against {second}, on the {rung} items: "
        f"better on {len(gained)}, worse on {len(lost)}"
    ]
    for side, word in ((gained, "better"), (lost, "worse")):
        for index, flip in enumerate(side[:limit], 1):
            lines.append(f"\n{word} {index} of {len(side)}: {_heading(flip)}")
            task, number = flip.key
            lines += _body(names, flip, (texts or {}).get(task, {}).get(number), width)
        if limit is not None and len(side) > limit:
            lines.append(f"\n{text.plural(len(side) - limit, 'more item')} {word}: raise --limit")
    return "\n".join(lines)


def _heading(flip: Flip) -> str:
    task, number = flip.key
    values = f"{flip.first.metrics[flip.metric]:g} against {flip.second.metrics[flip.metric]:g}"
    return f"{task}, item {number}, {flip.metric} {values}"


def _body(names: tuple[str, str], flip: Flip, asked: ItemText | None, width: int) -> Iterator[str]:
    rows = []
    if asked is not None:
        rows.append(("question", asked.question))
        if asked.choices:
            rows.append(("choices", " / ".join(asked.choices)))
        rows.append(("expected", asked.expected))
    for name, item in zip(names, (flip.first, flip.second), strict=True):
        if item.text is not None:
            rows.append((name, item.text.strip() or "(no text)"))
    margin = max((len(label) for label, _ in rows), default=0) + 4
    for label, value in rows:
        for number, line in enumerate(_wrapped(value, width - margin)):
            head = f"  {label}" if number == 0 else ""
            yield f"{head:<{margin}}{line}"


def _wrapped(value: str, width: int) -> list[str]:
    """A text's lines, the long ones broken between words."""
    lines = [textwrap.wrap(line, max(20, width)) or [""] for line in value.splitlines() or [""]]
    return [part for parts in lines for part in parts]


def cut_note(items: Iterable[ItemResult]) -> str | None:
    """Return a warning where prompts lost their beginning, None where none did."""
    cut = [item.cut > 0 for item in items]
    if not any(cut):
        return None
    return (
        f"warning: {sum(cut)} of {len(cut)} prompts were longer than the context and lost their"
        " beginning; raise runtime.n_ctx"
    )


_NEAR_ZERO, _CLEARLY_MORE = 0.05, 0.2


def filter_notes(items: Iterable[ItemResult]) -> list[str]:
    """Return a warning for each metric that is near 0 through one filter and not through another.

    The answers are then right in a form that the one filter does not look for.
    """
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for item in items:
        for name, value in item.metrics.items():
            metric, joint, filter_ = name.partition(",")
            if joint:
                filters = found.setdefault((item.task, metric), {})
                filters.setdefault(filter_, []).append(value)
    notes = []
    for (task, metric), filters in found.items():
        means = {name: fmean(values) for name, values in filters.items()}
        low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
        if means[low] <= _NEAR_ZERO and means[high] >= _CLEARLY_MORE:
            few, many = text.whole_percent(means[low]), text.whole_percent(means[high])
            notes.append(
                f"warning: {task}: {metric} is {few} through {low} and {many} through {high}:"
                f" right answers, but not in the form that {low} looks for"
            )
    return notes


def item_notes(items: Iterable[ItemResult]) -> list[str]:
    """Return all warnings that the items of one candidate give."""
    items = list(items)
    cut = cut_note(items)
    return [*([] if cut is None else [cut]), *filter_notes(items)]
