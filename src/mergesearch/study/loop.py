"""The loop of a run: open, prepare, search, validate, write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from mergesearch._system.files import write_json
from mergesearch.objectives import Rung
from mergesearch.study.building import Builder
from mergesearch.study.events import Observer, RunFinished, RunStarted
from mergesearch.study.front import Front
from mergesearch.study.locks import run_lock
from mergesearch.study.measuring import Measuring
from mergesearch.study.proposing import Proposer
from mergesearch.study.proxies import by_task, measured_references
from mergesearch.study.recording import RunRecorder
from mergesearch.study.searching import Searching
from mergesearch.study.settings import Search, StudyFiles, StudySettings
from mergesearch.study.stopping import SignalGuard, StopRule
from mergesearch.study.validating import Validating


def run_study(
    files: StudyFiles,
    search: Search,
    settings: StudySettings,
    observe: Observer = lambda event: None,
) -> Front:
    """Run a search, or resume the one on record, and return its front, which is also written.

    Raises:
        RunFolderError: Another process is at work on the run, or it is another search's.
        InputError: An unknown sampler.
        Interrupted: Someone stopped it; the same call resumes it.
        MergeSearchError: Too many trials in a row failed.
    """
    with (
        run_lock(files.lock) as lock,
        SignalGuard() as guard,
        RunRecorder.start(files, search, settings, guard.check) as recorder,
    ):
        lock.mark_started()
        rule = StopRule.of(settings, time.time())
        front = _work(search, settings, rule, recorder, guard, observe, lock.check)
        write_json(files.front, front.to_dict())
        observe(RunFinished(front))
    return front


def join_study(
    files: StudyFiles,
    search: Search,
    settings: StudySettings,
    rule: StopRule,
    observe: Observer = lambda event: None,
) -> Front:
    """Work on a run with others until its search has ended and its front is confirmed.

    The next candidate is never built ahead: another worker will have started that trial.

    Args:
        files: Where the run is; nothing is written beside its database.
        rule: When no further trial is started, as the one who started the run said.
        observe: Function that is called with every event of this worker, and with trials that
            others finished.

    Raises:
        RunFolderError: It is another search's.
        Interrupted: Someone stopped this worker; another one does its trial again.
        MergeSearchError: Too many trials of this worker in a row failed.
    """
    search = replace(search, build_ahead=False)
    with (
        SignalGuard() as guard,
        RunRecorder.start(files, search, settings, guard.check) as recorder,
        recorder.join(files.turns, guard.check),
    ):
        return _work(search, settings, rule, recorder, guard, observe, guard.check)


def _work(
    search: Search,
    settings: StudySettings,
    rule: StopRule,
    recorder: RunRecorder,
    guard: SignalGuard,
    observe: Observer,
    check: Callable[[], None],
) -> Front:
    """Prepare, search until the rule says so, validate the front's members; return the front.

    Args:
        check: Function that is called before every trial; what it raises ends the run.
    """
    run, worker = recorder.run(), recorder.worker
    with Builder(search.build) as builder:
        parts = (search, recorder, Proposer(search, run), guard, observe)
        measuring = Measuring(*parts, builder)
        searching = Searching(*parts, measuring, rule, settings.failures_in_a_row, check)
        worker.in_turn(recorder.tell_finished)
        with guard.interruptible():
            trials = searching.take_earlier()
        observe(RunStarted(run.axes, rule, run.sampler, trials, run.seed))
        if run.first_rung is Rung.PROXY:
            worker.in_turn(lambda: _prepare_proxies(search, recorder, measuring))
        reason = searching.run()
        if settings.confirm:
            Validating(*parts, measuring, settings.confirm).run(reason)
        return recorder.front()


def _prepare_proxies(search: Search, recorder: RunRecorder, measuring: Measuring) -> None:
    """Let the specialists answer their sides' search items, once in a run."""
    references = recorder.references()
    if not references:
        parents = list(search.parents)
        references = measured_references(search.objectives, parents, measuring.parent)
        recorder.record_references(references)
    search.use_references(by_task(references))
