"""When a run ends: what was asked for at first holds until something else is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mergesearch.errors import InputError

DEFAULT_TRIALS = 60
_LONGEST_HOURS = 24 * 366


@dataclass(frozen=True)
class Goal:
    """What ends a search; whichever comes first.

    Attributes:
        trials: Number of finished trials to reach; None for no limit.
        until: Moment after which no trial is started, in local time; None for no limit.
    """

    trials: int | None = None
    until: datetime | None = None

    @classmethod
    def named(
        cls, trials: int | None, hours: float | None, until: datetime | None, now: datetime
    ) -> Goal | None:
        """Return the goal that a person named, None where nothing was named.

        Raises:
            InputError: The number of trials or of hours is not a sensible one.
        """
        if trials is None and hours is None and until is None:
            return None
        if trials is not None and trials < 1:
            raise InputError(f"{trials} trials are none", where="trials", expected="1 or more")
        if hours is None:
            return cls(trials, until)
        if not 0 <= hours <= _LONGEST_HOURS:  # NaN neither
            raise InputError(
                f"{hours:g} is not a number of hours", where="hours", expected="0 to a year's"
            )
        end = now + timedelta(hours=hours)
        return cls(trials, end if until is None else min(end, until))

    @classmethod
    def from_dict(cls, document: Any) -> Goal:
        """Return the goal that `to_dict` wrote.

        Raises:
            ValueError, TypeError, KeyError: The document is another.
        """
        trials, until = document["trials"], document["until"]
        if trials is not None and not isinstance(trials, int):
            raise TypeError(f"{trials!r} is not a number of trials")
        return cls(trials, None if until is None else datetime.fromisoformat(until))

    def to_dict(self) -> dict[str, Any]:
        """Return the goal as a run folder keeps it."""
        until = None if self.until is None else self.until.isoformat()
        return {"trials": self.trials, "until": until}
