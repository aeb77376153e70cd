"""Measuring one recipe: build it, score it on a rung or two, and turn failures into records."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mergesearch.errors import Interrupted, MergeSearchError, ObjectivesError, ScoringError
from mergesearch.objectives import Rung, Score, TaskResult
from mergesearch.recipe import Recipe
from mergesearch.study.building import Builder
from mergesearch.study.events import Event, Progressed, StageStarted
from mergesearch.study.ledger import COMPLETE, Axis, Ledger, Measurement, TrialRecord
from mergesearch.study.proxies import promotes
from mergesearch.study.settings import Candidate, Search
from mergesearch.study.stopping import SignalGuard

_FAILURES = (MergeSearchError, OSError, MemoryError)


@dataclass
class Measuring:
    """What measuring needs of a run.

    Attributes:
        search: scores.
        builder: builds.
        axes: the objectives as the front sees them.
        ledger: of the run, for what was measured before.
        guard: says where a signal may interrupt.
        observe: told of every stage.
    """

    search: Search
    builder: Builder
    axes: tuple[Axis, ...]
    ledger: Ledger
    guard: SignalGuard
    observe: Callable[[Event], None]

    def measure(
        self,
        number: int,
        rung: Rung,
        recipe: Recipe,
        *,
        digest: str = "",
        following: Callable[[], Recipe | None] = lambda: None,
    ) -> dict[Rung, Measurement]:
        """Build and score a recipe on a rung; after a proxy on the search rung too, if promoted.

        Whatever fails on the way is the measurement's failure. Where `digest` is given, a candidate
        with another one is not scored. What `following` gives is built meanwhile.
        """
        seen: dict[str, Any] = {}  # what is known when it fails
        try:
            with self.guard.interruptible():
                self.observe(StageStarted(number, rung, "building"))
                built = self.builder.build(recipe)
                with built.candidate as candidate:
                    seen = {"digest": candidate.digest, "size": candidate.size}
                    seen["build_seconds"] = built.seconds
                    if digest and candidate.digest != digest:
                        raise ScoringError(
                            f"the rebuilt candidate is {candidate.digest}",
                            where=f"trial {number}",
                            expected=f"{digest}, which the search scored",
                        )
                    if rung == self.search.objectives.first_rung:
                        twin = self._twin(candidate.digest)
                        if twin is not None:
                            scores = twin.scores(rung)
                            return {rung: Measurement(scores, reused_from=twin.number, **seen)}
                    if (next_one := following()) is not None:
                        self.builder.start(next_one)
                    measured = {rung: self._score(candidate, number, rung, seen)}
                    if rung == Rung.PROXY and self._promotes(number, measured[rung]):
                        measured[Rung.SEARCH] = self._score(candidate, number, Rung.SEARCH, {})
                    return measured
        except Interrupted:
            raise
        except _FAILURES as error:
            if isinstance(error, ObjectivesError):  # no other candidate would do better
                raise
            self.guard.check()  # a failure of what the signal reached first is an interruption
            return {rung: Measurement(failure=_reason(error), **seen)}

    def _score(
        self, candidate: Candidate, number: int, rung: Rung, seen: Mapping[str, Any]
    ) -> Measurement:
        """Score a candidate; what fails is the measurement's failure, but for an interruption."""
        parts = dict(seen)
        start = time.perf_counter()
        try:
            self.observe(StageStarted(number, rung, "scoring"))
            results = self.search.score(candidate, rung, self._progress(number, rung))
            parts["results"] = self._kept(results)
            parts["score_seconds"] = time.perf_counter() - start
            scores = self.search.objectives.scores(results, rung)
            _check_finite(scores)
        except (Interrupted, ObjectivesError):
            raise
        except _FAILURES as error:
            self.guard.check()
            return Measurement(failure=_reason(error), **parts)
        return Measurement(scores, **parts)

    def _kept(self, results: Mapping[str, TaskResult]) -> Mapping[str, TaskResult]:
        """What the ledger keeps of results: all, or all but the texts."""
        if self.search.objectives.keep_texts:
            return results
        return {
            name: replace(one, items=tuple(replace(item, text=None) for item in one.items))
            for name, one in results.items()
        }

    def _promotes(self, number: int, measured: Measurement) -> bool:
        """Whether the metric itself is measured: on the starts, and on what no trial dominates."""
        if measured.failure is not None:
            return False
        starts = number < len(self.search.space.starts())
        return starts or promotes(self.axes, self.ledger.trials(), measured.scores)

    def _progress(self, number: int, rung: Rung) -> Callable[[Any], None]:
        return lambda report: self.observe(
            Progressed(number, rung, report.task, report.done, report.total)
        )

    def same_recipe(self, recipe: Recipe) -> Measurement | None:
        """The scores of an earlier trial with the same recipe, which need no building."""
        digest = recipe.digest()
        for one in self.ledger.trials():
            if one.state == COMPLETE and one.recipe_digest == digest and one.reused_from is None:
                return Measurement(
                    one.scores(self.search.objectives.first_rung),
                    digest=one.candidate_digest,
                    size=one.candidate_size,
                    reused_from=one.number,
                )
        return None

    def _twin(self, digest: str) -> TrialRecord | None:
        """The first complete trial with this very candidate."""
        for one in self.ledger.trials():
            if one.state == COMPLETE and one.candidate_digest == digest:
                return one
        return None


def _check_finite(scores: Mapping[str, Score]) -> None:
    for name, score in scores.items():
        if not (math.isfinite(score.value) and math.isfinite(score.stderr)):
            raise ScoringError(f"{score.value} ± {score.stderr} is no score", where=name)


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, MergeSearchError) else f"{type(error).__name__}: {error}"
