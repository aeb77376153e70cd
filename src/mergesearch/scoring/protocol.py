"""Messages between a run and its scoring process: one JSON object a line, descriptors beside them.

From the run: `setup` (the objectives), `references` (specialists' answers for the proxies), `score`
(a rung; the candidate's descriptor comes with it, or its path), `rehearse` (likewise, how fast it
is scored), `bye`. From the scoring process: `ready`, `progress`, `result`, `rehearsal`, `error`.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mergesearch.objectives import ItemResult, MetricValue, TaskResult

_CHUNK = 1 << 16
_MAX_DESCRIPTORS = 4


@dataclass(frozen=True)
class Progress:
    """How far a task is: `done` of its `total` requests."""

    task: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


class Channel:
    """One end of the socket; messages in both directions, descriptors where there are any."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._pending = b""
        self._descriptors: list[int] = []

    def send(self, message: Mapping[str, Any], descriptor: int | None = None) -> None:
        """Send a message, and with it an open file.

        Raises:
            OSError: the other end is gone.
        """
        data = json.dumps(message).encode() + b"\n"
        if descriptor is not None:
            sent = socket.send_fds(self._socket, [data], [descriptor])
            data = data[sent:]
        self._socket.sendall(data)

    def receive(self) -> tuple[dict[str, Any], int | None] | None:
        """Return the next message and its descriptor, None when the other end has closed."""
        while b"\n" not in self._pending:
            try:
                data = self._read()
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        message = json.loads(line)
        taken = self._descriptors.pop(0) if message.get("descriptor") else None
        return message, taken

    def _read(self) -> bytes:
        if not hasattr(socket, "recv_fds"):
            return self._socket.recv(_CHUNK)
        data, descriptors, _, _ = socket.recv_fds(self._socket, _CHUNK, _MAX_DESCRIPTORS)
        self._descriptors += descriptors
        return data

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def results_to_json(results: Mapping[str, TaskResult]) -> list[dict[str, Any]]:
    """Return task results as JSON data; numbers survive to the bit."""
    return [asdict(one) for one in results.values()]


def results_from_json(data: Sequence[Mapping[str, Any]]) -> dict[str, TaskResult]:
    """Return the task results that `results_to_json` was given."""
    return {
        one["task"]: TaskResult(
            task=one["task"],
            metrics={name: MetricValue(**value) for name, value in one["metrics"].items()},
            n=one["n"],
            n_unscored=one["n_unscored"],
            items=tuple(ItemResult(**item) for item in one["items"]),
        )
        for one in data
    }
