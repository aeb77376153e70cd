"""From the records of a run to what its page shows."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mergesearch._system.terminal import printable
from mergesearch.errors import MergeSearchError
from mergesearch.objectives import Rung, Score
from mergesearch.recipe import Recipe
from mergesearch.recipe.shares import short_names
from mergesearch.report import text
from mergesearch.report.growth import hypervolumes
from mergesearch.report.page.items import ItemSheet
from mergesearch.report.page.model import (
    Page,
    PageAxis,
    PageGrowth,
    PageTrial,
    Point,
)
from mergesearch.report.tables import (
    confirmed_notes,
    counts,
    members_in_words,
    proxy_notes,
    racing_notes,
)
from mergesearch.scoring.texts import ItemText, Texts
from mergesearch.space import Space
from mergesearch.study.front import Front
from mergesearch.study.records import Axis, RunRecord, TrialRecord

_LAYERS = 24  # layers at which coefficients over depth are drawn, at most
_PAUSE = 10  # median trials; a longer time between two trials is a run that was stopped
_MOST_RECIPES = 400  # trials; of more, dominated mixtures have no recipe, so that the page is small


def readable_trials(front: Front, trials: Sequence[TrialRecord]) -> dict[int, None]:
    """Return the trials whose answers are worth reading: the front's members and the parents."""
    members = [member.trial for member in front.members]
    return dict.fromkeys(members + [trial.number for trial in trials if trial.parent])


def page_of(
    run: RunRecord,
    trials: Sequence[TrialRecord],
    front: Front,
    sheet: ItemSheet,
    questions: Texts,
    facts: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    *,
    swept: Sequence[TrialRecord] = (),
    importances: Mapping[str, Mapping[str, float]] | None = None,
) -> Page:
    """Return the page of a run.

    Args:
        trials: Every trial, by number.
        front: Front of the run, confirmed where it is.
        questions: What items ask.
        facts: Named facts that stand before the run's own.
        notes: Sentences that a person should know before judging the front.
        swept: Trials of a sweep of the run's space.
        importances: Share of each dimension in the variance of each objective.
    """
    parents = list(dict.fromkeys(ref for trial in trials for ref in trial.shares))
    seconds = _seconds_before(trials)
    growth = _growth(run.axes, trials, sheet.tokens, seconds)
    maker = _TrialMaker(run, front, parents, seconds, len(trials) <= _MOST_RECIPES)
    return Page(
        name=printable(run.name),
        facts=(*facts, *_facts(run, front, growth)),
        notes=(*notes, *_notes(front)),
        axes=tuple(_axis(axis, front) for axis in run.axes),
        uses=sheet.uses,
        parents=tuple(map(printable, short_names(parents))),
        trials=tuple(maker.trial(trial) for trial in trials),
        growth=growth,
        items=sheet.pages(),
        questions={
            task: {number: _printable(asked) for number, asked in texts.items()}
            for task, texts in questions.items()
        },
        strings=sheet.strings,
        sweep=_sweep(run.axes, swept),
        importances={
            printable(name): {printable(key): _rounded(share) for key, share in shares.items()}
            for name, shares in (importances or {}).items()
            if shares
        },
    )


def _sweep(axes: Sequence[Axis], swept: Sequence[TrialRecord]) -> tuple[tuple[Point, ...], ...]:
    """Search scores of a sweep's trials, along the shares of its first parent."""
    known = [trial for trial in swept if trial.scores() and trial.reused_from is None]
    if not known:
        return ()
    first = next(iter(known[0].shares), "")
    known.sort(key=lambda trial: trial.shares.get(first, 0.0))
    return tuple(tuple(_point(trial.scores().get(axis.name)) for axis in axes) for trial in known)


def _notes(front: Front) -> list[str]:
    """What a person should know of the front, one sentence each."""
    named = (*proxy_notes(front), *racing_notes(front))
    return [*confirmed_notes(front), *(f"{name}: {note}" for name, note in named)]


def _printable(asked: ItemText) -> ItemText:
    choices = tuple(map(printable, asked.choices))
    return ItemText(printable(asked.question), choices, printable(asked.expected))


def _facts(
    run: RunRecord, front: Front, growth: Sequence[PageGrowth]
) -> tuple[tuple[str, str], ...]:
    facts = [
        ("done", counts(front)),
        ("front", members_in_words(front)),
        ("hypervolume", f"{front.hypervolume:.4f}"),
        ("sampler", f"{run.sampler}, seed {run.seed}"),
        ("started", f"{run.created.astimezone():%Y-%m-%d %H:%M}"),
    ]
    if growth:
        facts.append(("worked", text.duration(growth[-1].seconds)))
    if run.versions:
        versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
        facts.append(("versions", versions))
    return tuple((printable(name), printable(fact)) for name, fact in facts)


def _axis(axis: Axis, front: Front) -> PageAxis:
    agreement = front.proxies.get(axis.name)
    return PageAxis(
        name=printable(axis.name),
        minimize=axis.direction == "minimize",
        reference=axis.reference,
        percent=axis.percent,
        correlation=None if agreement is None else agreement.correlation,
    )


class _TrialMaker:
    """Makes the trials of a page.

    Args:
        before: Seconds before each trial in which it was proposed.
        all_recipes: Whether dominated mixtures have their recipe, too.
    """

    def __init__(
        self,
        run: RunRecord,
        front: Front,
        parents: Sequence[str],
        before: Mapping[int, float],
        all_recipes: bool,
    ) -> None:
        self._axes = run.axes
        self._front = front
        self._members = {member.trial: member for member in front.members}
        self._parents = parents
        self._before = before
        self._all_recipes = all_recipes
        self._space = _space(run)
        self._starts = [] if self._space is None else self._space.starts()

    def trial(self, trial: TrialRecord) -> PageTrial:
        """Return what the page has of a trial."""
        parent, hand = trial.parent, dict(trial.parameters) in self._starts
        notable = trial.number in self._members or parent is not None or hand
        build, score = _build_and_score(trial)
        recipe = _recipe(trial) if notable or self._all_recipes else None
        return PageTrial(
            number=trial.number,
            state=str(trial.state),
            note=printable(_note(trial)),
            member=trial.number in self._members,
            knee=trial.number == self._front.knee,
            parent=None if parent is None else self._short(parent),
            hand=hand,
            reused=trial.reused_from is not None,
            scores=self._scores(trial),
            shares=tuple(_rounded(trial.shares.get(ref, 0.0)) for ref in self._parents),
            ratio=printable(trial.words[0] if trial.words else _shares_in_words(trial.shares)),
            depth=self._depth(recipe) if recipe is not None and notable else (),
            parameters=self._parameters(trial),
            recipe="" if recipe is None else printable(recipe.to_yaml()),
            digest=trial.candidate_digest or "",
            size="" if trial.candidate_size is None else text.size(trial.candidate_size),
            build=build,
            score=score,
            other=max(0.0, (trial.seconds or 0.0) - build - score),
            before=self._before.get(trial.number, 0.0),
        )

    def _parameters(self, trial: TrialRecord) -> dict[str, Any]:
        unused = set() if self._space is None else self._space.unused(trial.parameters)
        return {name: value for name, value in trial.parameters.items() if name not in unused}

    def _scores(self, trial: TrialRecord) -> dict[str, tuple[Point, ...]]:
        """Scores by rung, and under `confirmed` what the confirmed front tells of a member."""
        found = {str(rung): trial.scores(rung) for rung in trial.rungs if trial.scores(rung)}
        member = self._members.get(trial.number)
        if member is not None and member.confirmed is not None:
            found["confirmed"] = member.confirmed.values
        return {
            rung: tuple(_point(scores.get(axis.name)) for axis in self._axes)
            for rung, scores in found.items()
        }

    def _short(self, parent: str) -> str:
        names = short_names(list(self._parents))
        return printable(names[self._parents.index(parent)])

    def _depth(self, recipe: Recipe) -> tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]:
        layers = recipe.layer_shares(_LAYERS)
        return tuple(
            (
                tuple(_rounded(layer.attention.get(ref, 0.0)) for layer in layers),
                tuple(_rounded(layer.mlp.get(ref, 0.0)) for layer in layers),
            )
            for ref in self._parents
        )


def _space(run: RunRecord) -> Space | None:
    """The space of a run, None where it cannot be read."""
    try:
        return Space.from_yaml(run.space)
    except MergeSearchError:
        return None


def _recipe(trial: TrialRecord) -> Recipe | None:
    return Recipe.from_dict(dict(trial.recipe)) if trial.recipe else None


def _shares_in_words(shares: Mapping[str, float]) -> str:
    named = zip(short_names(list(shares)), shares.values(), strict=True)
    return ", ".join(f"{100 * share:.1f} % {name}" for name, share in named)


def _note(trial: TrialRecord) -> str:
    if trial.failure is not None:
        return trial.failure
    if trial.reused_from is not None:
        return f"the same candidate as trial {trial.reused_from}"
    return "stopped early" if trial.race is not None and trial.race.stopped else ""


def _point(score: Score | None) -> Point:
    return None if score is None else (_rounded(score.value), _rounded(score.stderr))


def _rounded(value: float) -> float:
    return round(value, 6) if math.isfinite(value) else 0.0


def _build_and_score(trial: TrialRecord) -> tuple[float, float]:
    rungs = [record for rung, record in trial.rungs.items() if rung is not Rung.VALIDATE]
    build = sum(record.build_seconds for record in rungs)
    return build, sum(record.score_seconds for record in rungs)


def _seconds_before(trials: Sequence[TrialRecord]) -> dict[int, float]:
    """Seconds from the end of one trial to the start of the next; pauses of the run are 0."""
    times = [trial.seconds for trial in trials if trial.seconds]
    longest = _PAUSE * statistics.median(times) if times else 0.0
    found = {}
    for former, trial in itertools.pairwise(trials):
        if former.ended is not None:
            seconds = (trial.started - former.ended).total_seconds()
            found[trial.number] = seconds if 0 < seconds <= longest else 0.0
    return found


def _growth(
    axes: Sequence[Axis],
    trials: Sequence[TrialRecord],
    tokens: Mapping[int, int],
    before: Mapping[int, float],
) -> tuple[PageGrowth, ...]:
    finished = [trial for trial in trials if trial.finished]
    growth: list[PageGrowth] = []
    n_tokens, seconds = 0, 0.0
    for trial, volume in zip(finished, hypervolumes(axes, finished), strict=True):
        if trial.reused_from is None:
            n_tokens += tokens.get(trial.number, 0)
        seconds += (trial.seconds or 0.0) + before.get(trial.number, 0.0)
        growth.append(PageGrowth(len(growth) + 1, n_tokens, seconds, volume))
    return tuple(growth)
