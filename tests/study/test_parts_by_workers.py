"""Trials that are scored on parts of the items, by several workers at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from helpers.part_fakes import ORDER, Items, on_parts
from helpers.study_fakes import files, records, run_in, told
from helpers.worker_fakes import HEARTBEAT, LOST, join, share

from mergesearch.objectives import Rung
from mergesearch.recipe import Recipe
from mergesearch.study import workers
from mergesearch.study.proposing import Proposer
from mergesearch.study.racing import Race
from mergesearch.study.recording import RunRecorder
from mergesearch.study.records import TrialRecord
from mergesearch.study.samplers.problem import running
from mergesearch.study.settings import StudySettings
from mergesearch.study.trials import observation

pytestmark = pytest.mark.whole

TRIALS = 14
SETTINGS = StudySettings(trials=TRIALS, sampler="noisy-gp", seed=2)


class Noting(Items):
    """Notes which items each candidate was scored on."""

    def __init__(self) -> None:
        super().__init__(before_score=lambda count: time.sleep(0.02))
        self.items: list[tuple[str, str, str, int]] = []

    def score(self, candidate: Any, rung: Any, on_progress: Any, items: Any = None) -> Any:
        for task, indices in (items or ORDER[rung]).items():
            self.items += [(candidate.digest, str(rung), task, index) for index in indices]
        return super().score(candidate, rung, on_progress, items)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Noting]]:
    """A run that three workers did together, and what each scored."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "HEARTBEAT_SECONDS", HEARTBEAT)
        patch.setattr(workers, "LOST_SECONDS", LOST)
        patch.setattr(workers, "PAUSE_SECONDS", 0.02)
        share(files(folder), SETTINGS, on_parts())
        benches = [Noting() for _ in range(3)]
        threads = [
            threading.Thread(target=join, args=(files(folder), None, on_parts(bench)))
            for bench in benches
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return folder, benches


def done(folder: Path) -> tuple[TrialRecord, ...]:
    with records(folder) as opened:
        return opened.trials()


def test_each_trial_is_done_once_and_each_item_scored_once(
    shared: tuple[Path, list[Noting]],
) -> None:
    folder, benches = shared
    trials = done(folder)
    assert [trial.state for trial in trials] == ["complete"] * TRIALS
    assert [trial.attempt for trial in trials] == [1] * TRIALS
    assert len({trial.worker for trial in trials}) > 1
    scored = Counter(item for bench in benches for item in bench.items)
    assert set(scored.values()) == {1}
    kept: Counter[tuple[str, str, str, int]] = Counter()
    with records(folder) as opened:
        for trial in trials:
            if trial.reused_from is None:
                for rung in (Rung.SEARCH, Rung.VALIDATE):
                    digest = str(trial.candidate_digest)
                    items = opened.items(trial.number, rung)
                    kept.update((digest, str(rung), item.task, item.item) for item in items)
    assert kept == scored


def test_a_trial_was_proposed_and_raced_by_what_was_known_then(
    shared: tuple[Path, list[Noting]],
) -> None:
    folder, _ = shared
    trials = done(folder)
    assert any(trial.unseen for trial in trials)
    with RunRecorder.start(files(folder), on_parts(), SETTINGS) as recorder:
        run, found = recorder.run(), recorder.history.trials
        for trial in trials:
            later = {*range(trial.number, TRIALS), *trial.unseen}
            scored = recorder.scored.without(later)
            recorder.history.trials = found[: trial.number]
            known = [observation(before, run) for before in found[: trial.number]]
            known = [
                running(before) if place in later else before for place, before in enumerate(known)
            ]
            known = recorder._estimated(known, scored)
            proposal = Proposer(on_parts(), run).propose(known)
            assert proposal.parameters == trial.parameters
            recorder.history.trials = found
            if trial.reused_from is None:
                is_start = Proposer(on_parts(), run).starts(trial.number)
                race = recorder.race(trial.number, ORDER[Rung.SEARCH], is_start=is_start)
                _race_again(race, recorder, trial)


def _race_again(race: Race, recorder: RunRecorder, trial: TrialRecord) -> None:
    """Check that a trial is raced as it was."""
    bench = Items()
    candidate = bench.build(Recipe.from_dict(dict(trial.recipe)), threading.Event())
    while (items := race.next_part()) is not None:
        results = bench.score(candidate, Rung.SEARCH, lambda report: None, items)
        race.take([item for result in results.values() for item in result.items])
    assert trial.race is not None
    assert asdict(race.record()) == asdict(trial.race)
    found = {(item.task, item.item) for item in recorder.items(trial.number)}
    assert found == {(item.task, item.item) for item in race.items}


def test_one_process_goes_on_where_several_stopped(tmp_path: Path) -> None:
    """And then gives what one alone would have given: what was known is on record."""
    few = StudySettings(trials=4, sampler="noisy-gp", confirm=0.0)
    share(files(tmp_path / "shared"), few, on_parts())
    join(files(tmp_path / "shared"), None, on_parts())
    more = StudySettings(trials=12, sampler="noisy-gp")
    run_in(tmp_path / "shared", on_parts(), more)
    run_in(tmp_path / "alone", on_parts(), more)
    assert told(tmp_path / "shared") == told(tmp_path / "alone")
