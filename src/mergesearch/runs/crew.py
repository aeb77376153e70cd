"""Several workers on this machine: started as children, watched, and told of as one run."""

from __future__ import annotations

import itertools
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from mergesearch._system.children import EscapedLog, start_child
from mergesearch._system.closing import Closing
from mergesearch._system.files import write_json
from mergesearch.errors import MergeSearchError
from mergesearch.runs.worker import bundled_tasks
from mergesearch.runs.workplace import WorkerSettings
from mergesearch.study.database import is_file
from mergesearch.study.events import (
    Event,
    Noted,
    Observer,
    ParentMeasured,
    RunFinished,
    RunStarted,
    TrialFinished,
    ValidationStarted,
)
from mergesearch.study.front import Front
from mergesearch.study.locks import run_lock
from mergesearch.study.reading import RunRecords
from mergesearch.study.servers import secrets_of
from mergesearch.study.settings import Search, StudyFiles, StudySettings
from mergesearch.study.sharing import Terms, lose_process, share_study
from mergesearch.study.stopping import SignalGuard, StopRule

_LOOK_SECONDS = 0.2
_FAREWELL_SECONDS = 15.0


@dataclass(frozen=True)
class WorkerSetup:
    """What a child is told when it starts; it goes through a socket, never on a command line.

    Attributes:
        files: Where the run is.
        secrets: Passwords of the database.
        settings: How the worker works.
        index: Place of the worker in the crew, from 0.
        gpu: GPU that it uses, None for all that there are.
    """

    files: StudyFiles
    secrets: dict[str, str]
    settings: WorkerSettings
    index: int
    gpu: str | None = None


@dataclass
class _Member:
    """A worker that was started."""

    number: int
    process: subprocess.Popen[bytes]
    connection: Connection
    failure: MergeSearchError | None = None


def run_crew(
    files: StudyFiles,
    search: Search,
    settings: StudySettings,
    each: WorkerSettings,
    pins: Mapping[str, str],
    gpus: Sequence[str],
    observe: Observer,
) -> Front:
    """Run a search by several workers, or resume it; return its front, which is also written.

    Args:
        each: How each of the workers works.
        pins: Commits of the parents that come from the hub: id -> `ID@COMMIT`.
        gpus: GPUs that they take in turn; empty for all to each.

    Raises:
        RunFolderError: Another process is at work in the folder, or the run is another search's.
        Interrupted: Someone stopped it; the same call resumes it.
        MergeSearchError: A worker failed, or something outside ended all of them.
    """
    terms = Terms(
        rule=StopRule.of(settings, time.time()),
        confirm=settings.confirm,
        pins=pins,
        task_folder=bundled_tasks(search.objectives),
        warm_start=None if search.warm_start is None else search.warm_start.to_dict(),
    )
    with run_lock(files.lock) as lock, SignalGuard() as guard:
        share_study(files, search, settings, terms, guard.check)
        lock.mark_started()
        if not is_file(files.database):
            observe(Noted(f"others join with: {joining(files)}"))

        def check() -> None:
            guard.check()
            lock.check()

        with Crew(worker_setups(files, each, gpus), each.log) as started:
            started.watch(check, observe)
        files.turns.unlink(missing_ok=True)
        with RunRecords.of(files) as records:
            front = records.front()
        write_json(files.front, front.to_dict())
        observe(RunFinished(front))
    return front


def worker_setups(
    files: StudyFiles, each: WorkerSettings, gpus: Sequence[str]
) -> list[WorkerSetup]:
    """Return what each worker is told when it starts on the run in some files."""
    secrets = secrets_of(files.database)
    turns = itertools.cycle(gpus or (None,))
    return [
        WorkerSetup(files, secrets, each, index, gpu)
        for index, gpu in zip(range(each.workers), turns, strict=False)
    ]


def joining(files: StudyFiles) -> str:
    """Return the command that joins a run from another machine."""
    command = ["search", "worker", "--storage", files.database, "--study", files.name]
    return shlex.join(command)


class Crew(Closing):
    """The workers of a run on this machine; a context manager that ends those still at work.

    Args:
        setups: What each worker is told.
        log: File that what they print is appended to.
    """

    def __init__(self, setups: list[WorkerSetup], log: Path) -> None:
        self._files = setups[0].files
        self._output = EscapedLog(log)
        self._members: list[_Member] = []
        self._ended_well = False
        try:
            for setup in setups:
                self._members.append(_start(setup, self._output))
        except BaseException:
            self.close()
            raise

    def watch(self, check: Callable[[], None], observe: Observer) -> None:
        """Pass events on until all workers have ended.

        Args:
            check: Function that is called several times a second; what it raises ends the run.
            observe: Function that is called with the events of all workers, each once.

        Raises:
            MergeSearchError: A worker failed, or something outside ended all of them.
        """
        relay = _Relay(observe)
        while self._members:
            check()
            for connection in wait([member.connection for member in self._members], _LOOK_SECONDS):
                member = next(member for member in self._members if member.connection is connection)
                try:
                    message = member.connection.recv()
                except (EOFError, OSError):
                    self._end(member, relay)
                    continue
                if isinstance(message, MergeSearchError):
                    member.failure = message
                else:
                    relay(message)
        if not self._ended_well:
            raise MergeSearchError(
                "all workers were ended from outside",
                fix="the same command resumes from here; check the memory, and run.log",
            )

    def close(self) -> None:
        """Stop the workers that are at work, and wait for their ends; may be called again."""
        try:
            for member in self._members:
                with suppress(ProcessLookupError):
                    member.process.terminate()
            deadline = time.monotonic() + _FAREWELL_SECONDS
            for member in self._members:
                _drain(member, deadline)
        finally:
            for member in self._members:
                member.process.kill()
                member.process.wait()
                member.connection.close()
            self._members = []
            self._output.close()

    def _end(self, member: _Member, relay: _Relay) -> None:
        code = member.process.wait()
        member.connection.close()
        self._members.remove(member)
        if member.failure is not None:
            raise member.failure
        if code == 0:
            self._ended_well = True
            return
        with suppress(MergeSearchError):  # the others find out by its silence
            lose_process(
                self._files.database, self._files.name, socket.gethostname(), member.process.pid
            )
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        relay(Noted(f"worker {member.number} was ended ({how}); others do its trial again"))


class _Relay:
    """Passes on the events of several workers as those of one run."""

    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self._said: set[Any] = set()

    def __call__(self, event: Event) -> None:
        key: Any = None
        match event:
            case RunStarted() | ValidationStarted():
                key = type(event)
            case TrialFinished(trial):
                key = trial.number
            case Noted(note):
                key = note
            case ParentMeasured():
                key = event.parent
        if key is None or key not in self._said:
            self._said |= {key}
            self._observe(event)


def _start(setup: WorkerSetup, output: EscapedLog) -> _Member:
    # Ctrl-C reaches the run, which stops its workers
    process, connection = start_child("mergesearch.runs.child", output, start_new_session=True)
    member = _Member(setup.index + 1, process, connection)
    with suppress(OSError):  # it died: watching finds out how
        member.connection.send(setup)
    return member


def _drain(member: _Member, deadline: float) -> None:
    """Read what a worker still says, which it could not end without."""
    with suppress(EOFError, OSError):
        while member.connection.poll(max(0.0, deadline - time.monotonic())):
            member.connection.recv()
