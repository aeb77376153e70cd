"""How a run stands, as a document and as a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mergesearch._system.terminal import printable
from mergesearch.report import text
from mergesearch.report.tables import (
    best_facts,
    best_members,
    counts,
    fact_table,
    members_in_words,
    n_validated,
    proxy_notes,
    racing_notes,
    ruled_table,
)
from mergesearch.study.front import Front
from mergesearch.study.records import RunRecord, State, TrialRecord, WorkerRecord


@dataclass(frozen=True)
class WorkerStatus:
    """How a worker stands.

    Attributes:
        worker: The worker.
        trials: Number of trials that it finished.
        at_work: Number of the trial that it does now; None where it does none.
    """

    worker: WorkerRecord
    trials: int
    at_work: int | None

    @classmethod
    def of(cls, worker: WorkerRecord, trials: Sequence[TrialRecord]) -> WorkerStatus:
        """Return how a worker stands, whose trials are among these."""
        own = [trial for trial in trials if trial.worker == worker.number]
        unfinished = [trial.number for trial in own if not trial.finished]
        at_work = unfinished[0] if unfinished and not worker.has_left else None
        return cls(worker, len(own) - len(unfinished), at_work)

    @property
    def rate(self) -> float | None:
        """Finished trials an hour; None before the first."""
        return self.trials / self.worker.hours if self.trials and self.worker.hours else None

    def to_dict(self) -> dict[str, Any]:
        """Return the worker as `search status --json` prints it."""
        return {
            **asdict(self.worker),
            "trials": self.trials,
            "trial": self.at_work,
            "trials_per_hour": self.rate,
        }


@dataclass(frozen=True)
class Status:
    """How a run stands.

    Attributes:
        run: Record of the run.
        front: Front as it stands.
        trials: Trials of the run, by number.
        workers: Workers that share the run; empty where a single process works.
        running: Whether a process is at work on it.
    """

    run: RunRecord
    front: Front
    trials: Sequence[TrialRecord]
    workers: Sequence[WorkerRecord] = ()
    running: bool = field(kw_only=True)

    @property
    def unfinished(self) -> TrialRecord | None:
        """Trial at work, or to be done again; None where there is none."""
        return next((trial for trial in self.trials if not trial.finished), None)

    @property
    def trial_seconds(self) -> float | None:
        """Median time of a finished trial; None before the first."""
        finished = (trial.seconds for trial in self.trials if trial.finished)
        times = [seconds for seconds in finished if seconds is not None]
        return statistics.median_high(times) if times else None

    @property
    def last_failure(self) -> TrialRecord | None:
        """Last trial that failed, None where none did."""
        failed = (trial for trial in reversed(self.trials) if trial.state is State.FAILED)
        return next(failed, None)

    def worker_statuses(self) -> list[WorkerStatus]:
        """Return how each worker stands."""
        return [WorkerStatus.of(worker, self.trials) for worker in self.workers]

    def to_dict(self) -> dict[str, Any]:
        """Return the status as `search status --json` prints it."""
        failure = self.last_failure
        return {
            "running": self.running,
            "unfinished_trial": None if self.unfinished is None else self.unfinished.number,
            "trials": self.front.trials,
            "failed": self.front.failed,
            "trial_seconds": self.trial_seconds,
            "members": len(self.front.members),
            "validated": n_validated(self.front),
            "hypervolume": self.front.hypervolume,
            "knee": self.front.knee,
            "confirmed": self.front.search is not None,
            **({"racing": asdict(self.front.racing)} if self.front.racing else {}),
            "best": {
                name: {"trial": member.trial, "score": asdict(member.known[name])}
                for name, member in best_members(self.front).items()
            },
            "last_failure": None
            if failure is None
            else {"trial": failure.number, "reason": failure.failure},
            "workers": [worker.to_dict() for worker in self.worker_statuses()],
            "sampler": self.run.sampler,
            "seed": self.run.seed,
        }


def render_status(status: Status, now: float) -> RenderableType:
    """Return how a run stands `now` (seconds since 1970)."""
    front = status.front
    facts = [("run", _activity(status, now)), ("done", counts(front))]
    if status.trial_seconds is not None:
        facts.append(("a trial", f"{text.duration(status.trial_seconds)} (median)"))
    facts.append(("front", members_in_words(front)))
    if front.members:
        facts.append(("hypervolume", f"{front.hypervolume:.4f}"))
    facts += best_facts(front)
    facts += [*proxy_notes(front), *racing_notes(front)]
    if status.last_failure is not None:
        reason = text.first_line(status.last_failure.failure)
        facts.append(("last failure", f"trial {status.last_failure.number}: {reason}"))
    workers = status.worker_statuses()
    at_work = [found for found in workers if not found.worker.has_left]
    if workers:
        facts.append(("workers", _workers_in_words(workers, at_work)))
    facts.append(("sampler", f"{status.run.sampler}, seed {status.run.seed}"))
    known = fact_table(facts)
    return Group(known, "", _worker_table(at_work)) if at_work else known


def _workers_in_words(workers: Sequence[WorkerStatus], at_work: Sequence[WorkerStatus]) -> str:
    """How many are at work, what they do together, and what those did that have left."""
    words = f"{len(at_work) or 'none'} at work"
    if rates := [found.rate for found in at_work if found.rate is not None]:
        words += f", {text.rate(sum(rates))} trials an hour"
    left = [found for found in workers if found.worker.has_left]
    if left:
        have = "has" if len(left) == 1 else "have"
        done = text.plural(sum(found.trials for found in left), "trial")
        words += f"; {len(left)} {have} left ({done})"
    return words


def _worker_table(workers: Sequence[WorkerStatus]) -> Table:
    table = ruled_table()
    for heading in ("worker", "host", "process", "trial", "done", "an hour", "last sign of life"):
        is_name = heading == "host"
        table.add_column(
            heading, justify="left" if is_name else "right", overflow="fold" if is_name else "crop"
        )
    for found in workers:
        worker = found.worker
        table.add_row(
            str(worker.number),
            Text(printable(worker.host)),
            str(worker.pid),
            "-" if found.at_work is None else str(found.at_work),
            str(found.trials),
            "-" if found.rate is None else text.rate(found.rate),
            f"{text.duration(worker.silent_seconds)} ago",
        )
    return table


def _activity(status: Status, now: float) -> str:
    trial = status.unfinished
    if not status.running and trial is None and status.front.search is not None:
        return "finished"
    if not status.running:
        return "not running" + (f"; trial {trial.number} is to be done again" if trial else "")
    if trial is None or status.workers:
        return "running"
    since = text.duration(max(0.0, now - trial.started.timestamp()))
    return f"running, trial {trial.number} for {since}"
