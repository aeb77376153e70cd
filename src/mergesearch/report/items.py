"""What one trial got right that another got wrong, item by item."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergesearch.objectives import ItemResult
from mergesearch.report import text


@dataclass(frozen=True)
class Gain:
    """An item that one trial did better on than another.

    Attributes:
        metric: in which it did.
        better: the one's result.
        worse: the other's result.
    """

    metric: str
    better: ItemResult
    worse: ItemResult


def gains(
    objectives: Mapping[str, Any], better: Sequence[ItemResult], worse: Sequence[ItemResult]
) -> list[Gain]:
    """Return the items on which `better` beats `worse` in a metric that an objective uses.

    Items that one of both could not score are left out.

    Args:
        objectives: the objectives document of the run.
        better: one trial's items.
        worse: the other's on the same rung.
    """
    others = {(one.task, one.item): one for one in worse}
    found: list[Gain] = []
    for one in better:
        other = others.get((one.task, one.item))
        if other is None or one.unscored or other.unscored:
            continue
        for metric, sign in _metrics(objectives, one.task).items():
            if sign * (one.metrics[metric] - other.metrics[metric]) > 0:
                found.append(Gain(metric, one, other))
                break
    return found


def _metrics(objectives: Mapping[str, Any], task: str) -> dict[str, int]:
    """The used metrics of a task, with 1 where more is better and -1 where less is."""
    return {
        use["metric"]: -1 if one["direction"] == "minimize" else 1
        for one in objectives["objectives"].values()
        for use in one["tasks"]
        if use["task"] == task
    }


def render_gains(first: int, second: int, found: Sequence[Gain], lost: int, rung: str) -> str:
    """Return the gains of trial `first` over trial `second` with their texts, as plain lines.

    Args:
        first: number of the trial that is better on them.
        second: number of the other.
        found: the gains.
        lost: on how many items it is the other way round.
        rung: that both were scored on.
    """
    head = (
        f"trial {first} is better than trial {second} on {text.plural(len(found), 'item')} "
        f"of the {rung} items, worse on {lost}"
    )
    return "\n".join([head, *(_shown(first, second, one) for one in found)])


def _shown(first: int, second: int, gain: Gain) -> str:
    better, worse = gain.better, gain.worse
    values = f"{better.metrics[gain.metric]:g} against {worse.metrics[gain.metric]:g}"
    lines = [f"\n{better.task}, item {better.item}: {gain.metric} {values}"]
    for number, one in ((first, better), (second, worse)):
        if one.text is not None:
            label = f"  {number}: "
            body = textwrap.indent(one.text.strip(), " " * len(label)).lstrip()
            lines.append(label + (body or "(no text)"))
    return "\n".join(lines)


def cut_note(items: Iterable[ItemResult]) -> str | None:
    """Return a warning where prompts lost their beginning, None where none did."""
    cut = [item.cut > 0 for item in items]
    if not any(cut):
        return None
    return (
        f"warning: {sum(cut)} of {len(cut)} prompts were longer than the context and lost their"
        " beginning; raise runtime.n_ctx"
    )
