"""Watching a run: a live view on a terminal, plain lines elsewhere, and the same lines in a log."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from mergesearch._system.terminal import printable
from mergesearch.errors import Interrupted
from mergesearch.objectives import Rung
from mergesearch.report import text
from mergesearch.report.growth import sparkline
from mergesearch.report.state import RunState
from mergesearch.report.tables import best_facts, render_front, scores_line, trial_line
from mergesearch.report.terminal import SafeConsole, redraws
from mergesearch.study.events import (
    Event,
    Noted,
    Observer,
    ParentMeasured,
    Preparing,
    RunFinished,
    RunOpened,
    RunStarted,
    TrialFinished,
    TriedAgain,
    Validated,
    ValidationStarted,
)
from mergesearch.study.front import Front
from mergesearch.study.records import State

_STAYING = (RunOpened, RunStarted, Noted, TriedAgain)
"""Events whose lines stay above the view that is redrawn."""

_SHOWN = 12  # members of the front that the live view shows at most
_FEWEST = 3  # however few rows there are
_NEWS = 3  # changes of the front that are shown
_SPARK = 40  # characters of the line that shows how the hypervolume grew
WIDEST_BAR = 80
"""Columns of the bar at most; wider ones are no easier to read."""


@contextmanager
def watch(console: Console | None = None) -> Iterator[Observer]:
    """Show a run as it goes; yields the function that `search` is to call with every event.

    On a terminal the view is redrawn in place and gives way to the front at the end, or to the
    front so far where the run is interrupted. Elsewhere, in a notebook too, there is one line for
    each finished trial and each stage, then the front.

    Args:
        console: Console of rich to show it on; None for standard output.
    """
    screen = SafeConsole() if console is None else console
    live_view = redraws(screen)
    state, ended = RunState(), False
    spinner = screen.status("")

    def view() -> RenderableType:
        if ended:  # rich draws it once more, however few rows there are for it
            return ""
        return render_live(state, time.time(), screen.width, screen.height)

    live = Live(console=screen, get_renderable=view, refresh_per_second=4, transient=True)

    def end() -> None:
        nonlocal ended
        ended = True
        live.stop()

    def observe(event: Event) -> None:
        state.apply(event, time.time())
        line = render_line(event, state)
        spinner.stop()
        if line is not None and (not live_view or isinstance(event, _STAYING)):
            screen.print(Text(line), soft_wrap=not live_view)
        match event:
            case Preparing() if live_view:
                spinner.update(Text(line or ""))
                spinner.start()
            case RunStarted() if live_view:
                live.start()
            case RunFinished(front):
                end()
                screen.print(render_front(front, screen.width))

    try:
        yield observe
    except Interrupted:
        end()
        if state.front is not None:
            screen.print(render_front(state.front, screen.width))
        raise
    finally:
        spinner.stop()
        end()


@contextmanager
def log_events(path: Path) -> Iterator[Observer]:
    """Append a line to a log for each finished trial and each stage; yields the run's observer."""
    state = RunState()
    with open(path, "a", encoding="utf-8") as file:

        def observe(event: Event) -> None:
            state.apply(event, time.time())
            line = render_line(event, state)
            if line is not None:
                file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {printable(line)}\n")
                file.flush()

        yield observe


def render_line(event: Event, state: RunState) -> str | None:
    """Return an event as one line, None where it is not worth one; `state` already has it."""
    match event:
        case RunOpened(space, dimensions, objectives, names, folder):
            return (
                f"space {space} ({text.plural(dimensions, 'dimension')}), "
                f"objectives {objectives} ({', '.join(names)}), folder {folder}"
            )
        case RunStarted():
            goal = [] if state.rule.trials is None else [text.plural(state.rule.trials, "trial")]
            if state.rule.end is not None:
                goal.append(f"until {datetime.fromtimestamp(state.rule.end):%H:%M}")
            if state.rule.tokens is not None:
                goal.append(f"{state.rule.tokens} tokens")
            if state.rule.hypervolume is not None:
                goal.append(f"a hypervolume of {state.rule.hypervolume:g}")
            if state.rule.patience is not None:
                goal.append(f"{text.plural(state.rule.patience, 'trial')} without a new member")
            before = f", {state.before} done before" if state.before else ""
            end = " or ".join(goal) or "until stopped"
            return f"search with {state.sampler}, seed {state.seed}: {end}{before}"
        case Noted(note):
            return f"note: {note}"
        case Preparing(what):
            return f"{what} ..."
        case ParentMeasured(parent, scores, seconds):
            return f"{parent}: {scores_line(scores, state.axes)}, {text.duration(seconds)}"
        case TriedAgain(number, reason):
            return f"trial {number} is tried once more: {text.first_line(reason)}"
        case TrialFinished(trial):
            of = f"/{state.rule.trials}" if state.rule.trials is not None else ""
            return f"trial {trial.number} ({state.n_finished}{of}) {trial_line(trial, state.axes)}"
        case ValidationStarted(reason, numbers):
            if state.idle:
                return f"nothing to do: {reason}, and the front is confirmed"
            members = text.plural(len(numbers), "member")
            return f"{reason}; validating {members} of the front"
        case Validated(trial):
            rung = trial.rungs[Rung.VALIDATE]
            found = (
                f"failed: {text.first_line(rung.failure)}"
                if rung.failure is not None
                else f"{scores_line(rung.scores, state.axes)}, {text.duration(rung.score_seconds)}"
            )
            count = f"({state.validated}/{len(state.to_validate or ())})"
            return f"trial {trial.number} validated {count} {found}"
        case _:
            return None


def render_live(state: RunState, now: float, width: int, height: int = 60) -> RenderableType:
    """Return the live view of a run as it stands `now` (seconds since 1970).

    Where rows are few, the front comes before everything but the line of the trial at work.

    Args:
        width: Columns that there are.
        height: Rows that there are.
    """
    if not state.axes:
        return Text("starting")
    essential: list[RenderableType] = [
        _headline(state),
        _bar(state.share_done(now), min(width, WIDEST_BAR)),
        _line(_pace(state, now)),
        *(_line(line, style="cyan") for line in _now(state, now)),
    ]
    facts = [*_last(state), *_growth(state), *_best(state), *_news(state), *_where(state)]
    if state.front is None or not state.front.members:
        return Group(*essential, *map(_line, facts))
    rows = height - len(essential) - 1
    table = _fitting(state.front, width, rows)
    room = rows - _height(table, width) - 1
    return Group(*essential, *map(_line, facts[: max(0, room)]), "", table)


def _fitting(front: Front, width: int, rows: int) -> RenderableType:
    """The front's table with as many members as there are rows for, three at least."""
    shown = min(_SHOWN, len(front.members))
    while shown > _FEWEST and _height(_shortened(front, shown, width), width) > rows:
        shown -= 1
    return _shortened(front, shown, width)


def _height(what: RenderableType, width: int) -> int:
    console = Console(width=width, file=io.StringIO())
    return len(console.render_lines(what))


def _line(words: str, style: str = "") -> Text:
    return Text(printable(words), style=style, no_wrap=True, overflow="ellipsis")


def _last(state: RunState) -> list[str]:
    """The trial that finished last, and the last one that failed."""
    if state.last is None:
        return []
    lines = [f"last: trial {state.last.number} {trial_line(state.last, state.axes)}"]
    failures = [trial for trial in state.trials.values() if trial.state is State.FAILED]
    if failures and failures[-1] is not state.last:
        failure = failures[-1]
        lines.append(f"last failure: trial {failure.number}: {text.first_line(failure.failure)}")
    return lines


def _growth(state: RunState) -> list[str]:
    volumes = state.growth.volumes
    if len(volumes) < 2:
        return []
    return [f"hypervolume {sparkline(volumes, _SPARK)} {volumes[-1]:.4f}"]


def _best(state: RunState) -> list[str]:
    facts = [] if state.front is None else best_facts(state.front)
    return [f"{name}: {shown}" for name, shown in facts]


def _news(state: RunState) -> list[str]:
    return [f"new: {said}" for said in reversed(state.news[-_NEWS:])]


def _where(state: RunState) -> list[str]:
    space, folder = state.space
    return [f"space {space}, folder {folder}"] if space else []


def _bar(share: float, width: int) -> Text:
    full = round(share * width)
    return Text("━" * full, style="green") + Text("─" * (width - full), style="dim")


def _headline(state: RunState) -> Text:
    if state.to_validate is not None:
        done = f"{state.validated} of {len(state.to_validate)} members"
        return _line(f"validating the front: {done}", style="bold")
    left = "" if state.n_left is None else f", {state.n_left} left"
    failed = f", {state.n_failed} failed" if state.n_failed else ""
    racing = None if state.front is None else state.front.racing
    failed += f", {racing.stopped} stopped early" if racing is not None and racing.stopped else ""
    done = text.plural(state.n_finished, "trial")
    return _line(f"searching with {state.sampler}: {done} done{left}{failed}", style="bold")


def _pace(state: RunState, now: float) -> str:
    parts = [f"{text.duration(max(0.0, now - state.started))} so far"]
    left = state.seconds_left(now)
    if left is not None:
        parts.append(f"{text.duration(left)} left (until {_clock(now + left)})")
    rate = state.rate(now)
    if rate is not None:
        parts.append(f"{text.rate(rate)} trials an hour")
    return ", ".join(parts)


def _clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment):%H:%M}"


def _now(state: RunState, now: float) -> list[str]:
    """What is done now and for how long, a line for each trial at work."""
    lines = []
    for number, work in sorted(state.at_work.items()):
        done, total = work.items.get(work.task, (0, 0))
        items = f" {work.task}, {done} of {total} items" if work.task else ""
        since = text.duration(max(0.0, now - work.since))
        lines.append(f"trial {number}: {work.stage}{items}, {since}")
    return lines or ["…"]


def _shortened(front: Front, count: int, width: int) -> RenderableType:
    """The front's table with about so many members: evenly spread, the knee among them."""
    last = len(front.members) - 1
    kept = {round(index * last / (count - 1)) for index in range(count)} if count > 1 else {0}
    shown = [
        member
        for index, member in enumerate(front.members)
        if index in kept or member.trial == front.knee
    ]
    return render_front(replace(front, members=tuple(shown)), width)
