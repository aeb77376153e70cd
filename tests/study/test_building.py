"""Building ahead: what overlaps, what is proposed, and that nothing stays behind."""

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import study_fakes
from helpers.forked import run_apart
from helpers.study_fakes import SPACE, Bench, FakeCandidate, run_in, search_on_gpu, told, trials

from mergesearch.errors import BuildError, Interrupted
from mergesearch.recipe import Recipe
from mergesearch.space import Space
from mergesearch.study import events
from mergesearch.study.building import Builder
from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.whole

SECONDS = 20.0  # after which a test that waits for another thread has failed
LENGTHS = {"noisy-gp": 13, "gp": 13, "tpe": 14, "nsga2": 24, "sobol": 7}
SLOW = [pytest.param(sampler, marks=pytest.mark.faults) for sampler in ("gp", "nsga2")]
Unbroken = Callable[[str], list[Any]]


def recipe(weight: float) -> Recipe:
    models = [{"model": "a", "parameters": {"weight": weight}}]
    return Recipe.from_dict({"merge_method": "linear", "models": models})


FIRST, SECOND = recipe(1.0), recipe(2.0)


def run(
    folder: Path,
    bench: Bench | None = None,
    observe: Callable[[events.Event], None] = lambda event: None,
    changes: dict[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    settings = {"sampler": "sobol", "trials": 5, "confirm": 0.0} | settings
    searched = search_on_gpu(bench, **(changes or {}))
    return run_in(folder, searched, StudySettings(**settings), observe).to_dict()


def build_until_stopped(one: Recipe, stop: threading.Event) -> FakeCandidate:
    assert stop.wait(SECONDS)
    raise Interrupted("the build was stopped")


def no_thread_is_left() -> bool:
    return "build" not in [thread.name for thread in threading.enumerate()]


# -- the builder -----------------------------------------------------------------------------------


def test_what_was_begun_is_taken_and_closed_by_the_caller() -> None:
    built: list[Recipe] = []

    def build(one: Recipe, stop: threading.Event) -> FakeCandidate:
        built.append(one)
        return FakeCandidate(one, "a" * 64)

    with Builder(build) as builder:
        candidates = [builder.build(FIRST).candidate]
        builder.start(SECOND)
        candidates.append(builder.build(SECOND).candidate)
        candidates.append(builder.build(SECOND).candidate)
    assert built == [FIRST, SECOND, SECOND]
    assert [candidate.recipe for candidate in candidates] == built
    assert not any(candidate.closed for candidate in candidates)


def test_the_seconds_are_those_of_the_build_not_of_the_wait() -> None:
    def build(one: Recipe, stop: threading.Event) -> FakeCandidate:
        time.sleep(0.2)
        return FakeCandidate(one, "a" * 64)

    with Builder(build) as builder:
        builder.start(FIRST)
        time.sleep(0.3)
        begun = time.perf_counter()
        assert builder.build(FIRST).seconds >= 0.2
        assert time.perf_counter() - begun < 0.1


def test_another_recipe_stops_what_was_begun() -> None:
    def build(one: Recipe, stop: threading.Event) -> FakeCandidate:
        return build_until_stopped(one, stop) if one == FIRST else FakeCandidate(one, "b" * 64)

    with Builder(build) as builder:
        builder.start(FIRST)
        assert builder.build(SECOND).candidate.recipe == SECOND
        assert no_thread_is_left()
        builder.start(FIRST)
        builder.start(SECOND)
        assert builder.build(SECOND).candidate.recipe == SECOND


def test_an_error_is_raised_where_the_candidate_is_taken_and_only_there() -> None:
    broken = [True]

    def build(one: Recipe, stop: threading.Event) -> FakeCandidate:
        if broken.pop():
            raise BuildError("no memory left")
        return FakeCandidate(one, "a" * 64)

    with Builder(build) as builder:
        builder.start(FIRST)
        with pytest.raises(BuildError, match="no memory left"):
            builder.build(FIRST)
        broken[:] = [False]
        assert builder.build(FIRST).candidate.recipe == FIRST
        broken[:] = [True]
        builder.start(SECOND)  # nobody takes it


def test_leaving_stops_the_build_and_closes_what_nobody_took() -> None:
    with Builder(build_until_stopped) as builder:
        builder.start(FIRST)
    assert no_thread_is_left()
    made = FakeCandidate(FIRST, "a" * 64)
    with Builder(lambda recipe, stop: made) as builder:
        builder.start(FIRST)
    assert made.closed


# -- the loop --------------------------------------------------------------------------------------


class Clockwork:
    """Notes when builds and scorings begin and end; a scoring waits for the build ahead of it."""

    def __init__(self, last: int) -> None:
        self.notes: list[tuple[str, int]] = []
        self.last = last
        self.bench = Bench()
        self._built = [threading.Event() for _ in range(last + 2)]

    def build(self, one: Recipe, stop: threading.Event) -> FakeCandidate:
        number = len(self.bench.built)
        self.notes.append(("build", number))
        candidate = self.bench.build(one, stop)
        self.notes.append(("built", number))
        self._built[number].set()
        return candidate

    def score(
        self, candidate: FakeCandidate, rung: str, on_progress: Any, items: Any = None
    ) -> Any:
        number = len(self.bench.scored)
        self.notes.append(("score", number))
        assert number == self.last or self._built[number + 1].wait(SECONDS)
        results = self.bench.score(candidate, rung, on_progress)
        self.notes.append(("scored", number))
        return results


def test_the_next_is_built_while_this_one_is_scored_and_only_one_at_a_time(tmp_path: Path) -> None:
    clockwork = Clockwork(last=3)
    run(tmp_path, changes={"build": clockwork.build, "score": clockwork.score}, trials=4)
    notes = clockwork.notes
    assert [note for note in notes if note[0].startswith("b")] == [
        (what, number) for number in range(4) for what in ("build", "built")
    ]
    for number in range(3):
        assert notes.index(("built", number)) < notes.index(("score", number))
        assert notes.index(("built", number + 1)) < notes.index(("scored", number))
    assert all(candidate.closed for candidate in clockwork.bench.candidates)


def test_members_of_the_front_are_built_ahead_too(tmp_path: Path) -> None:
    front = run(tmp_path)["front"]
    clockwork = Clockwork(last=len(front) - 1)
    changes = {"build": clockwork.build, "score": clockwork.score}
    document = run(tmp_path, changes=changes, confirm=0.2)
    assert len(front) > 1
    assert all(member["validated"] for member in document["front"])
    assert [rung for rung, _ in clockwork.bench.scored] == ["validate"] * len(front)


def test_without_room_nothing_is_built_while_one_is_scored(tmp_path: Path) -> None:
    bench, order = Bench(), []

    def build(one: Recipe, stop: threading.Event) -> FakeCandidate:
        order.append("build")
        return bench.build(one, stop)

    def score(candidate: FakeCandidate, rung: str, on_progress: Any, items: Any = None) -> Any:
        time.sleep(0.02)  # in which a thread would begin
        order.append("scored")
        return bench.score(candidate, rung, on_progress)

    run(tmp_path, changes={"build": build, "score": score, "build_ahead": False})
    assert order == ["build", "scored"] * 5


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    """What a sampler does with seed 3 where builds overlap and nothing happens."""

    @cache
    def trials_of(sampler: str) -> list[Any]:
        folder = tmp_path_factory.mktemp(sampler)
        run(folder, sampler=sampler, trials=LENGTHS[sampler], seed=3)
        return told(folder)

    return trials_of


@pytest.mark.parametrize("sampler", ["tpe", "sobol", *SLOW])
def test_trials_do_not_depend_on_what_memory_allows(
    tmp_path: Path, unbroken: Unbroken, sampler: str
) -> None:
    run(
        tmp_path,
        changes={"build_ahead": False},
        sampler=sampler,
        trials=LENGTHS[sampler],
        seed=3,
    )
    assert told(tmp_path) == unbroken(sampler)


def test_a_proposal_does_not_know_the_trial_right_before_it(
    tmp_path: Path, unbroken: Unbroken
) -> None:
    """The failure of a trial changes nothing in the next one, but in the one after that."""
    length = LENGTHS["noisy-gp"]
    changed = length - 3

    def fail(count: int) -> None:
        if count == changed:
            raise BuildError("no memory left")

    run(tmp_path, Bench(before_build=fail), sampler="noisy-gp", trials=length, seed=3)
    ours, theirs = told(tmp_path), unbroken("noisy-gp")
    assert (ours[changed][2], ours[changed][1]) == (None, theirs[changed][1])
    assert ours[changed + 1][1] == theirs[changed + 1][1]
    assert ours[changed + 2][1] != theirs[changed + 2][1]


@pytest.mark.parametrize("sampler", ["tpe", "sobol", *SLOW])
def test_stopping_and_resuming_changes_nothing(
    tmp_path: Path, unbroken: Unbroken, sampler: str
) -> None:
    def stop_at(number: int) -> Callable[[int], None]:
        def check(count: int) -> None:
            if count == number:
                raise Interrupted("enough")

        return check

    length = LENGTHS[sampler]
    for bench in (Bench(before_score=stop_at(2)), Bench(before_score=stop_at(length - 5))):
        with pytest.raises(Interrupted):
            run(tmp_path, bench, sampler=sampler, trials=length, seed=3)
        assert all(candidate.closed for candidate in bench.candidates)
        assert no_thread_is_left()
    run(tmp_path, sampler=sampler, trials=length - 1)
    run(tmp_path, sampler=sampler, trials=length)
    assert told(tmp_path) == unbroken(sampler)


@pytest.mark.parametrize(
    ("sampler", "at", "stage"),
    [
        ("sobol", 5, "scoring"),
        pytest.param("gp", 12, "scoring", marks=pytest.mark.faults),
        pytest.param("nsga2", 22, "building", marks=pytest.mark.faults),
        pytest.param("tpe", 12, "untold", marks=pytest.mark.faults),
    ],
)
def test_a_killed_run_goes_on_as_if_nothing_had_been(
    tmp_path: Path, unbroken: Unbroken, sampler: str, at: int, stage: str
) -> None:
    length = LENGTHS[sampler]
    arguments = str(tmp_path), sampler, str(length), str(at), stage, "3", "ahead"
    assert run_apart(study_fakes.main, *arguments).exitcode == -signal.SIGKILL
    run(tmp_path, sampler=sampler, trials=length)
    assert told(tmp_path) == unbroken(sampler)


def test_an_error_of_a_build_ahead_fails_its_own_trial(tmp_path: Path) -> None:
    def fail(count: int) -> None:
        if count == 2:
            raise BuildError("no memory left")

    run(tmp_path, Bench(before_build=fail))
    states = [(trial.number, trial.state, trial.failure) for trial in trials(tmp_path)]
    assert states[:4] == [
        (0, "complete", None),
        (1, "complete", None),
        (2, "failed", "no memory left"),
        (3, "complete", None),
    ]


def test_no_trial_is_built_ahead_that_is_not_begun(tmp_path: Path) -> None:
    bench = Bench()
    run(tmp_path, bench, trials=3)
    assert len(bench.built) == 3


def test_what_was_built_when_time_is_up_leaves_no_trial_behind(
    tmp_path: Path, unbroken: Unbroken, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=1e9)
    pretended = SimpleNamespace(time=lambda: clock.now, perf_counter=lambda: clock.now)
    monkeypatch.setattr("mergesearch.study.searching.time", pretended)
    monkeypatch.setattr("mergesearch.study.loop.time", pretended)

    def score_ten_minutes(count: int) -> None:
        clock.now += 600

    bench = Bench(before_score=score_ten_minutes)
    document = run(tmp_path, bench, trials=None, hours=0.5, seed=3)
    assert document["trials"] == 3
    assert len(bench.built) <= 4  # the fourth may not have come to its end
    assert all(candidate.closed for candidate in bench.candidates)
    assert [trial.state for trial in trials(tmp_path)] == ["complete"] * 3
    run(tmp_path, trials=LENGTHS["sobol"])
    assert told(tmp_path) == unbroken("sobol")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["scoring", "waiting"])
def test_a_signal_ends_a_run_whose_next_candidate_is_being_built(
    tmp_path: Path, number: signal.Signals, stage: str
) -> None:
    """Also while the next trial waits for its candidate: a build of minutes is not waited for."""
    main, begun, waiting = threading.main_thread().ident, threading.Event(), threading.Event()
    bench = Bench()

    def build(one: Recipe, stop: threading.Event) -> FakeCandidate:
        if len(bench.built) == 2:
            begun.set()
            if stage == "waiting":
                assert waiting.wait(SECONDS)
                signal.pthread_kill(main or 0, number)
            build_until_stopped(one, stop)
        return bench.build(one, stop)

    def score(candidate: FakeCandidate, rung: str, on_progress: Any, items: Any = None) -> Any:
        if len(bench.scored) == 1 and stage == "scoring":
            assert begun.wait(SECONDS)
            os.kill(os.getpid(), number)
        return bench.score(candidate, rung, on_progress)

    def observe(event: events.Event) -> None:
        if event == events.StageStarted(2, "search", "building"):
            waiting.set()

    start = time.monotonic()
    with pytest.raises(Interrupted, match=number.name):
        run(tmp_path, observe=observe, changes={"build": build, "score": score})
    assert time.monotonic() - start < SECONDS / 2
    assert no_thread_is_left()
    assert all(candidate.closed for candidate in bench.candidates)
    states = ["complete"] * (2 if stage == "waiting" else 1)
    assert [trial.state for trial in trials(tmp_path)] == [*states, "running"]


def test_equal_recipes_are_not_built_ahead(tmp_path: Path) -> None:
    space = Space.from_yaml(SPACE)
    same = dict.fromkeys([dimension.name for dimension in space.dimensions], 0.5) | {
        "merge_method": "linear"
    }
    space.starts = lambda: [same] * 3  # type: ignore[method-assign]
    bench = Bench()
    run(tmp_path, bench, changes={"space": space}, trials=3)
    assert len(bench.built) == 1
    assert [trial.reused_from for trial in trials(tmp_path)] == [None, 0, 0]


def test_the_story_that_is_told_is_that_of_a_run_without(tmp_path: Path) -> None:
    stories = []
    for ahead in (True, False):
        seen: list[events.Event] = []
        run(tmp_path / str(ahead), observe=seen.append, changes={"build_ahead": ahead})
        stories.append([(type(event), getattr(event, "number", None)) for event in seen])
    assert stories[0] == stories[1]
