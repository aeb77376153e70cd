"""What the report's page shows, as its script reads it: frozen records, every field documented.

Names of others (parents, tasks, answers) are plain strings here; the script shows them as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mergesearch.scoring.texts import Texts

Point = tuple[float, float] | None
"""A value and its standard error, None where nothing was measured."""


@dataclass(frozen=True)
class PageAxis:
    """One objective.

    Attributes:
        name: Name of the objective.
        minimize: Whether less is better.
        reference: Coordinate of the hypervolume's reference point.
        percent: Whether its values are shares, to be shown in percent.
        correlation: Rank correlation of proxy and metric, None where there is none.
    """

    name: str
    minimize: bool
    reference: float
    percent: bool
    correlation: float | None


@dataclass(frozen=True)
class PageUse:
    """One metric of one task inside an objective.

    Attributes:
        axis: Index of the objective.
        task: Name of the task.
        metric: Name of the metric.
        factor: Part of an item's value in the objective's paired difference.
    """

    axis: int
    task: str
    metric: str
    factor: float


@dataclass(frozen=True)
class PageTrial:
    """One trial.

    Attributes:
        number: Number of the trial.
        state: `complete`, `failed` or `running`.
        note: Reason of a failure, whose scores a trial reused, or that it was stopped early; empty
            for none of these.
        member: Whether it is on the front.
        knee: Whether it is the front's knee.
        parent: Short name of the parent that it is, None for a mixture.
        hand: Whether the space's file names it as one to start from.
        reused: Whether its scores are those of an earlier trial.
        scores: Value and error of each objective by rung, and under `confirmed` what the confirmed
            front tells of a member.
        shares: Share of each parent, in the order of the page's parents.
        ratio: Shares in words.
        depth: Coefficients by layer, for each parent those of attention and of the MLP; empty for
            a dominated mixture, and where the recipe gives none.
        parameters: Proposed value of each dimension that takes part in the recipe.
        recipe: Recipe as YAML; empty for a dominated mixture of a large run.
        digest: SHA-256 (hex) of the GGUF, empty where none was built.
        size: Size of the GGUF in words.
        build: Seconds of building on the rungs of the search.
        score: Seconds of scoring on the rungs of the search.
        other: Seconds of the trial that were neither.
        before: Seconds since the trial before, in which this one was proposed.
    """

    number: int
    state: str
    note: str
    member: bool
    knee: bool
    parent: str | None
    hand: bool
    reused: bool
    scores: Mapping[str, tuple[Point, ...]]
    shares: tuple[float, ...]
    ratio: str
    depth: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]
    parameters: Mapping[str, Any]
    recipe: str
    digest: str
    size: str
    build: float
    score: float
    other: float
    before: float


@dataclass(frozen=True)
class PageGrowth:
    """The hypervolume after one more trial.

    Attributes:
        trials: Number of finished trials.
        tokens: Tokens that were read and generated until then.
        seconds: Seconds that the run worked until then.
        hypervolume: Hypervolume of the front until then.
    """

    trials: int
    tokens: int
    seconds: float
    hypervolume: float


@dataclass(frozen=True)
class PageItems:
    """Values of items on one rung.

    Attributes:
        numbers: Numbers of the items by task, ascending.
        values: Values by trial and use, in the order of the numbers; None where unscored.
        answers: Index of each item's answer among the page's strings, by trial and task; None where
            it has no text.
    """

    numbers: Mapping[str, tuple[int, ...]]
    values: Mapping[int, tuple[tuple[float | None, ...], ...]]
    answers: Mapping[int, Mapping[str, tuple[int | None, ...]]]


@dataclass(frozen=True)
class Page:
    """All that the page shows.

    Attributes:
        name: Name of the run.
        facts: Named facts about the run.
        notes: Sentences that a person should know before judging the front.
        axes: Objectives.
        uses: Metrics of tasks that make up the objectives.
        parents: Short names of the parents.
        trials: Every trial, by number.
        growth: Hypervolume after each finished trial.
        items: Values of items by rung.
        questions: What items ask.
        strings: Answers, each once.
        sweep: Search scores of the trials of a sweep, from one parent to the other.
        importances: Share of each dimension in the variance of each objective, the largest first.
    """

    name: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    axes: tuple[PageAxis, ...]
    uses: tuple[PageUse, ...]
    parents: tuple[str, ...]
    trials: tuple[PageTrial, ...]
    growth: tuple[PageGrowth, ...]
    items: Mapping[str, PageItems]
    questions: Texts
    strings: tuple[str, ...]
    sweep: tuple[tuple[Point, ...], ...] = ()
    importances: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
