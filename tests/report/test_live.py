"""The live view as literal text, the plain lines, and what becomes of a terminal."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from helpers.records import AXES, START, TRIALS, measurement, shown, trial, validated
from rich.console import Console

from mergesearch.errors import Interrupted
from mergesearch.report.live import log_events, render_line, render_live, watch
from mergesearch.report.state import RunState
from mergesearch.study import events
from mergesearch.study.front import Front
from mergesearch.study.stopping import StopRule

NOW = START.timestamp()
FRONT_AT_80 = (
    "          instruction  instruction   reasoning   reasoning\n"
    "   trial       search    validated      search   validated  shares\n"
    "──────────────────────────────────────────────────────────────────\n"
    "       0   70.8 ± 4.4   68.8 ± 4.4  30.0 ± 4.5  31.0 ± 4.5  75/25\n"
    "◆      2   60.0 ± 4.4            –  55.0 ± 4.5           –  75/25\n"
    "       1   40.0 ± 4.4   38.0 ± 4.4  64.2 ± 4.5  65.2 ± 4.5  75/25\n"
    "◆ knee\n"
    "shares in %: instruct / reason\n"
    "hypervolume 0.2221, 5 trials, 1 failed"
)


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)


def searching(rule: StopRule) -> RunState:
    """Two trials of an earlier start, three of this one, one at work after 20 seconds."""
    state = RunState()
    state.apply(events.RunStarted(AXES, rule, "gp", TRIALS[:2]), NOW)
    for record in TRIALS[2:]:
        state.apply(events.TrialFinished(record), NOW + 4)
    state.apply(events.StageStarted(5, "search", "building"), NOW + 14)
    state.apply(events.StageStarted(5, "search", "scoring"), NOW + 15)
    state.apply(events.Progressed(5, "search", "demo_instructions", 64, 120), NOW + 16)
    return state


def clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(NOW + seconds):%H:%M}"


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_view_of_a_search(width: int) -> None:
    view = shown(render_live(searching(StopRule(60, None)), NOW + 20, width), width)
    assert view == (
        "searching with gp: 5 trials done, 55 left, 1 failed\n"
        "━━━━━━━─────────────────────────────────────────────────────────────────────────\n"
        f"20 s so far, 3 min 40 s left (until {clock(240)}), 540 trials an hour\n"
        "trial 5: scoring demo_instructions, 64 of 120 items, 5.0 s\n"
        "last: trial 4 instruction 50.0 ± 4.4, reasoning 50.0 ± 4.5, 4.0 s\n"
        "last failure: trial 3: trial 3: killed by SIGSEGV\n"
        "hypervolume ▁▆███ 0.2221\n"
        "best instruction: 70.8 ± 4.4 (trial 0, search)\n"
        "best reasoning: 64.2 ± 4.5 (trial 1, search)\n"
        "new: trial 2: 25.0 points more reasoning at no loss\n"
        "\n" + FRONT_AT_80
    )


def test_the_view_fits_a_narrow_terminal() -> None:
    view = shown(render_live(searching(StopRule(60, None)), NOW + 20, 60), 60)
    assert view.startswith(
        "searching with gp: 5 trials done, 55 left, 1 failed\n"
        "━━━━━━──────────────────────────────────────────────────────\n"
        f"20 s so far, 3 min 40 s left (until {clock(240)}), 540 trials an h…\n"
        "trial 5: scoring demo_instructions, 64 of 120 items, 5.0 s\n"
    )
    assert "below each score: validated" in view


def test_where_rows_are_few_the_front_comes_first() -> None:
    view = shown(render_live(searching(StopRule(60, None)), NOW + 20, 80, 16), 80).splitlines()
    assert len(view) <= 16
    assert view[4:6] == ["last: trial 4 instruction 50.0 ± 4.4, reasoning 50.0 ± 4.5, 4.0 s", ""]


@pytest.mark.parametrize("height", [16, 18, 24, 60])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_it_is_never_higher_than_the_terminal(width: int, height: int) -> None:
    state = searching(StopRule(60, None))
    view = shown(render_live(state, NOW + 20, width, height), width).splitlines()
    assert len(view) <= height
    assert "◆ knee" in "\n".join(view)
    assert any(line.startswith("last: trial 4") for line in view) == (width > 60 or height > 16)


def test_the_first_trial_moves_the_bar_by_its_items() -> None:
    state = RunState()
    state.apply(events.RunStarted(AXES, StopRule(2, None), "gp", ()), NOW)
    state.apply(events.StageStarted(0, "search", "scoring"), NOW)
    state.apply(events.Progressed(0, "search", "words", 30, 60), NOW)
    assert state.share_done(NOW) == 0.25
    view = shown(render_live(state, NOW + 3, 80), 80).splitlines()
    assert view[1] == "━" * 20 + "─" * 60
    assert view[3] == "trial 0: scoring words, 30 of 60 items, 3.0 s"


def test_the_clock_gives_the_time_left_and_the_bar() -> None:
    state = searching(StopRule(None, NOW + 8 * 3600))
    view = shown(render_live(state, NOW + 2 * 3600, 60), 60)
    assert view.startswith(
        "searching with gp: 5 trials done, 1 failed\n" + "━" * 15 + "─" * 45 + "\n"
        f"2 h 00 min so far, 6 h 00 min left (until {clock(8 * 3600)}), 1.5 trial…\n"
    )


def test_of_two_rules_the_earlier_counts() -> None:
    state = searching(StopRule(60, NOW + 100))
    assert state.seconds_left(NOW + 20) == 80
    assert state.seconds_left(NOW) == 100
    state.rule = StopRule(60, NOW + 1000)
    assert state.seconds_left(NOW) == 220
    assert state.n_left == 55


def test_before_the_first_trial_nothing_is_claimed() -> None:
    state = RunState()
    assert shown(render_live(state, NOW, 60), 60) == "starting"
    state.apply(events.RunStarted(AXES, StopRule(60, None), "gp", ()), NOW)
    assert (state.rate(NOW + 9), state.seconds_left(NOW + 9)) == (None, None)
    assert shown(render_live(state, NOW + 9, 60), 60) == (
        "searching with gp: 0 trials done, 60 left\n" + "─" * 60 + "\n9.0 s so far\n…"
    )


def test_the_view_of_the_validation() -> None:
    state = searching(StopRule(5, None))
    state.apply(events.ValidationStarted("5 trials are done", (0, 2, 1)), NOW + 20)
    state.apply(events.Validated(validated(2, 0.6, 0.55)), NOW + 25)
    state.apply(events.StageStarted(1, "validate", "building"), NOW + 25)
    view = shown(render_live(state, NOW + 26, 60), 60)
    assert view.startswith(
        "validating the front: 1 of 3 members\n" + "━" * 20 + "─" * 40 + "\n"
        f"26 s so far, 12 s left (until {clock(38)})\n"
        "trial 1: building, 1.0 s\n"
    )


def test_a_member_that_is_validated_moves_the_bar_by_its_items() -> None:
    state = searching(StopRule(5, None))
    state.apply(events.ValidationStarted("5 trials are done", (0, 2)), NOW + 20)
    assert (state.rate(NOW + 21), state.seconds_left(NOW + 21)) == (None, None)
    state.apply(events.StageStarted(0, "validate", "scoring"), NOW + 20)
    state.apply(events.Progressed(0, "validate", "words", 30, 60), NOW + 22)
    assert state.share_done(NOW + 22) == 0.25
    state.apply(events.Validated(TRIALS[0]), NOW + 30)
    assert state.share_done(NOW + 30) == 0.5
    assert state.seconds_left(NOW + 30) == 10


def test_a_long_front_is_thinned_out_but_keeps_its_knee_and_ends() -> None:
    trials = [trial(n, 0.3 + 0.01 * n, 0.9 - 0.01 * n - 0.0002 * (n - 31) ** 2) for n in range(40)]
    trials = [replace(trial, started=START, ended=START + timedelta(seconds=1)) for trial in trials]
    state = RunState()
    state.apply(events.RunStarted(AXES, StopRule(60, None), "gp", tuple(trials)), NOW)
    assert state.front is not None
    assert len(state.front.members) > 15
    view = shown(render_live(state, NOW + 1, 80), 80)
    rows = re.findall(r"^.. +(\d+) .* 75/25$", view, re.MULTILINE)
    assert 12 <= len(rows) <= 13
    ends = state.front.members
    assert (rows[0], rows[-1]) == (str(ends[0].trial), str(ends[-1].trial))
    assert str(state.front.knee) in rows


def test_plain_lines() -> None:
    state = searching(StopRule(60, None))
    failed = trial(2, 0.6, 0.55, rungs={"validate": measurement({}, "killed\nby SIGSEGV")})
    state.to_validate, state.validated = (0, 2), 1
    lines = [
        render_line(event, state)
        for event in (
            events.Noted("a and b differ"),
            events.Preparing("loading the tasks"),
            events.RunStarted(AXES, state.rule, "gp", TRIALS[:2]),
            events.StageStarted(5, "search", "building"),
            events.Progressed(5, "search", "words", 1, 2),
            events.TrialFinished(TRIALS[4]),
            events.TrialFinished(TRIALS[3]),
            events.ValidationStarted("60 trials are done", (0,)),
            events.Validated(TRIALS[0]),
            events.Validated(failed),
            events.RunFinished(Front.of(AXES, TRIALS)),
        )
    ]
    assert lines == [
        "note: a and b differ",
        "loading the tasks ...",
        "search with gp, seed 0: 60 trials, 2 done before",
        None,
        None,
        "trial 4 (5/60) instruction 50.0 ± 4.4, reasoning 50.0 ± 4.5, 4.0 s",
        "trial 3 (5/60) failed: trial 3: killed by SIGSEGV",
        "60 trials are done; validating 1 member of the front",
        "trial 0 validated (1/2) instruction 68.8 ± 4.4, reasoning 31.0 ± 4.5, 3.2 s",
        "trial 2 validated (1/2) failed: killed",
        None,
    ]


def whole_run(observe) -> None:
    observe(events.RunStarted(AXES, StopRule(5, None), "gp", ()))
    for record in TRIALS:
        observe(events.TrialFinished(record))
    observe(events.ValidationStarted("5 trials are done", ()))
    observe(events.RunFinished(Front.of(AXES, TRIALS)))


def test_without_a_terminal_there_are_lines_and_the_front_and_a_log(tmp_path: Path) -> None:
    file = io.StringIO()
    console = Console(file=file, width=80)
    with watch(console) as observe, log_events(tmp_path / "run.log") as log:
        whole_run(observe)
        whole_run(log)
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert lines[0] == "search with gp, seed 0: 5 trials"
    assert lines[1] == "trial 0 (1/5) instruction 70.8 ± 4.4, reasoning 30.0 ± 4.5, 4.0 s"
    assert "\n".join(lines[7:]) == FRONT_AT_80
    log = (tmp_path / "run.log").read_text("utf-8").splitlines()
    assert [line[20:] for line in log] == lines[:7]
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", log[0])


def test_on_a_terminal_the_view_gives_way_to_the_front() -> None:
    file = Terminal()
    console = Console(file=file, width=80, force_interactive=True, color_system=None)
    with watch(console) as observe:
        whole_run(observe)
    final = file.getvalue().rpartition("\x1b[2K")[2]
    assert "trial 0 (1/5)" not in file.getvalue()
    assert "\n".join(line.rstrip() for line in final.splitlines()).strip("\n").endswith(FRONT_AT_80)
    assert "\x1b[?25h" in file.getvalue()  # the cursor is back


def test_on_a_terminal_work_beside_the_trials_is_said_as_long_as_it_lasts() -> None:
    file = Terminal()
    console = Console(file=file, width=80, force_interactive=True, color_system=None)
    with watch(console) as observe:
        observe(events.Preparing("loading the tasks"))
        whole_run(observe)
        observe(events.Preparing("writing r/report.html"))
    assert re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] loading the tasks ...", file.getvalue())
    last = file.getvalue().rpartition("hypervolume")[2]
    assert re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] writing r/report.html ...", last)
    assert last.endswith("\x1b[1A\x1b[2K")  # and is gone


def test_the_terminal_is_given_back_when_a_run_fails() -> None:
    file = Terminal()
    console = Console(file=file, width=80, force_interactive=True, color_system=None)
    started = events.RunStarted(AXES, StopRule(5, None), "gp", ())
    with pytest.raises(ZeroDivisionError), watch(console) as observe:
        _ = observe(started) or 1 / 0
    assert file.getvalue().rstrip().endswith(("\x1b[?25h", "\x1b[2K"))


def test_the_first_line_says_what_is_searched_and_where() -> None:
    opened = events.RunOpened("demo", 11, "small.yaml", ("instruction", "reasoning"), Path("r/d"))
    assert render_line(opened, RunState()) == (
        "space demo (11 dimensions), objectives small.yaml (instruction, reasoning), folder r/d"
    )


def test_a_start_without_anything_to_do_says_so() -> None:
    state = RunState()
    state.apply(events.RunStarted(AXES, StopRule(5, None), "gp", TRIALS), NOW)
    done = events.ValidationStarted("5 trials are done", ())
    state.apply(done, NOW)
    assert render_line(done, state) == (
        "nothing to do: 5 trials are done, and the front is confirmed"
    )


@pytest.mark.parametrize("terminal", [True, False])
def test_an_interrupted_run_shows_its_front_so_far(terminal: bool) -> None:
    file = Terminal() if terminal else io.StringIO()
    console = Console(file=file, width=80, force_interactive=terminal, color_system=None)
    started = events.RunStarted(AXES, StopRule(9, None), "gp", TRIALS)
    with pytest.raises(Interrupted), watch(console) as observe:
        _stop(observe, started)
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert "hypervolume 0.2221, 5 trials, 1 failed" in lines


def _stop(observe: Callable[[events.Event], None], started: events.RunStarted) -> None:
    observe(started)
    raise Interrupted("stopped")


@pytest.mark.parametrize("of", ["a dumb terminal", "a notebook", "a file with colors"])
def test_where_nothing_can_be_redrawn_there_are_lines(
    of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"TERM": "dumb" if of == "a dumb terminal" else "xterm", "FORCE_COLOR": "1"}
    if of == "a notebook":
        monkeypatch.setenv("JPY_PARENT_PID", "1")
    file = io.StringIO() if of == "a file with colors" else Terminal()
    console = Console(file=file, width=80, color_system=None, _environ=environ)
    with watch(console) as observe:
        whole_run(observe)
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert lines[0] == "search with gp, seed 0: 5 trials"
    assert "\n".join(lines[7:]) == FRONT_AT_80
