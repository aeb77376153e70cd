"""Proxies: what they are made of, which trials are promoted, how far they can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mergesearch.errors import ObjectivesError
from mergesearch.objectives import ItemResult, Objective, Objectives, Rung, Score, TaskResult
from mergesearch.study.pareto import non_dominated
from mergesearch.study.records import COMPLETE, Axis, Reference, TrialRecord

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
        trials: that have both.
    """

    correlation: float | None
    trials: int

    @property
    def misleads(self) -> bool:
        """Whether the correlation is known and too small."""
        return self.correlation is not None and self.correlation < TRUSTED


def agreements(axes: Sequence[Axis], trials: Sequence[TrialRecord]) -> dict[str, Agreement]:
    """Return the agreement of each axis that has a proxy, over the promoted trials."""
    both = [one for one in trials if one.scores(Rung.PROXY) and one.scores()]
    return {
        axis.name: _agreement(
            [one.scores(Rung.PROXY)[axis.name].value for one in both],
            [one.scores()[axis.name].value for one in both],
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
    axes: Sequence[Axis], trials: Sequence[TrialRecord], scores: Mapping[str, Score]
) -> bool:
    """Whether no complete trial so far dominates `scores` on the proxy rung."""
    others = [
        one.scores(Rung.PROXY)
        for one in trials
        if one.state == COMPLETE and one.reused_from is None and one.scores(Rung.PROXY)
    ]
    values = [[one[axis.name].value for axis in axes] for one in (*others, scores)]
    return len(others) in non_dominated(values, [axis.direction for axis in axes])


def candidates(objectives: Objectives, parents: Sequence[str]) -> list[str]:
    """Return the parents that have to be measured to find the specialists.

    Raises:
        ObjectivesError: a named specialist is none of the parents.
    """
    proxied = [one for one in objectives.objectives if one.proxy]
    for one in proxied:
        if one.specialist is not None and one.specialist not in parents:
            raise ObjectivesError(
                f"the specialist {one.specialist!r} is no parent of the space",
                where=one.name,
                expected=", ".join(parents),
            )
    if any(one.specialist is None for one in proxied):
        return list(parents)
    named = {one.specialist for one in proxied}
    return [one for one in parents if one in named]


def specialists(
    objectives: Objectives, scores: Mapping[str, Mapping[str, Score]]
) -> dict[str, str]:
    """Return the specialist of each objective that has a proxy.

    Args:
        objectives: of the search.
        scores: each measured parent's scores on the search items.
    """
    return {
        one.name: one.specialist or max(scores, key=lambda ref: scores[ref][one.name].value)
        for one in objectives.objectives
        if one.proxy
    }


def correct_answers(
    objective: Objective, specialist: str, results: Mapping[str, TaskResult]
) -> list[Reference]:
    """Return what a specialist answered right on its objective's search items.

    Right is what every metric of the objective gives 1. Tasks of choices have no answers: their
    proxy is the gold choice's margin.

    Raises:
        ObjectivesError: a task has fewer right answers than a proxy needs.
    """
    references: list[Reference] = []
    for task in dict.fromkeys(use.task for use in objective.uses):
        metrics = [use.metric for use in objective.uses if use.task == task]
        generated = [one for one in results[task].items if one.text is not None]
        right = [one for one in generated if _is_right(one, metrics)]
        if generated and len(right) < MIN_ANSWERS:
            raise ObjectivesError(
                f"{specialist} answers {len(right)} of {len(generated)} items right, "
                f"and a proxy needs {MIN_ANSWERS}",
                where=f"{objective.name}.{task}",
                fix="raise search_items, name another `specialist`, or leave out `proxy`",
            )
        references += [Reference(task, one.item, specialist, one.text or "") for one in right]
    return references


def _is_right(one: ItemResult, metrics: Sequence[str]) -> bool:
    return bool((one.text or "").strip()) and all(one.metrics.get(name, 0) >= 1 for name in metrics)


def by_task(references: Sequence[Reference]) -> dict[str, dict[int, str]]:
    """Return the answers as a scorer takes them."""
    answers: dict[str, dict[int, str]] = {}
    for one in references:
        answers.setdefault(one.task, {})[one.item] = one.text
    return answers
