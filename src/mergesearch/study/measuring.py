"""Measuring a recipe: build it, score it on a rung or two, and turn failures into measurements."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from mergesearch.errors import (
    MergeSearchError,
    ObjectivesError,
    ParentChanged,
    ScoringError,
    StorageError,
)
from mergesearch.objectives import ItemResult, Items, Rung, Score, TaskResult
from mergesearch.recipe import Recipe
from mergesearch.scoring import OnProgress
from mergesearch.study.building import Builder, Built
from mergesearch.study.events import Observer, ParentMeasured, Progressed, StageStarted, TriedAgain
from mergesearch.study.proposing import Proposer
from mergesearch.study.proxies import promotes
from mergesearch.study.recording import RunRecorder
from mergesearch.study.records import Measurement, TrialRecord
from mergesearch.study.settings import Search
from mergesearch.study.stopping import SignalGuard

_FAILURES = (MergeSearchError, OSError, MemoryError)
_ENDINGS = (ObjectivesError, ParentChanged, StorageError)
"""What ends the run, not the trial."""

Result = TypeVar("Result")
Following = Callable[[], Recipe | None]
"""Gives the recipe to build while a candidate is scored, None where there is none."""


@dataclass(frozen=True)
class Step:
    """What every step of a run works with.

    Attributes:
        search: Search of the run.
        recorder: Records of the run.
        proposer: Proposer of the trials.
        guard: Guard of the stages that a signal may interrupt.
        observe: Function that is called with every event.
    """

    search: Search
    recorder: RunRecorder
    proposer: Proposer
    guard: SignalGuard
    observe: Observer


@dataclass(frozen=True)
class Measuring(Step):
    """Measures the candidates of a run.

    Attributes:
        builder: Builder of the candidates.
    """

    builder: Builder

    def trial(self, number: int, recipe: Recipe, following: Following) -> dict[Rung, Measurement]:
        """Measure a trial on the first rung; after a proxy on the search rung too, if promoted.

        What an earlier trial measured, the recipe or its candidate, is not measured again. Whatever
        fails on the way is the measurement's failure.
        """
        first, history = self.recorder.run().first_rung, self.recorder.history
        twin = history.with_recipe(recipe.digest())
        if twin is not None:
            return {first: self.recorder.reuse(number, twin)}
        try:
            with self._candidate(number, first, recipe) as built:
                candidate = built.candidate
                self.recorder.study.note(number, digest=candidate.digest, size=candidate.size)
                twin = history.with_candidate(candidate.digest)
                if twin is not None:
                    same = self.recorder.reuse(number, twin)
                    return {first: replace(same, build_seconds=built.seconds)}
                self._start_building(following)
                if first is Rung.SEARCH:
                    return {first: self._search(built, number)}
                measured: dict[Rung, Measurement] = {first: self._score(built, number, first)}
                if first is Rung.PROXY and self._promotes(number, measured[first]):
                    scored = replace(built, seconds=0.0)  # it is built once
                    measured[Rung.SEARCH] = self._search(scored, number)
                return measured
        except _FAILURES as error:
            return {first: Measurement(failure=self._reason(error))}

    def member(
        self, member: TrialRecord, following: Following, items: Items | None = None
    ) -> Measurement:
        """Measure a member of the front on validate items; another candidate is a failure."""
        number, recipe = member.number, Recipe.from_dict(dict(member.recipe))
        try:
            with self._candidate(number, Rung.VALIDATE, recipe) as built:
                if built.candidate.digest != member.candidate_digest:
                    raise ScoringError(
                        f"the rebuilt candidate is {built.candidate.digest}",
                        where=f"trial {number}",
                        expected=f"{member.candidate_digest}, which the search scored",
                    )
                self._start_building(following)
                return self._score(built, number, Rung.VALIDATE, items)
        except _FAILURES as error:
            return Measurement(failure=self._reason(error))

    def parent(self, parent: str) -> Measurement:
        """Measure a parent as it is on the search items; what fails is raised."""
        with self.guard.interruptible():
            built = self.builder.build(self.search.parents[parent])
            with built.candidate as candidate:
                start = time.perf_counter()
                results = self.search.score(candidate, Rung.SEARCH, lambda report: None, None)
                seconds = time.perf_counter() - start
        scores = self.search.objectives.scores(results)
        self.observe(ParentMeasured(parent, scores, built.seconds + seconds))
        return Measurement(scores, _items(results), built.seconds, seconds)

    @contextmanager
    def _candidate(self, number: int, rung: Rung, recipe: Recipe) -> Iterator[Built]:
        """Build a candidate, and close it at the end; a signal interrupts at once."""
        with self.guard.interruptible():
            self.observe(StageStarted(number, rung, "building"))
            built = self._twice(number, lambda: self.builder.build(recipe))
            with built.candidate:
                yield built

    def _twice(self, number: int, action: Callable[[], Result]) -> Result:
        """Do something, and once more where the reason of a failure lies outside of the trial."""
        try:
            return action()
        except (MergeSearchError, MemoryError) as error:
            if isinstance(error, MergeSearchError) and not error.passing:
                raise
            self.guard.check()
            self.observe(TriedAgain(number, _words(error)))
        return action()

    def _start_building(self, following: Following) -> None:
        if (recipe := following()) is not None:
            self.builder.start(recipe)

    def _search(self, built: Built, number: int) -> Measurement:
        """Score a candidate on the search items: on all, or on parts for as long as it matters."""
        if not self.search.objectives.scores_parts:
            return self._score(built, number, Rung.SEARCH)
        order = self.search.order()[Rung.SEARCH]
        race = self.recorder.race(number, order, is_start=self.proposer.starts(number))
        seconds = 0.0
        while (items := race.next_part()) is not None:
            part = self._score(built, number, Rung.SEARCH, items)
            race.take(part.items)
            seconds += part.score_seconds
            if part.failure is not None:
                return replace(part, items=race.items, score_seconds=seconds)
        self.recorder.study.note(number, race=asdict(race.record()))
        return Measurement(race.scores(), race.items, built.seconds, seconds)

    def _score(
        self, built: Built, number: int, rung: Rung, items: Items | None = None
    ) -> Measurement:
        """Score a candidate; what fails is the measurement's failure, but for an interruption."""
        found: Sequence[ItemResult] = ()
        seconds = 0.0
        start = time.perf_counter()
        try:
            self.observe(StageStarted(number, rung, "scoring"))
            progress = self._progress(number, rung)
            results = self._twice(
                number, lambda: self.search.score(built.candidate, rung, progress, items)
            )
            found, seconds = self._kept(results), time.perf_counter() - start
            return Measurement(self._scores(results, rung), found, built.seconds, seconds)
        except _FAILURES as error:
            return Measurement({}, found, built.seconds, seconds, self._reason(error))

    def _scores(self, results: Mapping[str, TaskResult], rung: Rung) -> Mapping[str, Score]:
        scores = self.search.objectives.scores(results, rung)
        for name, score in scores.items():
            if not (math.isfinite(score.value) and math.isfinite(score.stderr)):
                raise ScoringError(f"{score.value} ± {score.stderr} is not a score", where=name)
        return scores

    def _kept(self, results: Mapping[str, TaskResult]) -> list[ItemResult]:
        """What the ledger keeps of results: all, or all but the texts."""
        items = _items(results)
        keeps_texts = self.search.objectives.keep_texts
        return items if keeps_texts else [replace(item, text=None) for item in items]

    def _promotes(self, number: int, measured: Measurement) -> bool:
        """Whether the metric itself is measured: on the starts, and on what no trial dominates."""
        if measured.failure is not None:
            return False
        axes = self.recorder.run().axes
        own = [measured.scores[axis.name].value for axis in axes]
        directions = [axis.direction for axis in axes]
        before = self.recorder.history.values
        return self.proposer.starts(number) or promotes(before, own, directions)

    def _progress(self, number: int, rung: Rung) -> OnProgress:
        return lambda report: self.observe(
            Progressed(number, rung, report.task, report.done, report.total)
        )

    def _reason(self, error: BaseException) -> str:
        """Why a measurement failed, where that is what the error says.

        What no later candidate could do better with is raised again.
        """
        if isinstance(error, _ENDINGS):
            raise error
        self.guard.check()  # a failure of what the signal reached first is an interruption
        return _words(error)


def _items(results: Mapping[str, TaskResult]) -> list[ItemResult]:
    return [item for result in results.values() for item in result.items]


def _words(error: BaseException) -> str:
    match error:
        case MergeSearchError():
            return str(error)
        case MemoryError():
            return "there is no more memory"
        case _:
            return f"{type(error).__name__}: {error}"
