"""Proxies: what they are made of, which trials are promoted, how far they can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mergesearch.errors import ObjectivesError
from mergesearch.objectives import ItemResult, Objective, Objectives, Rung
from mergesearch.study.pareto import non_dominated
from mergesearch.study.records import Axis, Measurement, Reference, TrialRecord

MIN_ANSWERS = 5
"""Correct answers of a specialist that a task's proxy needs."""

TRUSTED = 0.5
"""Rank correlation with the metric below which a proxy misleads more than it helps."""

MIN_TRIALS = 5
"""Trials with both values below which a rank correlation says nothing."""


@dataclass(frozen=True)
class Agreement:
    """How well the order by a proxy is the order by the metric itself.

    Attributes:
        correlation: Spearman's rank correlation; None for too few trials, or equal values.
        trials: Number of trials that have both values.
    """

    correlation: float | None
    trials: int

    @property
    def misleads(self) -> bool:
        """Whether the correlation is known and too small."""
        return self.correlation is not None and self.correlation < TRUSTED


def agreements(axes: Sequence[Axis], trials: Sequence[TrialRecord]) -> dict[str, Agreement]:
    """Return the agreement of each axis that has a proxy, over the promoted trials."""
    promoted = [trial for trial in trials if trial.scores(Rung.PROXY) and trial.scores()]
    return {
        axis.name: _agreement(
            [trial.scores(Rung.PROXY)[axis.name].value for trial in promoted],
            [trial.scores()[axis.name].value for trial in promoted],
        )
        for axis in axes
        if axis.proxy
    }


def _agreement(proxies: Sequence[float], values: Sequence[float]) -> Agreement:
    if len(values) < MIN_TRIALS or len(set(values)) == 1 or len(set(proxies)) == 1:
        return Agreement(None, len(values))
    from scipy.stats import spearmanr

    found = float(spearmanr(proxies, values).statistic)
    return Agreement(found if math.isfinite(found) else None, len(values))


def promotes(
    values: Sequence[Sequence[float]], own: Sequence[float], directions: Sequence[str]
) -> bool:
    """Whether no row of `values` (trials, objectives) on the proxy rung dominates `own`."""
    return len(values) in non_dominated([*values, own], directions)


def measured_references(
    objectives: Objectives, parents: Sequence[str], measure: Callable[[str], Measurement]
) -> tuple[Reference, ...]:
    """Return what the specialists answered right on the search items of their sides.

    Args:
        measure: Function that measures a parent on the search items.

    Raises:
        ObjectivesError: A named specialist is not a parent, or answers too few items right.
    """
    measured = {parent: measure(parent) for parent in candidates(objectives, parents)}
    references: list[Reference] = []
    for objective in objectives.objectives:
        if objective.proxy:
            specialist = objective.specialist or max(
                measured, key=lambda parent: measured[parent].scores[objective.name].value
            )
            references += correct_answers(objective, specialist, measured[specialist].items)
    return tuple(references)


def candidates(objectives: Objectives, parents: Sequence[str]) -> list[str]:
    """Return the parents that have to be measured to find the specialists.

    Raises:
        ObjectivesError: A named specialist is not one of the parents.
    """
    proxied = [objective for objective in objectives.objectives if objective.proxy]
    named = {objective.specialist: objective.name for objective in proxied}
    for specialist, objective in named.items():
        if specialist is not None and specialist not in parents:
            raise ObjectivesError(
                f"the specialist {specialist!r} is not a parent of the space",
                where=f"objectives.{objective}.specialist",
                expected=", ".join(parents),
            )
    return list(parents) if None in named else [parent for parent in parents if parent in named]


def correct_answers(
    objective: Objective, specialist: str, items: Sequence[ItemResult]
) -> list[Reference]:
    """Return what a specialist answered right on its objective's search items.

    Right is what every metric of the objective gives 1. Tasks of choices have no answers: their
    proxy is the gold choice's margin.

    Raises:
        ObjectivesError: A task has fewer right answers than a proxy needs.
    """
    references: list[Reference] = []
    for task in dict.fromkeys(use.task for use in objective.uses):
        metrics = [use.metric for use in objective.uses if use.task == task]
        generated = [item for item in items if item.task == task and item.text is not None]
        right = [item for item in generated if _is_right(item, metrics)]
        if generated and len(right) < MIN_ANSWERS:
            raise ObjectivesError(
                f"{specialist} answers {len(right)} of {len(generated)} items of {task} right, "
                f"and a proxy needs {MIN_ANSWERS}",
                where=f"objectives.{objective.name}",
                fix="raise search_items, name another `specialist`, or leave out `proxy`",
            )
        references += [Reference(task, item.item, specialist, item.text or "") for item in right]
    return references


def _is_right(item: ItemResult, metrics: Sequence[str]) -> bool:
    answered = bool((item.text or "").strip())
    return answered and all(item.metrics.get(metric, 0) >= 1 for metric in metrics)


def by_task(references: Sequence[Reference]) -> dict[str, dict[int, str]]:
    """Return the answers as a scorer takes them."""
    answers: dict[str, dict[int, str]] = {}
    for reference in references:
        answers.setdefault(reference.task, {})[reference.item] = reference.text
    return answers
