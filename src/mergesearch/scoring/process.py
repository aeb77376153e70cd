"""The run's side of scoring: starts the scoring process, feeds it, survives its crash."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import mergesearch
from mergesearch.errors import ObjectivesError, ScorerCrashed, ScoringError
from mergesearch.objectives import Objectives, References, Rung, TaskResult
from mergesearch.scoring.protocol import Channel, OnProgress, Progress, results_from_json
from mergesearch.scoring.rehearsal import Effort, Part, Rehearsal

_FAREWELL_SECONDS = 5.0


class ScoredCandidate(Protocol):
    """What is needed of a candidate: an open file, or a path that any process can open."""

    fd: int | None
    path: Path
    digest: str


class ScoringProcess:
    """A warm process that holds llama.cpp, lm-eval and the tasks; a context manager.

    It starts with the first `score` (or `start`), and again after a crash.

    Args:
        objectives: what to score.
        log: file that its output and llama.cpp's messages are appended to; None: nowhere.
        trust_tasks: whether task YAMLs of the task folder may run code of their own.
        partial: folder for the finished chunks of a candidate, so that one whose scoring was
            interrupted goes on where it stood; removed at the end. None: it begins anew.
    """

    def __init__(
        self,
        objectives: Objectives,
        *,
        log: Path | None = None,
        trust_tasks: bool = False,
        partial: Path | None = None,
    ) -> None:
        self._objectives = objectives
        self._trust_tasks = trust_tasks
        self._partial = partial
        self._log = log
        self._references: References = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None

    @property
    def pid(self) -> int | None:
        """Process id, None where none is running."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process if none is running, and wait until its tasks are loaded.

        Raises:
            ObjectivesError: the tasks cannot be loaded, or there is no GPU for the layers.
            ScorerCrashed: it died while it started.
        """
        if self._channel is not None:
            return
        if self._objectives.runtime.n_gpu_layers > 0:
            _refuse_without_gpu()
        ours, theirs = socket.socketpair()
        with theirs, self._output() as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mergesearch.scoring.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(),
            )
        self._channel = Channel(ours)
        self._send(
            {
                "type": "setup",
                "objectives": self._objectives.to_yaml(),
                "trust_tasks": self._trust_tasks,
                "partial": None if self._partial is None else str(self._partial.resolve()),
            }
        )
        try:
            self._receive("ready", None)
        except BaseException:
            self.close()
            raise
        self._send_references()

    def use_references(self, references: References) -> None:
        """Give it the specialists' correct answers; another process after a crash gets them too."""
        self._references = references
        if self._channel is not None:
            self._send_references()

    def _send_references(self) -> None:
        texts = {
            task: [[item, text] for item, text in answers.items()]
            for task, answers in self._references.items()
        }
        self._send({"type": "references", "texts": texts})

    def score(
        self, candidate: ScoredCandidate, rung: Rung, on_progress: OnProgress | None = None
    ) -> dict[str, TaskResult]:
        """Score a candidate on a rung's items; results by task name.

        Raises:
            ScoringError: it cannot be loaded or scored.
            ScorerCrashed: the process died; the next call starts another.
        """
        digest = "" if self._partial is None else candidate.digest
        answer = self._ask(
            candidate, {"type": "score", "rung": rung, "digest": digest}, "result", on_progress
        )
        return results_from_json(answer["results"])

    def rehearse(self, candidate: ScoredCandidate, effort: Effort) -> Rehearsal:
        """Measure on a few requests of every task how fast a candidate is scored.

        Raises:
            ScoringError, ScorerCrashed: as `score`.
        """
        asked = {"type": "rehearse", "effort": asdict(effort)}
        found = self._ask(candidate, asked, "rehearsal", None)["rehearsal"]
        return Rehearsal(**found | {"parts": tuple(Part(**one) for one in found["parts"])})

    def _ask(
        self,
        candidate: ScoredCandidate,
        message: dict[str, Any],
        answer: str,
        on_progress: OnProgress | None,
    ) -> dict[str, Any]:
        """Send a message with a candidate and wait for the answer of that type."""
        self.start()
        by_descriptor = candidate.fd is not None and hasattr(socket, "send_fds")
        message |= {"descriptor": by_descriptor, "name": str(candidate.path)}
        if not by_descriptor:
            message["path"] = str(candidate.path)
        self._send(message, candidate.fd if by_descriptor else None)
        try:
            return self._receive(answer, on_progress)
        except (ScoringError, ObjectivesError):
            raise
        except BaseException:  # interrupted: what it still sends belongs to no one
            self._kill()
            raise

    def close(self) -> None:
        """End the process; may be called again."""
        if self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.send({"type": "bye"})
            self._channel.close()
            self._channel = None
        if self._process is not None:
            try:
                self._process.wait(_FAREWELL_SECONDS)
            except subprocess.TimeoutExpired:
                self._kill()
            self._process = None

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
        self.close()
        if kind is None and self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)

    def _output(self) -> IO[bytes]:
        return open(os.devnull if self._log is None else self._log, "ab")

    def _send(self, message: dict[str, Any], descriptor: int | None = None) -> None:
        assert self._channel is not None
        with contextlib.suppress(OSError):  # it died: `_receive` finds out how
            self._channel.send(message, descriptor)

    def _receive(self, wanted: str, on_progress: OnProgress | None) -> dict[str, Any]:
        assert self._channel is not None
        while True:
            received = self._channel.receive()
            if received is None:
                raise self._crash()
            message, _ = received
            if message["type"] == wanted:
                return message
            if message["type"] == "error":
                raise _error(message)
            if message["type"] == "progress" and on_progress is not None:
                on_progress(Progress(**message["progress"]))

    def _crash(self) -> ScorerCrashed:
        """Collect the dead process and say what it died of."""
        assert self._process is not None
        try:
            code = self._process.wait(_FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.returncode if self._process else -signal.SIGKILL
        how = f"ended by {_signal_name(-code)}" if code < 0 else f"exit code {code}"
        self._forget()
        where = "" if self._log is None else f"; its last messages are in {self._log}"
        return ScorerCrashed(f"the scoring process died ({how}){where}")

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._forget()

    def _forget(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel = None
        self._process = None


def _refuse_without_gpu() -> None:
    """Refuse layers on a GPU where llama.cpp would silently keep them: a night would not do."""
    from mergesearch.scoring.engine.features import features

    if not features().gpu:
        raise ObjectivesError(
            "the installed llama.cpp cannot use a GPU",
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


def _environment() -> dict[str, str]:
    """The environment of the child, which must import this very package."""
    source = str(Path(mergesearch.__file__).resolve().parents[1])
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


_ERRORS: dict[str, type[ScoringError] | type[ObjectivesError]] = {
    "ObjectivesError": ObjectivesError,
    "ScoringError": ScoringError,
}


def _error(message: dict[str, Any]) -> ScoringError | ObjectivesError:
    kind = _ERRORS.get(message["kind"], ScoringError)
    return kind(
        message["what"],
        where=message.get("where"),
        expected=message.get("expected"),
        fix=message.get("fix"),
    )
