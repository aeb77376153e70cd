"""How a run stands, as `search status` prints it and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from helpers.records import RUN, RUNNING, START, TRIALS, scores, shown, trial

from mergesearch.report.status import Status, render_status
from mergesearch.study.confirming import ConfirmedMember
from mergesearch.study.front import Front
from mergesearch.study.records import RaceRecord, TrialRecord, WorkerRecord


def status_of(trials: Sequence[TrialRecord], *, running: bool) -> Status:
    return Status(RUN, Front.of(RUN.axes, trials), trials, running=running)


def best_of(status: Status) -> dict[str, int]:
    return {name: best["trial"] for name, best in status.to_dict()["best"].items()}


def test_the_status_of_a_run_at_work() -> None:
    now = START.timestamp() + 12
    status = render_status(status_of((*TRIALS, RUNNING), running=True), now)
    assert shown(status, 60) == (
        "run               running, trial 5 for 12 s\n"
        "done              5 trials, 1 failed\n"
        "a trial           4.0 s (median)\n"
        "front             3 members, 2 validated\n"
        "hypervolume       0.2221\n"
        "best instruction  70.8 ± 4.4 (trial 0, search)\n"
        "best reasoning    64.2 ± 4.5 (trial 1, search)\n"
        "last failure      trial 3: trial 3: killed by SIGSEGV\n"
        "sampler           gp, seed 7"
    )


def test_the_best_in_an_objective_is_a_member_of_the_front() -> None:
    """Not a trial that was stopped early, or that another dominates at the same value."""
    race = RaceRecord(1, 9, 0.1, checked=False, stopped=True)
    trials = (trial(0, 0.5, 0.2), trial(1, 0.5, 0.4), trial(2, 0.9, 0.9, race=race))
    assert best_of(status_of(trials, running=False)) == {"instruction": 1, "reasoning": 1}


def test_the_status_of_a_run_that_was_stopped_or_never_got_far() -> None:
    status = render_status(status_of((*TRIALS, RUNNING), running=False), 0.0)
    assert "not running; trial 5 is to be done again" in shown(status, 60)
    assert shown(render_status(status_of((), running=True), 0.0), 60) == (
        "run      running\ndone     0 trials\nfront    0 members, 0 validated\nsampler  gp, seed 7"
    )


def test_a_status_as_json() -> None:
    status = status_of((*TRIALS, RUNNING), running=True)
    assert status.to_dict() == {
        "running": True,
        "unfinished_trial": 5,
        "trials": 5,
        "failed": 1,
        "trial_seconds": 4.0,
        "members": 3,
        "validated": 2,
        "hypervolume": Front.of(RUN.axes, TRIALS).hypervolume,
        "knee": 2,
        "confirmed": False,
        "best": {
            "instruction": {
                "trial": 0,
                "score": {"value": 0.7083, "stderr": 0.0437, "n": 120, "n_unscored": 1},
            },
            "reasoning": {
                "trial": 1,
                "score": {"value": 0.6417, "stderr": 0.0451, "n": 120, "n_unscored": 0},
            },
        },
        "last_failure": {"trial": 3, "reason": "trial 3: killed by SIGSEGV\n  to do: look"},
        "workers": [],
        "sampler": "gp",
        "seed": 7,
    }


def test_a_status_has_every_worker_with_its_rate_and_its_last_sign_of_life() -> None:
    workers = [
        WorkerRecord(1, "box", 41, 0.5, 1000.0, 3.0, has_left=False),
        WorkerRecord(2, "other", 7, 0.0, 900.0, 103.0, has_left=True),
    ]
    own = [replace(trial, worker=1) for trial in (*TRIALS, RUNNING)]
    status = Status(RUN, Front.of(RUN.axes, own), own, workers, running=True)
    text = shown(render_status(status, 0.0), 80)
    assert "run               running\n" in text
    assert ("workers           1 at work, 10 trials an hour; 1 has left (0 trials)\n") in text
    assert text.endswith(
        "worker  host  process  trial  done  an hour  last sign of life\n"
        "──────────────────────────────────────────────────────────────\n"
        "     1  box        41      5     5       10          3.0 s ago"
    )
    assert status.to_dict()["workers"][0] == {
        "number": 1,
        "host": "box",
        "pid": 41,
        "hours": 0.5,
        "seen": 1000.0,
        "silent_seconds": 3.0,
        "has_left": False,
        "trials": 5,
        "trial": 5,
        "trials_per_hour": 10.0,
    }


def test_a_run_is_finished_once_its_front_is_confirmed() -> None:
    front = Front.of(RUN.axes, TRIALS)
    for known, words in ((replace(front, search=front), "finished"), (front, "not running")):
        status = Status(RUN, known, TRIALS, running=False)
        assert shown(render_status(status, 0.0), 60).startswith(f"run               {words}\n")


def test_a_trial_takes_the_median_time_of_the_finished_ones() -> None:
    """Of two it is the longer one; one that was never started has none."""
    slow = replace(TRIALS[1], ended=START.replace(second=45))
    assert status_of([TRIALS[0], slow], running=False).trial_seconds == 40.0
    assert status_of([RUNNING], running=True).trial_seconds is None
    assert best_of(status_of([RUNNING], running=True)) == {}


def test_where_less_is_better_the_best_is_the_least() -> None:
    axes = (replace(RUN.axes[0], direction="minimize"), RUN.axes[1])
    run = replace(RUN, axes=axes)
    status = Status(run, Front.of(axes, TRIALS), TRIALS, running=False)
    assert best_of(status) == {"instruction": 1, "reasoning": 1}


def test_once_a_front_is_confirmed_the_best_is_by_the_confirmed_scores() -> None:
    front = Front.of(RUN.axes, TRIALS)
    confirmed = ConfirmedMember(2, scores(0.6, 0.5), 1.0, ())
    member = replace(front.members[1], trial=2, confirmed=confirmed)
    found = replace(front, members=(member,), search=front)
    status = Status(RUN, found, TRIALS, running=False)
    assert "best instruction  60.0 ± 4.4 (trial 2, confirmed)" in shown(
        render_status(status, 0.0), 60
    )
    document = status.to_dict()
    assert (document["confirmed"], document["best"]["reasoning"]["score"]["value"]) == (True, 0.5)
