"""A run from end to end with a pretended builder and scorer."""

import json
import os
import signal
import time
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import study_fakes
from helpers.forked import run_apart
from helpers.study_fakes import (
    OBJECTIVES,
    SPACE,
    TRIALS,
    Bench,
    raise_at,
    records,
    run_briefly,
    run_in,
    search,
    told,
    trials,
)

from mergesearch.errors import (
    Interrupted,
    RunFolderError,
    ScorerCrashed,
)
from mergesearch.objectives import Objectives
from mergesearch.space import Space
from mergesearch.study import events
from mergesearch.study.locks import is_running
from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.whole

Unbroken = Callable[[str], list[Any]]
# Each has trials that its model proposes, not only the points that fill the space first.
LENGTHS = {"noisy-gp": 12, "gp": 12, "tpe": 14, "nsga2": 23, "sobol": 8}
SLOW = pytest.param("gp", marks=pytest.mark.faults)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    """What a sampler does with seed 3 when nothing happens."""

    @cache
    def trials_of(sampler: str) -> list[Any]:
        folder = tmp_path_factory.mktemp(sampler)
        run_briefly(folder, sampler=sampler, trials=LENGTHS[sampler], seed=3)
        return told(folder)

    return trials_of


def test_a_run_leaves_a_front_that_is_confirmed_on_unseen_items(tmp_path: Path) -> None:
    bench = Bench()
    document = run_briefly(tmp_path, bench)
    assert json.loads((tmp_path / "front.json").read_text()) == document
    assert document["objectives"] == ["instruction", "reasoning"]
    assert document["reference_point"] == {"instruction": 0.0, "reasoning": 0.25}
    assert (document["trials"], document["failed"]) == (TRIALS, 0)
    assert document["knee"] in [member["trial"] for member in document["front"]]
    for member in document["front"]:
        searched, confirmed = member["values"]["reasoning"], member["validated"]["reasoning"]
        assert confirmed["value"] == pytest.approx(searched["value"] - 0.01)
        assert (confirmed["stderr"], confirmed["n"], confirmed["n_unscored"]) == (0.04, 100, 0)
        assert sum(member["shares"].values()) == pytest.approx(1.0)
    rungs = [rung for rung, _ in bench.scored]
    assert rungs == ["search"] * TRIALS + ["validate"] * len(document["front"])
    assert all(candidate.closed for candidate in bench.candidates)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "front.json", "study.db"]


def test_the_starts_come_first_and_in_order(tmp_path: Path) -> None:
    run_briefly(tmp_path, trials=4)
    weights = [
        [model["parameters"]["weight"] for model in trial.recipe["models"]]
        for trial in trials(tmp_path)
    ]
    assert weights[:3] == [[[1.0, 1.0], 0.0], [[0.0, 0.0], 1.0], [[0.75, 0.75], 0.25]]
    assert weights[3] not in weights[:3]


def test_every_item_is_on_record(tmp_path: Path) -> None:
    document = run_briefly(tmp_path, Bench(unscored=1))
    with records(tmp_path) as opened:
        items = opened.items(0, task="words")
        member = document["front"][0]["trial"]
        assert len(opened.items(member, "validate")) == 4
    assert [(item.item, item.text, item.unscored) for item in items] == [
        (4, "answer to words", None),
        (9, None, "too long"),
    ]


def test_texts_are_left_out_where_they_are_switched_off(tmp_path: Path) -> None:
    silent = Objectives.from_yaml(OBJECTIVES + "keep_texts: false\n", Path())
    run_in(tmp_path, search(objectives=silent), StudySettings(trials=1, sampler="sobol"))
    with records(tmp_path) as opened:
        (first, _) = opened.items(0, task="words")
    assert (first.text, first.tokens_out) == (None, 2)


def test_another_seed_gives_other_trials(tmp_path: Path, unbroken: Unbroken) -> None:
    run_briefly(tmp_path, trials=4, seed=4)
    ours, theirs = told(tmp_path), unbroken("sobol")
    assert ours[:3] == theirs[:3]
    assert ours[3][1] != theirs[3][1]


@pytest.mark.parametrize("sampler", ["noisy-gp", "tpe", "nsga2", "sobol", SLOW])
def test_the_same_seed_gives_the_same_trials_also_when_stopped_and_resumed(
    tmp_path: Path, unbroken: Unbroken, sampler: str
) -> None:
    last = LENGTHS[sampler] - 1
    for stop in (
        Bench(before_build=raise_at(2, KeyboardInterrupt())),
        Bench(before_score=raise_at(last - 3, Interrupted("enough"))),
    ):
        with pytest.raises((KeyboardInterrupt, Interrupted)):
            run_briefly(tmp_path, stop, sampler=sampler, trials=last + 1, seed=3)
    assert trials(tmp_path)[-1].state == "running"
    run_briefly(tmp_path, sampler=sampler, trials=last, confirm=0.0)  # the seed is the run's own
    run_briefly(tmp_path, sampler=sampler, trials=last + 1)
    assert told(tmp_path) == unbroken(sampler)
    assert [trial.attempt for trial in trials(tmp_path)].count(2) == 2


@pytest.mark.parametrize(
    ("sampler", "at", "stage"),
    [
        ("sobol", 6, "scoring"),
        ("nsga2", 21, "building"),
        ("tpe", 12, "untold"),
        pytest.param("gp", 11, "scoring", marks=pytest.mark.faults),
    ],
)
def test_a_killed_run_resumes_as_if_nothing_had_been(
    tmp_path: Path, unbroken: Unbroken, sampler: str, at: int, stage: str
) -> None:
    length = LENGTHS[sampler]
    run = run_apart(study_fakes.main, str(tmp_path), sampler, str(length), str(at), stage, "3")
    assert run.exitcode == -signal.SIGKILL
    states = [trial.state for trial in trials(tmp_path)]
    assert states == ["complete"] * at + ["running"]
    assert not is_running(tmp_path / ".lock")
    run_briefly(tmp_path, sampler=sampler, trials=length)
    assert told(tmp_path) == unbroken(sampler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_trial_and_the_run(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    bench = Bench(before_score=lambda count: os.kill(os.getpid(), number) if count == 2 else None)
    with pytest.raises(Interrupted, match=number.name) as caught:
        run_briefly(tmp_path, bench)
    assert caught.value.exit_code == 130
    assert signal.getsignal(number) is before
    assert [trial.state for trial in trials(tmp_path)] == ["complete", "complete", "running"]
    assert not (tmp_path / "front.json").exists()
    assert bench.candidates[-1].closed
    assert len(run_briefly(tmp_path)["front"]) > 0


def test_a_signal_between_trials_waits_until_all_is_on_disk(tmp_path: Path) -> None:
    def observe(event: events.Event) -> None:
        if isinstance(event, events.TrialFinished) and event.trial.number == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run_in(tmp_path, search(), StudySettings(trials=5, sampler="sobol"), observe)
    assert [trial.state for trial in trials(tmp_path)] == ["complete", "complete"]


@pytest.mark.parametrize("what", ["proposing.propose", "validating.contenders"])
def test_a_signal_interrupts_what_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A proposal, or who may belong to the front."""

    def think(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(600):
            time.sleep(0.1)

    monkeypatch.setattr(f"mergesearch.study.{what}", think)
    start = time.monotonic()
    with pytest.raises(Interrupted):
        run_briefly(tmp_path, trials=2)
    assert time.monotonic() - start < 30
    monkeypatch.undo()
    assert run_briefly(tmp_path, trials=2)["trials"] == 2


def test_a_scorer_that_the_signal_killed_is_an_interruption(tmp_path: Path) -> None:
    """Ctrl-C reaches the scoring process too: its death is not the candidate's failure."""

    def both(count: int) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except Interrupted:
            raise ScorerCrashed("killed by SIGINT") from None

    with pytest.raises(Interrupted):
        run_briefly(tmp_path, Bench(before_score=both))
    assert trials(tmp_path)[0].state == "running"


def test_validation_is_resumed_where_it_stood(tmp_path: Path) -> None:
    stopped = Bench(before_score=raise_at(TRIALS + 1, Interrupted("enough")))
    with pytest.raises(Interrupted):
        run_briefly(tmp_path, stopped)
    resumed = Bench()
    document = run_briefly(tmp_path, resumed)
    assert len(document["front"]) > 1
    assert [rung for rung, _ in resumed.scored] == ["validate"] * (len(document["front"]) - 1)
    again = Bench()
    assert run_briefly(tmp_path, again) == document
    assert again.built == []


def test_tokens_the_hypervolume_and_patience_end_a_search(tmp_path: Path) -> None:
    """The fakes take 12 tokens for an item, and nothing for the other one."""
    ends = {"tokens": 48, "hypervolume": 0.01, "patience": 2}
    for name, end in ends.items():
        folder = tmp_path / name
        run_briefly(folder, trials=30, **{name: end})
        assert 0 < len(trials(folder)) < 30
        done = len(trials(folder))
        run_briefly(folder, trials=30, **{name: end})
        assert len(trials(folder)) == done


def test_equal_candidates_are_scored_once_and_shown_once(tmp_path: Path) -> None:
    bench = Bench(digest_of=lambda recipe: "e" * 64)
    document = run_briefly(tmp_path, bench)
    assert len(bench.scored) == 2
    assert [trial.reused_from for trial in trials(tmp_path)] == [None] + [0] * (TRIALS - 1)
    assert [member["trial"] for member in document["front"]] == [0]


def test_equal_recipes_are_built_once(tmp_path: Path) -> None:
    space = Space.from_yaml(SPACE)
    space.starts = lambda: (
        [
            dict.fromkeys(  # type: ignore[method-assign]
                [dimension.name for dimension in space.dimensions], 0.5
            )
            | {"merge_method": "linear"}
        ]
        * 3
    )
    bench = Bench()
    run_in(tmp_path, search(bench, space=space), StudySettings(trials=3, sampler="sobol"))
    assert [rung for rung, _ in bench.scored] == ["search", "validate"]
    first, *others = trials(tmp_path)
    assert all(trial.scores() == first.scores() for trial in others)
    assert [trial.reused_from for trial in others] == [0, 0]


def test_a_search_that_is_resumed_has_no_confirmed_front_until_its_end(tmp_path: Path) -> None:
    assert "search" in run_briefly(tmp_path, trials=3)
    assert "search" in run_briefly(tmp_path, trials=3)  # nothing to do
    assert "search" not in run_briefly(tmp_path, trials=4, confirm=0.0)
    assert "search" in run_briefly(tmp_path, trials=4)


def test_a_rebuild_with_another_digest_is_not_validated(tmp_path: Path) -> None:
    run_briefly(tmp_path, confirm=0.0)
    other = Bench(digest_of=lambda recipe: "0" * 64)
    document = run_briefly(tmp_path, other)
    assert other.scored == []
    member = trials(tmp_path)[document["front"][0]["trial"]]
    assert document["front"][0]["validated"] is None
    assert member.state == "complete"
    assert "the rebuilt candidate is 000" in (member.rungs["validate"].failure or "")
    assert all(member["validated"] for member in run_briefly(tmp_path)["front"])


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    def second(count: int) -> None:
        assert is_running(tmp_path / ".lock")
        with pytest.raises(RunFolderError, match="another run is at work"):
            run_briefly(tmp_path)

    run_briefly(tmp_path, Bench(before_build=second), trials=1)
    assert not is_running(tmp_path / ".lock")


def test_the_clock_ends_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each build takes ten minutes of a pretended clock."""
    clock = SimpleNamespace(now=1e9)
    pretended = SimpleNamespace(time=lambda: clock.now, perf_counter=lambda: clock.now)
    for module in ("loop", "searching", "measuring", "building"):
        monkeypatch.setattr(f"mergesearch.study.{module}.time", pretended)

    def build(count: int) -> None:
        clock.now += 600

    settings = {"trials": None, "confirm": 0.0}
    assert run_briefly(tmp_path, hours=0.0, **settings)["trials"] == 0
    # Short of three builds: what the machine slept is measured, and is not 0 to the last bit.
    assert run_briefly(tmp_path, Bench(before_build=build), hours=0.49, **settings)["trials"] == 3
    until = datetime.fromtimestamp(clock.now + 601)
    assert run_briefly(tmp_path, Bench(before_build=build), until=until, **settings)["trials"] == 5
    assert {trial.rungs["search"].build_seconds for trial in trials(tmp_path)} == {600.0}


def test_events_tell_the_whole_story(tmp_path: Path) -> None:
    seen: list[events.Event] = []
    run_in(tmp_path, search(), StudySettings(trials=1, sampler="sobol"), seen.append)
    assert [type(event).__name__ for event in seen] == [
        "RunStarted",
        "StageStarted",
        "StageStarted",
        "StageStarted",
        "Progressed",
        "TrialFinished",
        "ValidationStarted",
        "StageStarted",
        "StageStarted",
        "Progressed",
        "Validated",
        "RunFinished",
    ]
    assert seen[6] == events.ValidationStarted("1 trial is done", (0,))
    assert seen[9] == events.Progressed(0, "validate", "words", 1, 2)
