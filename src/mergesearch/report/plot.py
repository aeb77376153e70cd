"""The front as a picture: an SVG that needs no script, and the same as a PNG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from mergesearch._system.terminal import printable
from mergesearch.errors import InputError
from mergesearch.objectives import Score
from mergesearch.report import text
from mergesearch.report.scatter import scored
from mergesearch.study.front import Front
from mergesearch.study.records import Axis, TrialRecord

_WIDTH, _HEIGHT = 900, 620
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 24, 56, 64
_COLORS = {
    "knee": "#b34700",
    "member": "#0072b2",
    "parent": "#007a5a",
    "dominated": "#8c959f",
    "swept": "#a8327a",
}
_TICKS = 6

Scores = Mapping[str, Score]
"""Score of each objective."""


def front_svg(
    front: Front, trials: Sequence[TrialRecord], name: str, sweep: Sequence[TrialRecord] = ()
) -> str:
    """Return the first two objectives of a run as an SVG; better is up and to the right.

    Args:
        sweep: Trials of the sweep that the run is compared with.

    Raises:
        InputError: There is no front yet, or the run has one objective.
    """
    if not front.members or len(front.axes) < 2:
        what = "the run has one objective" if front.members else "there is no front yet"
        raise InputError(f"{what}, so there is nothing to plot")
    shown, swept = scored(trials), scored(sweep)
    confirmed = _confirmed(front)
    plot = _Plot.of(front, [trial.scores() for trial in (*shown, *swept)], confirmed)
    order = sorted(shown, key=lambda trial: list(_COLORS).index(_role(front, trial)), reverse=True)
    numbers = {member.trial for member in front.members}
    members = [trial for trial in order if trial.number in numbers]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' width="{_WIDTH}" height="{_HEIGHT}" font-family="DejaVu Sans, sans-serif"'
        ' font-size="14" fill="#1b1f24">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _words(_LEFT, 24, f"{name}: {text.plural(front.trials, 'trial')}", size=17),
        *plot.rulers(),
        *(plot.mark(trial.scores(), "swept") for trial in swept),
        *(
            line
            for trial in members
            for line in plot.interval(trial.scores(), confirmed.get(trial.number))
        ),
        *(plot.mark(trial.scores(), _role(front, trial)) for trial in order),
        *(
            plot.mark(confirmed[trial.number], _role(front, trial), hollow=True)
            for trial in members
            if trial.number in confirmed
        ),
        *_legend(
            {_role(front, trial) for trial in shown} | ({"swept"} if swept else set()),
            bool(confirmed),
        ),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def to_png(svg: str) -> bytes:
    """Return an SVG as a PNG of twice its size.

    Raises:
        InputError: The package that draws it is not installed.
    """
    try:
        import resvg_py
    except ImportError:
        raise InputError(
            "a PNG needs the package resvg_py",
            fix="pip install 'mergesearch[plot]', or name a file that ends in .svg",
        ) from None
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=2))


def _confirmed(front: Front) -> dict[int, Scores]:
    """What unseen items tell of the members that were scored on them, by trial."""
    found = {
        member.trial: member.confirmed.values if member.confirmed else member.validated
        for member in front.members
    }
    return {trial: scores for trial, scores in found.items() if scores}


def _role(front: Front, trial: TrialRecord) -> str:
    if trial.number == front.knee:
        return "knee"
    if trial.parent is not None:
        return "parent"
    members = {member.trial for member in front.members}
    return "member" if trial.number in members else "dominated"


@dataclass(frozen=True)
class _Ruler:
    """One axis: from worst to best over so many points of the picture."""

    axis: Axis
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of a value."""
        share = (value - self.low) / (self.high - self.low)
        if self.axis.direction == "minimize":
            share = 1.0 - share
        return self.start + share * (self.end - self.start)

    def ticks(self) -> Iterable[tuple[float, str]]:
        """Yield the place and the label of each tick."""
        step = text.tick_step(self.high - self.low, _TICKS)
        for index in range(math.ceil(self.low / step), math.floor(self.high / step) + 1):
            yield self.at(index * step), text.tick(index * step, step, self.axis.percent)

    @property
    def title(self) -> str:
        """Name of the objective, with its unit."""
        less = ", less is better" if self.axis.direction == "minimize" else ""
        return self.axis.name + (" (%)" if self.axis.percent else "") + less


@dataclass(frozen=True)
class _Plot:
    """Both axes, and what is drawn between them."""

    across: _Ruler
    upward: _Ruler

    @classmethod
    def of(cls, front: Front, searched: Sequence[Scores], confirmed: Mapping[int, Scores]) -> _Plot:
        """Return the axes that hold all scores and the intervals of the members."""
        known = [confirmed.get(member.trial, member.values) for member in front.members]

        def ruler(axis: Axis, start: float, end: float) -> _Ruler:
            values = [scores[axis.name].value for scores in searched]
            values += [end for scores in known for end in _interval(scores[axis.name], axis)]
            low, high = min(values), max(values)
            pad = (high - low) * 0.04 or abs(high) or 1.0
            return _Ruler(axis, low - pad, high + pad, start, end)

        across, upward = front.axes[:2]
        return cls(ruler(across, _LEFT, _WIDTH - _RIGHT), ruler(upward, _HEIGHT - _BOTTOM, _TOP))

    def rulers(self) -> Iterable[str]:
        """Yield the grid and its labels."""
        bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
        for x, label in self.across.ticks():
            yield _line(x, _TOP, x, bottom, "#d0d7de")
            yield _words(x, bottom + 20, label, anchor="middle")
        for y, label in self.upward.ticks():
            yield _line(_LEFT, y, right, y, "#d0d7de")
            yield _words(_LEFT - 8, y + 5, label, anchor="end")
        yield _words(right, bottom + 42, self.across.title, anchor="end")
        yield _words(20, _TOP, self.upward.title, anchor="end", turned=True)

    def place(self, scores: Scores) -> tuple[float, float]:
        """Return where scores stand."""
        across, upward = (
            ruler.at(scores[ruler.axis.name].value) for ruler in (self.across, self.upward)
        )
        return across, upward

    def interval(self, searched: Scores, confirmed: Scores | None) -> Iterable[str]:
        """Yield the 95 % intervals of a member, and the way from its search scores to these."""
        known = searched if confirmed is None else confirmed
        x, y = self.place(known)
        left, right = _ends(self.across, known)
        low, high = _ends(self.upward, known)
        yield _line(left, y, right, y, "#8c959f")
        yield _line(x, low, x, high, "#8c959f")
        if confirmed is not None:
            yield _line(*self.place(searched), x, y, "#1b1f24", dashed=True)

    def mark(self, scores: Scores, role: str, *, hollow: bool = False) -> str:
        """Return the mark of scores; a hollow one for what is confirmed."""
        return _mark(role, *self.place(scores), hollow=hollow)


def _ends(ruler: _Ruler, scores: Scores) -> tuple[float, float]:
    low, high = _interval(scores[ruler.axis.name], ruler.axis)
    return ruler.at(low), ruler.at(high)


def _interval(score: Score, axis: Axis) -> tuple[float, float]:
    """The ends of an interval; a share of 1 has none beyond 0 and 1."""
    low, high = score.interval()
    return (max(0.0, low), min(1.0, high)) if axis.percent else (low, high)


def _legend(roles: set[str], confirmed: bool) -> Iterable[str]:
    names = {
        "knee": "knee",
        "member": "front",
        "parent": "parent",
        "dominated": "dominated",
        "swept": "sweep",
    }
    entries = [(role, name, False) for role, name in names.items() if role in roles]
    if confirmed:
        entries.append(("member", "confirmed on unseen items", True))
    x = float(_LEFT + 6)
    for role, name, hollow in entries:
        yield _mark(role, x, 42, hollow=hollow)
        yield _words(x + 14, 47, name)
        x += 40 + 8.2 * len(name)


def _mark(role: str, x: float, y: float, *, hollow: bool) -> str:
    color = _COLORS[role]
    style = (
        f'fill="#ffffff" stroke="{color}" stroke-width="2"'
        if hollow
        else f'fill="{color}" stroke="#ffffff"'
    )
    match role:
        case "knee":
            points = (
                f"{x:.1f},{y - 9:.1f} {x + 9:.1f},{y:.1f} {x:.1f},{y + 9:.1f} {x - 9:.1f},{y:.1f}"
            )
            return f'<polygon points="{points}" {style}/>'
        case "swept":
            return f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" {style}/>'
        case "parent":
            points = f"{x:.1f},{y - 8:.1f} {x + 8:.1f},{y + 6:.1f} {x - 8:.1f},{y + 6:.1f}"
            return f'<polygon points="{points}" {style}/>'
        case _:
            radius = 4 if role == "dominated" else 6
            faded = ' fill-opacity="0.55"' if role == "dominated" else ""
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" {style}{faded}/>'


def _line(x1: float, y1: float, x2: float, y2: float, color: str, *, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="3 3"' if dashed else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{color}"{dashes}/>'


def _words(
    x: float, y: float, words: str, *, anchor: str = "start", size: int = 14, turned: bool = False
) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{turn}'
    return f"<text {place}>{escape(printable(words))}</text>"
