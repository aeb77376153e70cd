"""What the live view knows: the events of a run, folded into one state."""

import statistics
from dataclasses import dataclass, field

from mergesearch.objectives import Rung
from mergesearch.report.growth import Growth, front_news
from mergesearch.study.events import (
    Event,
    Progressed,
    RunFinished,
    RunOpened,
    RunStarted,
    StageStarted,
    TrialFinished,
    Validated,
    ValidationStarted,
)
from mergesearch.study.front import Front
from mergesearch.study.records import Axis, State, TrialRecord
from mergesearch.study.stopping import StopRule

_RECENT = 30  # trials whose median time is the next one's


@dataclass
class Work:
    """A trial at work.

    Attributes:
        rung: Rung that it is measured on.
        stage: `proposing`, `building` or `scoring`.
        since: Time at which the stage began, in seconds since 1970.
        task: Task that is scored now, "" before the first.
        items: Items that are scored and all that are known of, by task.
    """

    rung: Rung
    stage: str
    since: float
    task: str = ""
    items: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Number of items that are scored."""
        return sum(done for done, _ in self.items.values())

    def share(self, typical: int) -> float:
        """How much of it is scored, from 0 to 1, as far as its items are known."""
        known = sum(total for _, total in self.items.values())
        return min(1.0, self.done / max(known, typical, 1))


@dataclass
class RunState:
    """A run as it stands; `apply` moves it on. Times are seconds since 1970.

    Attributes:
        started: Time at which this start of the run began.
        axes: Objectives, in order.
        rule: When the search stops.
        sampler: Name of what proposes.
        seed: Seed of the proposals.
        trials: Finished and unfinished trials by number, as last heard of.
        before: Number of trials that earlier starts had finished.
        at_work: Trials at work by number; several where workers share the run.
        to_validate: Numbers of the trials that this start validates, None while it searches.
        validating: Time at which validating began.
        validated: Number of those that are validated already.
        finished: Whether the run is done.
        space: Space as it was named, and the folder of the run; empty before they are known.
        news: What trials changed on the front, the last one last.
        last: Trial that finished last, None before the first.
        growth: Front of the search as it grows.
        typical: Items that a whole trial scored last, 0 before the first.
    """

    started: float = 0.0
    axes: tuple[Axis, ...] = ()
    rule: StopRule = field(default_factory=lambda: StopRule(None, None))
    sampler: str = ""
    seed: int = 0
    trials: dict[int, TrialRecord] = field(default_factory=dict)
    before: int = 0
    at_work: dict[int, Work] = field(default_factory=dict)
    to_validate: tuple[int, ...] | None = None
    validating: float = 0.0
    validated: int = 0
    finished: bool = False
    space: tuple[str, str] = ("", "")
    news: list[str] = field(default_factory=list)
    last: TrialRecord | None = None
    growth: Growth = field(default_factory=lambda: Growth(()))
    typical: int = 0
    _front: Front | None = field(default=None, repr=False)

    def apply(self, event: Event, now: float) -> None:
        """Move on by one event that happened `now`."""
        match event:
            case RunOpened():
                self.space = event.space, str(event.folder)
            case RunStarted():
                self.started, self.axes, self.rule = now, event.axes, event.rule
                self.sampler, self.seed = event.sampler, event.seed
                self.trials = {trial.number: trial for trial in event.trials}
                self.before = self.n_finished
                self.growth = Growth(self.axes)
                for trial in event.trials:
                    if trial.finished:
                        self.growth.take(trial)
                self._front = None
            case StageStarted():
                before = self.at_work.get(event.number)
                items = {} if before is None else before.items
                self.at_work[event.number] = Work(event.rung, event.stage, now, items=items)
            case Progressed():
                work = self.at_work.setdefault(event.number, Work(event.rung, "scoring", now))
                work.task = event.task
                work.items[event.task] = event.done, event.total
            case TrialFinished():
                self._take(event.trial)
            case ValidationStarted():
                self.to_validate, self.validating = event.numbers, now
                self.typical = 0
                self.at_work.clear()
            case Validated():
                self.validated += 1
                self._finish(event.trial)
            case RunFinished():
                self.finished = True
                self._front = event.front

    @property
    def front(self) -> Front | None:
        """The front as it stands, None before the run started; computed when it is looked at."""
        if self._front is None and self.axes:
            self._front = Front.of(self.axes, tuple(self.trials.values()))
        return self._front

    @property
    def n_finished(self) -> int:
        """Complete and failed trials, those of earlier starts included."""
        return sum(trial.finished for trial in self.trials.values())

    @property
    def idle(self) -> bool:
        """Whether this start found nothing to do: no trial to run, and no member to confirm."""
        return self.to_validate == () and self.n_finished == self.before

    @property
    def n_failed(self) -> int:
        """Failed trials, those of earlier starts included."""
        return sum(trial.state is State.FAILED for trial in self.trials.values())

    @property
    def n_left(self) -> int | None:
        """Trials still to run, None where only the clock ends the search."""
        return None if self.rule.trials is None else max(0, self.rule.trials - self.n_finished)

    def rate(self, now: float) -> float | None:
        """Finished trials per hour of this start, None before the first and while it validates."""
        count, elapsed = self.n_finished - self.before, now - self.started
        searches = self.to_validate is None
        return count / elapsed * 3600 if searches and count and elapsed > 0 else None

    def seconds_left(self, now: float) -> float | None:
        """Time until the search stops: by trials at their median time, or by the clock.

        While it validates: until the last member is done, at the pace of those that are.
        """
        if self.to_validate is not None:
            if not self.validated:
                return None
            left = len(self.to_validate) - self.validated
            return (now - self.validating) / self.validated * left
        ends = []
        if self.rule.end is not None:
            ends.append(max(0.0, self.rule.end - now))
        times = [
            trial.seconds for trial in self.trials.values() if trial.finished and trial.seconds
        ]
        if self.n_left is not None and (times or not self.n_left):
            typical = statistics.median(times[-_RECENT:]) if times else 0.0
            ends.append(self.n_left * typical / max(1, len(self.at_work)))
        return min(ends, default=None)

    def share_done(self, now: float) -> float:
        """How much of the search is done, from 0 to 1, by whichever rule ends it first.

        While it validates: how much of that.
        """
        if self.to_validate is not None:
            done = self.validated + self.share_of_trials()
            return min(1.0, done / max(1, len(self.to_validate)))
        shares = [0.0]
        if self.rule.trials:
            shares.append((self.n_finished + self.share_of_trials()) / self.rule.trials)
        if self.rule.end is not None and self.rule.end > self.started:
            shares.append((now - self.started) / (self.rule.end - self.started))
        return min(1.0, max(shares))

    def _take(self, trial: TrialRecord) -> None:
        is_news = trial.number not in self.trials or not self.trials[trial.number].finished
        self._finish(trial)
        self.last = trial
        if is_news:
            before = self.growth.members
            self.growth.take(trial)
            said = front_news(self.axes, before, self.growth.members, trial.number)
            self.news += [] if said is None else [said]

    def share_of_trials(self) -> float:
        """How many trials' worth of the trials at work is scored."""
        return sum(work.share(self.typical) for work in self.at_work.values())

    def _finish(self, trial: TrialRecord) -> None:
        work = self.at_work.pop(trial.number, None)
        self.typical = work.done or self.typical if work is not None else self.typical
        self.trials[trial.number] = trial
        self._front = None
