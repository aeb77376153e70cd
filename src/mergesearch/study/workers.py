"""A process that works on a run: alone, or as one of several workers that share it.

Optuna's own heartbeat fails the trial of a worker that was lost and queues a copy under another
number. Here a trial keeps its number and its parameters, and another worker does it again; so what
a search gives does not depend on who was lost. Who owns a trial stands with it in the study.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from mergesearch._system.closing import Closing
from mergesearch.errors import MergeSearchError
from mergesearch.study.ledger.sharing import Sharing
from mergesearch.study.locks import Check, Turns
from mergesearch.study.waiting import ServerWait

HEARTBEAT_SECONDS = 10.0
"""Time between two signs of life."""
LOST_SECONDS = 60.0
"""Time without a sign of life after which a worker is taken for lost."""
PAUSE_SECONDS = 0.5
_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Worker(Closing):
    """The only process that works on a run: whatever is unfinished is for it.

    Attributes:
        number: Number of the worker in the run, None for the only one.
    """

    number: int | None = None

    def in_turn(self, action: Callable[[], Result]) -> Result:
        """Return what an action gives that only one worker may do at a time.

        It is done again from its start where the server of the database went away meanwhile.
        """
        return action()

    def check_turn(self) -> None:
        """Make sure that the turn was not lost with the connection to the server.

        Raises:
            DatabaseAway: It was.
        """

    def others(self) -> set[int]:
        """Numbers of the other workers that are at work; what anyone else began is for this one."""
        return set()

    def may_confirm(self, trial: int) -> bool:
        """Take the scoring of a member of the front, unless another worker has it."""
        return True

    def end_confirming(self, trial: int) -> None:
        """Note that a member of the front is scored, or could not be."""

    def others_confirm(self) -> bool:
        """Whether other workers are scoring members of the front."""
        return False

    def pause(self) -> None:
        """Let a moment pass in which others get on."""

    def close(self) -> None:
        """Leave the run; may be called again."""


class SharedWorker(Worker):
    """One of the workers of a shared run; it gives signs of life until it is closed.

    Args:
        check: Function that raises what ends the run.
    """

    number: int

    def __init__(
        self, sharing: Sharing, turns: Turns, server_wait: ServerWait, check: Callable[[], None]
    ) -> None:
        self._sharing = sharing
        self._turns = turns
        self._server_wait = server_wait
        self._check = check
        self._check_turn: Check = lambda: None
        self.number = server_wait(lambda: sharing.join(socket.gethostname(), os.getpid()))
        self._signs: _SignsOfLife | None = _SignsOfLife(sharing, self.number)

    def in_turn(self, action: Callable[[], Result]) -> Result:
        """Return what an action gives that only one worker may do at a time."""
        return self._server_wait(lambda: self._take_turn(action))

    def check_turn(self) -> None:
        """Make sure that the turn was not lost with the connection to the server."""
        self._check_turn()

    def others(self) -> set[int]:
        """Numbers of the other workers that are at work."""
        workers = self._server_wait(self._sharing.workers)
        return {worker.number for worker in workers if not worker.has_left} - {self.number}

    def may_confirm(self, trial: int) -> bool:
        """Take the scoring of a member of the front, unless another worker has it."""

        def take() -> bool:
            owner, _ = self._sharing.confirming().get(trial, (None, False))
            if owner in self.others():
                return False
            self._sharing.start_confirming(trial, self.number)
            return True

        return self.in_turn(take)

    def end_confirming(self, trial: int) -> None:
        """Note that a member of the front is scored, or could not be."""
        self._server_wait(lambda: self._sharing.end_confirming(trial))

    def others_confirm(self) -> bool:
        """Whether other workers are scoring members of the front."""
        others, confirming = self.others(), self._server_wait(self._sharing.confirming)
        return any(owner in others and not done for owner, done in confirming.values())

    def pause(self) -> None:
        """Let a moment pass in which others get on."""
        self._check()
        time.sleep(PAUSE_SECONDS)

    def close(self) -> None:
        """Leave the run; may be called again."""
        if self._signs is None:
            return
        self._signs.close()
        self._signs = None
        try:
            self._sharing.leave(worker=self.number)
        except MergeSearchError as error:  # others find out by its silence
            _log.warning("the database was not told that this worker left: %s", error.what)

    def _take_turn(self, action: Callable[[], Result]) -> Result:
        with self._turns() as self._check_turn:
            return action()


class _SignsOfLife(Closing):
    """Gives a worker's signs of life, and looks for those of the others.

    How long others are silent is measured by this process's own clock, and only while the database
    answers: after a pause of it, or of this machine, everyone has all the time again.
    """

    def __init__(self, sharing: Sharing, worker: int) -> None:
        self._sharing = sharing
        self._worker = worker
        self._ended = threading.Event()
        self._heard: dict[int, tuple[float, float]] = {}  # a sign, and when it was first seen
        self._looked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="signs of life", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give no more signs; may be called again."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                self._sharing.give_sign(self._worker)
                self._look()
            except (MergeSearchError, sa.exc.SQLAlchemyError) as error:
                self._heard = {}
                _log.debug("no sign of life was given: %s", error)

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked > 3 * HEARTBEAT_SECONDS:
            self._heard = {}
        self._looked = now
        for worker in self._sharing.workers():
            if worker.has_left or worker.number == self._worker:
                continue
            sign, since = self._heard.get(worker.number, (worker.seen, now))
            self._heard[worker.number] = (
                (sign, since) if sign == worker.seen else (worker.seen, now)
            )
            if sign == worker.seen and now - since > LOST_SECONDS:
                self._sharing.leave(worker=worker.number)
                self._sharing.end_sessions(worker.host, worker.pid)
