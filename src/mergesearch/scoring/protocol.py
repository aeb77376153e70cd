"""Messages between a run and its scoring process: one JSON object a line, descriptors beside them.

Each message of the run but `Bye` gets one answer: the one that its docstring names, or `Failed`.
`Progress` may come before it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter

from mergesearch.errors import MergeSearchError, ScorerOutOfMemory, ScoringError
from mergesearch.objectives import Items, References, Rung, TaskResult
from mergesearch.scoring.rehearsal import Effort, Rehearsal
from mergesearch.scoring.texts import Texts

_READ_BYTES = 1 << 16
_MAX_DESCRIPTORS = 4

# -- from the run ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class CandidateFile:
    """How a candidate is handed over.

    Attributes:
        name: Path by which the run knows it.
        path: Path that the scoring process opens; None: an open file comes with the message.
    """

    name: str
    path: str | None = None


@dataclass(frozen=True)
class Setup:
    """Load the tasks of an objectives file; answered by `Loaded`.

    Attributes:
        objectives: Objectives file (YAML) whose task folder is absolute.
        trust_tasks: Whether task files may run code of their own.
        partial: Folder for finished chunks; None: they are not kept.
        shares_partial: Whether other processes keep theirs in the folder too.
    """

    objectives: str
    trust_tasks: bool
    partial: str | None
    shares_partial: bool = False


@dataclass(frozen=True)
class UseReferences:
    """Take the specialists' correct answers, which proxies are made of; answered by `Ready`."""

    answers: References


@dataclass(frozen=True)
class ScoreCandidate:
    """Score a candidate on a rung; answered by `Results`.

    Attributes:
        file: The candidate.
        rung: Rung whose items are scored.
        digest: SHA-256 (hex) of the candidate, by which its finished chunks are kept.
        items: Items of the rung to score; None: all of them.
    """

    file: CandidateFile
    rung: Rung
    digest: str
    items: Items | None = None


@dataclass(frozen=True)
class RehearseCandidate:
    """Measure on a few requests how fast a candidate is scored; answered by `Rehearsed`."""

    file: CandidateFile
    effort: Effort


@dataclass(frozen=True)
class ReadItems:
    """Say what items ask, for people; answered by `ItemsRead`."""

    items: Items


@dataclass(frozen=True)
class Bye:
    """End; has no answer."""


# -- from the scoring process ----------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """The tasks of an objectives file.

    Attributes:
        order: Items of each rung in their fixed order.
        means: Used metrics of each task that are means over its items.
    """

    order: Mapping[Rung, Items]
    means: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Ready:
    """What was asked for is done."""


@dataclass(frozen=True)
class Progress:
    """How far the scoring of one task is.

    Attributes:
        task: Name of the task.
        done: Number of items scored.
        total: Number of items to score.
    """

    task: str
    done: int
    total: int


@dataclass(frozen=True)
class Results:
    """Results of a candidate by task."""

    results: Mapping[str, TaskResult]


@dataclass(frozen=True)
class Rehearsed:
    """Speed of a candidate."""

    rehearsal: Rehearsal


@dataclass(frozen=True)
class ItemsRead:
    """What items ask."""

    texts: Texts


@dataclass(frozen=True)
class Failed:
    """An error of the scoring process; its fields are those of `MergeSearchError`.

    Attributes:
        error: Name of a class of `mergesearch.errors`.
        what: What went wrong.
        where: Place it happened in.
        expected: What would have been right.
        fix: What the reader can do about it.
    """

    error: str
    what: str
    where: str | None = None
    expected: str | None = None
    fix: str | None = None

    @classmethod
    def of(cls, error: Exception) -> Failed:
        """Return the message that an exception becomes."""
        match error:
            case MergeSearchError():
                name = type(error).__name__
                return cls(name, error.what, error.where, error.expected, error.fix)
            case MemoryError():
                return cls(ScorerOutOfMemory.__name__, "the scoring process ran out of memory")
            case _:
                return cls(ScoringError.__name__, f"{type(error).__name__}: {error}")

    def exception(self) -> MergeSearchError:
        """Return the exception that the message was made of."""
        error = MergeSearchError.classes.get(self.error, MergeSearchError)
        return error(self.what, where=self.where, expected=self.expected, fix=self.fix)


Request = Setup | UseReferences | ScoreCandidate | RehearseCandidate | ReadItems | Bye
Reply = Loaded | Ready | Progress | Results | Rehearsed | ItemsRead | Failed
Message = Request | Reply
OnProgress = Callable[[Progress], None]

# -- on the wire -----------------------------------------------------------------------------------

_MESSAGES = {message.__name__: message for message in get_args(Message)}


@cache
def _reader(name: str) -> TypeAdapter[Any]:
    if name not in _MESSAGES:
        raise ScoringError(f"unknown message {name!r}", expected=", ".join(_MESSAGES))
    return TypeAdapter(_MESSAGES[name])


def encode(message: Message) -> bytes:
    """Return a message as a line of JSON; numbers survive to the bit."""
    return json.dumps([type(message).__name__, asdict(message)]).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message of a line.

    Raises:
        ScoringError: The line is not a message.
    """
    try:
        name, fields = json.loads(line)
        return _reader(name).validate_python(fields)
    except (TypeError, ValueError) as error:
        raise ScoringError(f"a malformed message between the processes ({error})") from error


class Channel:
    """One end of the socket; messages in both directions, descriptors where there are any."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._pending = b""
        self._descriptors: list[int] = []

    def send(self, message: Message, descriptor: int | None = None) -> None:
        """Send a message, and with it an open file.

        Raises:
            OSError: The other end is gone.
        """
        data = encode(message)
        if descriptor is not None:
            sent = socket.send_fds(self._socket, [data], [descriptor])
            data = data[sent:]
        self._socket.sendall(data)

    def receive(self, seconds: float | None = None) -> Message | None:
        """Return the next message, None when the other end has closed.

        Args:
            seconds: Longest time in which nothing arrives; None: as long as it takes.

        Raises:
            TimeoutError: Nothing arrived for so long.
            ScoringError: What arrived is not a message.
        """
        self._socket.settimeout(seconds)
        while b"\n" not in self._pending:
            try:
                data = self._read()
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return decode(line)

    def take_descriptor(self) -> int:
        """Return the open file that came with the last message; the caller closes it."""
        return self._descriptors.pop(0)

    def _read(self) -> bytes:
        if not hasattr(socket, "recv_fds"):
            return self._socket.recv(_READ_BYTES)
        data, descriptors, _, _ = socket.recv_fds(self._socket, _READ_BYTES, _MAX_DESCRIPTORS)
        self._descriptors += descriptors
        return data

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
