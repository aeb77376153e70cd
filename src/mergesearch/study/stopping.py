"""When a run ends: by number of trials, by the clock, or because someone asks it to."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import FrameType, TracebackType
from typing import Any, Self

from mergesearch.errors import Interrupted
from mergesearch.study.settings import StudySettings


@dataclass(frozen=True)
class StopRule:
    """When no further trial is started.

    Attributes:
        trials: finished trials to reach, None: no limit.
        deadline: seconds since 1970, None: no limit.
    """

    trials: int | None
    deadline: float | None

    @classmethod
    def of(cls, settings: StudySettings, now: float, reserved: float = 0.0) -> Self:
        """Return the rule for a run that starts `now` (seconds since 1970).

        Args:
            settings: When the run ends.
            now: Moment at which it starts.
            reserved: Share of the time that is left to confirm the front.
        """
        ends = []
        if settings.hours is not None:
            ends.append(now + settings.hours * 3600)
        if settings.until is not None:
            ends.append(settings.until.timestamp())
        deadlines = [now + (end - now) * (1 - reserved) for end in ends]
        return cls(settings.trials, min(deadlines, default=None))

    def reason(self, finished: int, now: float) -> str | None:
        """Return why no further trial is started, None where one may be."""
        if self.trials is not None and finished >= self.trials:
            return f"{finished} trials are done" if finished != 1 else "1 trial is done"
        if self.deadline is not None and now >= self.deadline:
            return f"it is {datetime.fromtimestamp(now):%H:%M}"
        return None


class SignalGuard:
    """Turns the first Ctrl-C or SIGTERM into `Interrupted`, where that leaves nothing half-done.

    Inside `interruptible()` it is raised at once; elsewhere at the next `check()`. A second signal
    acts as if there were no guard. Outside the main thread, where signals cannot be caught, the
    guard does nothing.
    """

    def __init__(self) -> None:
        self._requested: str | None = None
        self._inside = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def check(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self._requested is not None:
            raise Interrupted(
                f"stopped by {self._requested}; everything finished is kept",
                fix="the same command goes on from here",
            )

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a signal raise at once in this context."""
        self._inside = True
        try:
            self.check()
            yield
        finally:
            self._inside = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._requested = signal.Signals(number).name
        self._restore()
        if self._inside:
            self.check()

    def _restore(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}
