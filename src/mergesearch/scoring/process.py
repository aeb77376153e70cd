"""The run's side of scoring: starts the scoring process, feeds it, survives its crash."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from mergesearch._system.children import EscapedLog, start_child
from mergesearch.errors import (
    MergeSearchError,
    ObjectivesError,
    ScorerCrashed,
    ScorerHung,
    ScorerKilled,
)
from mergesearch.objectives import Items, Objectives, References, Rung, TaskResult
from mergesearch.scoring.protocol import Loaded, OnProgress, Progress
from mergesearch.scoring.rehearsal import Rehearsal
from mergesearch.scoring.server import Server
from mergesearch.scoring.texts import Texts

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

_FAREWELL_SECONDS = 5.0
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
"""Signals that nothing in a process sends to itself."""
FIRST_SECONDS = 7200.0
"""Longest silence before any candidate was scored: one chunk of a large model on a slow machine."""
LEAST_SECONDS = 120.0
"""Shortest limit, for machines that have much else to do."""
TIMES = 20
"""How many times longer than ever before a silence may be."""
_TURNS = 10  # a run that was stopped with all its processes loses one of them


class SilenceLimit:
    """Waits for messages, for a multiple of the longest silence in what ended well."""

    def __init__(self) -> None:
        self._longest: float | None = None

    @property
    def seconds(self) -> float:
        """Longest silence that is waited for."""
        if self._longest is None:
            return FIRST_SECONDS
        return max(LEAST_SECONDS, TIMES * self._longest)

    def learn(self, silence: float) -> None:
        """Take note of the longest silence in something that ended well."""
        self._longest = max(silence, self._longest or 0.0)

    def receive(self, connection: Connection) -> Any:
        """Return the next message.

        Raises:
            ScorerHung: There is none for too long.
            EOFError, OSError: The other end has closed.
        """
        seconds = self.seconds
        for _ in range(_TURNS):
            if connection.poll(seconds / _TURNS):
                return connection.recv()
        known = "" if self._longest is None else f", {TIMES} times as long as ever before"
        raise ScorerHung(f"the scoring process said nothing for {seconds:.0f} s{known}")


class ScoredCandidate(Protocol):
    """What is needed of a candidate: its digest, and a path that any process can open."""

    path: Path
    digest: str


class ScoringProcess:
    """A warm process that holds llama.cpp, lm-eval and the tasks; a context manager.

    It starts with the first `score` (or `start`), and again after a crash.

    Args:
        objectives: Tasks, items and runtime settings.
        log: File that its output and llama.cpp's messages are appended to; None: nowhere.
        trust_tasks: Whether task YAMLs of the task folder may run code of their own.
        partial: Folder for the finished chunks of a candidate, so that one whose scoring was
            interrupted resumes where it stood; removed at the end. None: it starts anew.
        shares_partial: Whether other processes keep theirs in the folder too; then it stays.
    """

    def __init__(
        self,
        objectives: Objectives,
        *,
        log: Path | None = None,
        trust_tasks: bool = False,
        partial: Path | None = None,
        shares_partial: bool = False,
    ) -> None:
        self._objectives = objectives
        self._trust_tasks = trust_tasks
        self._partial = partial
        self._shares_partial = shares_partial
        self._log = log
        self._references: References = {}
        self._loaded: Loaded | None = None
        self._on_progress: OnProgress | None = None  # of the candidate that is scored
        self._silence_limit = SilenceLimit()
        self._output: EscapedLog | None = None
        self._reason: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Process id, None where none is running."""
        return None if self._process is None else self._process.pid

    # -- requests --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process if none is running, and wait until its tasks are loaded.

        Raises:
            ObjectivesError: The tasks cannot be loaded, or there is no GPU for the layers.
            ScorerCrashed: It died while it started.
        """
        if self._connection is not None:
            return
        if self._objectives.runtime.n_gpu_layers > 0:
            _refuse_without_gpu()
        if self._log is not None and self._output is None:
            self._output = EscapedLog(self._log)
        self._process, self._connection = start_child("mergesearch.scoring.child", self._output)
        partial = None if self._partial is None else self._partial.resolve()
        try:
            self._loaded = self._ask(
                Server.load, self._objectives, trust_tasks=self._trust_tasks, partial=partial
            )
            if self._references:
                self._ask(Server.use_references, self._references)
        except BaseException:
            self._kill()
            raise

    def tasks(self) -> Loaded:
        """Return the items of the tasks in their fixed order, and which metrics are their means.

        Raises:
            ObjectivesError, ScorerCrashed: As `start`.
        """
        if self._loaded is None:
            self.start()
        assert self._loaded is not None
        return self._loaded

    def use_references(self, references: References) -> None:
        """Give it the specialists' correct answers; another process after a crash gets them too."""
        self._references = references
        if self._connection is not None:
            self._ask(Server.use_references, references)

    def score(
        self,
        candidate: ScoredCandidate,
        rung: Rung,
        on_progress: OnProgress | None = None,
        items: Items | None = None,
    ) -> dict[str, TaskResult]:
        """Score a candidate on a rung's items, or on some of them; results by task name.

        Args:
            on_progress: Function that is told how far each task is.
            items: Items of the rung to score, in any order; None: all of them. What shares a batch
                changes results, so an item may have another result in another part.

        Raises:
            ScoringError: It cannot be loaded or scored.
            ScorerCrashed, ScorerHung: The process died or hung; the next call starts another.
        """
        self.start()
        self._on_progress = on_progress
        return self._ask(Server.score, candidate.path, candidate.digest, rung, items)

    def rehearse(self, candidate: ScoredCandidate, *, to_the_end: bool) -> Rehearsal:
        """Measure on a few requests of every task how fast a candidate is scored.

        Args:
            to_the_end: Whether its answers mean anything, so that their length is worth knowing.

        Raises:
            ScoringError, ScorerCrashed: As `score`.
        """
        self.start()
        return self._ask(Server.rehearse, candidate.path, to_the_end=to_the_end)

    def item_texts(self, items: Items) -> Texts:
        """Return what items ask, for people.

        Raises:
            ObjectivesError, ScorerCrashed: As `start`.
        """
        self.start()
        return self._ask(Server.item_texts, items)

    def _ask(
        self,
        method: Callable[Concatenate[Server, Arguments], Answer],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Answer:
        """Let the process call a method of its server; return what that returns."""
        try:
            answer: Answer | MergeSearchError = self._exchange(method, arguments, options)
        except BaseException:  # interrupted: what it still sends belongs to no one
            self._kill()
            raise
        if isinstance(answer, MergeSearchError):
            raise answer
        return answer

    def _exchange(self, method: Any, arguments: Any, options: Any) -> Any:
        assert self._connection is not None
        with suppress(OSError):  # it died: receiving finds out how
            self._connection.send((method.__name__, arguments, options))
        longest = 0.0
        while True:
            start = time.monotonic()
            try:
                message = self._silence_limit.receive(self._connection)
            except (EOFError, OSError):
                raise self._crash() from None
            longest = max(longest, time.monotonic() - start)
            match message:
                case Progress():
                    if self._on_progress is not None:
                        self._on_progress(message)
                case MergeSearchError():
                    return message
                case _:
                    if method == Server.score:
                        self._silence_limit.learn(longest)
                    return message

    def end(self, reason: str) -> None:
        """End the process from another thread; what it was asked for fails with a reason."""
        process = self._process
        if process is not None:
            self._reason = reason
            process.kill()

    # -- life ------------------------------------------------------------------------------------

    def close(self, *, keep_partial: bool = False) -> None:
        """End the process; may be called again.

        Args:
            keep_partial: Whether finished chunks of an unfinished candidate stay on disk.
        """
        if self._process is not None and self._connection is not None:
            self._connection.close()  # which it takes for a goodbye
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_FAREWELL_SECONDS)
            self._kill()
        if self._output is not None:
            self._output.close()
            self._output = None
        if self._partial is not None and not keep_partial and not self._shares_partial:
            shutil.rmtree(self._partial, ignore_errors=True)

    def __enter__(self) -> ScoringProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._kill()
        self.close(keep_partial=kind is not None)

    def _crash(self) -> ScorerCrashed:
        """Collect the dead process and say what it died of."""
        process = self._process
        assert process is not None
        with suppress(subprocess.TimeoutExpired):
            process.wait(_FAREWELL_SECONDS)
        self._kill()
        code = process.returncode
        how = f"ended by {_signal_name(-code)}" if code < 0 else f"exit code {code}"
        if self._output is not None:
            self._output.drain()
        where = "" if self._log is None else f"; its last messages are in {self._log}"
        if self._reason is not None:
            how, self._reason = self._reason, None
        kind = ScorerKilled if -code in _FROM_OUTSIDE else ScorerCrashed
        return kind(f"the scoring process died ({how}){where}")

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None


def _refuse_without_gpu() -> None:
    """Refuse layers on a GPU where llama.cpp would silently keep them: a night would not do."""
    from mergesearch.scoring.engine.features import features

    found = features()
    if found.gpu:
        return
    if found.gpu_backends:
        raise ObjectivesError(
            "llama.cpp finds no GPU here",
            where="runtime.n_gpu_layers",
            expected=f"a GPU for {' or '.join(found.gpu_backends)}, which it was built for",
            fix="name with --gpu one that the driver lists (nvidia-smi -L), or leave out"
            " n_gpu_layers to score on the processor",
        )
    raise ObjectivesError(
        "the installed llama.cpp was built without a GPU",
        where="runtime.n_gpu_layers",
        expected="0, or a llama-cpp-python that was built for the GPU",
        fix="leave it out to score on the processor, or install llama-cpp-python anew with"
        " CMAKE_ARGS=-DGGML_CUDA=on (or another GPU's switch)",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
