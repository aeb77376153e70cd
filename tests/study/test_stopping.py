"""Stop rules, what a search has come to, signals and the lock, apart from any run."""

import os
import random
import signal
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from helpers.records import AXES, trial

from mergesearch.errors import Interrupted, RunFolderError
from mergesearch.study import stopping
from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.front import Front
from mergesearch.study.locks import is_running, run_lock
from mergesearch.study.records import RaceRecord, State, TrialRecord
from mergesearch.study.settings import StudySettings
from mergesearch.study.stopping import Reached, SearchProgress, SignalGuard, StopRule


def test_the_number_of_trials_counts_those_of_earlier_starts() -> None:
    rule = StopRule.of(StudySettings(trials=60), now=0.0)
    assert rule.reason(Reached(59), 1e12) is None
    assert rule.reason(Reached(60), 0.0) == "60 trials are done"
    assert rule.reason(Reached(61), 0.0) == "61 trials are done"
    assert StopRule.of(StudySettings(trials=1), 0.0).reason(Reached(1), 0.0) == "1 trial is done"


def test_only_hypervolume_and_patience_need_the_front() -> None:
    for settings, needed in (
        (StudySettings(trials=9, tokens=9, hours=9.0), False),
        (StudySettings(hypervolume=0.5), True),
        (StudySettings(patience=9), True),
    ):
        assert StopRule.of(settings, 0.0).looks_at_front is needed


def test_a_search_begins_with_nothing_but_its_trials() -> None:
    assert Reached(3) == Reached(3, tokens=0, hypervolume=0.0, without_member=0)


def test_the_earlier_of_two_clocks_ends_it() -> None:
    until = datetime(2030, 1, 2, 6, 30)
    now = datetime(2030, 1, 2, 1, 0).timestamp()
    rule = StopRule.of(StudySettings(hours=8, until=until, confirm=0.0), now)
    assert rule.deadline == until.timestamp()
    assert rule.reason(Reached(9), rule.deadline - 1) is None
    assert rule.reason(Reached(9), rule.deadline) == "it is 06:30"
    rule = StopRule.of(StudySettings(hours=2, until=until, confirm=0.0), now)
    assert rule.end == pytest.approx(now + 7200)


def test_hours_are_those_in_which_the_machine_is_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = [1000.0]
    monkeypatch.setattr(stopping, "seconds_asleep", lambda: slept[0])
    rule = StopRule.of(StudySettings(hours=8, confirm=0.0), now=0.0)
    assert rule.reason(Reached(9), 8 * 3600.0 - 1) is None
    assert rule.reason(Reached(9), 8 * 3600.0) is not None
    slept[0] += 3600.0
    assert rule.reason(Reached(9), 9 * 3600.0 - 1) is None
    assert rule.reason(Reached(9), 9 * 3600.0) is not None
    assert rule.from_now_on().end == 8 * 3600.0
    until = datetime.fromtimestamp(8 * 3600.0)
    fixed = StopRule.of(StudySettings(until=until, confirm=0.0), now=0.0)
    slept[0] += 3600.0
    assert fixed.end == 8 * 3600.0


def test_a_share_of_the_time_is_left_to_confirm_the_front() -> None:
    rule = StopRule.of(StudySettings(hours=10), now=0.0)
    assert rule.awake_deadline == 8 * 3600.0
    until = datetime.fromtimestamp(10 * 3600.0)
    assert StopRule.of(StudySettings(until=until), 0.0).deadline == 8 * 3600.0


@pytest.mark.parametrize(
    ("settings", "before", "after", "reason"),
    [
        (
            StudySettings(tokens=1000),
            Reached(1, tokens=999),
            Reached(1, tokens=1000),
            "scoring took 1000 tokens",
        ),
        (
            StudySettings(hypervolume=0.5),
            Reached(1, hypervolume=0.49),
            Reached(1, hypervolume=0.5),
            "the hypervolume is 0.5",
        ),
        (
            StudySettings(patience=3),
            Reached(9, without_member=2),
            Reached(9, without_member=3),
            "none of the last 3 trials is a member of the front",
        ),
    ],
)
def test_what_a_search_has_come_to_ends_it(
    settings: StudySettings, before: Reached, after: Reached, reason: str
) -> None:
    rule = StopRule.of(settings, now=0.0)
    assert rule.reason(before, 1e12) is None
    assert rule.reason(after, 1e12) == reason


def test_without_a_rule_only_a_person_ends_it() -> None:
    assert StopRule.of(StudySettings(), 0.0).reason(Reached(10**6), 1e12) is None


# -- what a search has come to ---------------------------------------------------------------------


def trials_of(count: int) -> list[TrialRecord]:
    """Trials near a front; some failed, some were stopped, some are others again."""
    numbers = random.Random(1)
    found = []
    for number in range(count):
        first = numbers.random()
        kind = numbers.choice(["", "", "", "", "failed", "stopped", "again"])
        changes = {
            "failed": {"state": State.FAILED, "rungs": {}},
            "stopped": {"race": RaceRecord(1, 9, 0.1, checked=False, stopped=True)},
            "again": {"reused_from": 0},
        }.get(kind, {})
        second = numbers.uniform(0.25, 1.2 - first)
        found.append(trial(number, first, second, **changes))
    return found


def test_it_is_what_the_front_of_all_trials_tells() -> None:
    trials = trials_of(60)
    progress = SearchProgress(AXES)
    order = [*range(0, 60, 2), *range(1, 60, 2)]  # other workers are heard of later
    for count, number in enumerate(order, 1):
        progress.take(trials[number], 10)
        seen = sorted(order[:count])
        front = Front.of(AXES, [trials[number] for number in seen])
        newest = max((member.trial for member in front.members), default=-1)
        later = sum(number > newest for number in seen)
        expected = Reached(count, 10 * count, front.hypervolume, later)
        assert progress.reached(with_front=True) == expected


def test_a_trial_is_compared_with_the_members_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    members_of = stopping.members_of

    def counted(values, directions):
        sizes.append(len(values))
        return members_of(values, directions)

    monkeypatch.setattr(stopping, "members_of", counted)
    progress = SearchProgress(AXES)
    for number in range(300):
        progress.take(trial(number, 0.5 + number / 1000, 0.5 + number / 1000), 0)
    assert max(sizes) == 2


def test_a_trial_counts_once() -> None:
    progress = SearchProgress(AXES)
    for _ in range(2):
        progress.take(trial(3, 0.5, 0.5), 7)
    assert progress.reached(with_front=False) == Reached(1, 7)
    assert progress.reached(with_front=True).without_member == 0
    progress.take(trial(4, 0.5, 0.5), 7)
    progress.take(trial(3, 0.5, 0.5), 7)
    assert progress.reached(with_front=False) == Reached(2, 14)


def test_on_parts_of_the_items_the_values_are_what_is_estimated_by_now() -> None:
    values = np.array([[0.5, 0.5], [0.4, 0.4]])
    estimates = Estimates((0, 1), values, np.zeros((2, 2, 2)))
    progress = SearchProgress(AXES, lambda: estimates)
    progress.take(trial(0, 0.1, 0.9), 0)
    progress.take(trial(1, 0.9, 0.1), 0)
    reached = progress.reached(with_front=True)
    assert reached.hypervolume == pytest.approx(0.5 * 0.25)
    assert reached.without_member == 1


def test_a_trial_that_is_not_estimated_yet_has_its_own_value() -> None:
    estimates = Estimates((0,), np.array([[0.5, 0.5]]), np.zeros((2, 1, 1)))
    progress = SearchProgress(AXES, lambda: estimates)
    progress.take(trial(0, 0.1, 0.9), 0)
    progress.take(trial(1, 0.75, 0.75), 0)
    assert progress.reached(with_front=True).hypervolume == pytest.approx(0.75 * 0.5)


# -- signals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_outside_and_raises_inside(number: signal.Signals) -> None:
    with SignalGuard() as guard:
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted, match=number.name):
            guard.check()
        with pytest.raises(Interrupted), guard.interruptible():
            pytest.fail("entered after a signal")


def test_a_second_ctrl_c_acts_as_usual() -> None:
    # A shell's background job begins with SIGINT ignored, and then Python sets no handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with SignalGuard():
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_guard_in_another_thread_does_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def enter() -> None:
        with SignalGuard() as guard:
            guard.check()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def test_the_lock_holds_against_other_processes_and_ends_with_its_own(tmp_path: Path) -> None:
    lock = tmp_path / "run" / ".lock"
    assert not is_running(lock)
    code = (
        "import sys; from pathlib import Path; from mergesearch.study.locks import run_lock\n"
        "with run_lock(Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert is_running(lock)
        with pytest.raises(RunFolderError, match="another run is at work"), run_lock(lock):
            pass
        holder.kill()
    assert not is_running(lock)
    with run_lock(lock):
        assert is_running(lock)
