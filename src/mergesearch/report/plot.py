"""The front as a picture: an SVG that needs no script, and the same as a PNG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from statistics import NormalDist

from mergesearch._system.terminal import printable
from mergesearch.errors import InputError
from mergesearch.objectives import Rung, Score
from mergesearch.report import text
from mergesearch.report.scatter import scored
from mergesearch.study.front import Front
from mergesearch.study.records import Axis, TrialRecord

_WIDTH, _HEIGHT = 900, 620
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 24, 56, 64
_Z = NormalDist().inv_cdf(0.975)  # half the width of a 95 % interval in standard errors
_COLORS = {
    "knee": "#b34700",
    "member": "#0072b2",
    "parent": "#007a5a",
    "dominated": "#8c959f",
    "swept": "#a8327a",
}
_TICKS = 6


def front_svg(
    front: Front, trials: Sequence[TrialRecord], name: str, sweep: Sequence[TrialRecord] = ()
) -> str:
    """Return the first two objectives of a run as an SVG; better is up and to the right.

    Args:
        front: Front of the run.
        trials: Trials of the run.
        name: Name of the run.
        sweep: Trials of the sweep that the run is compared with.

    Raises:
        InputError: There is no front yet, or the run has one objective.
    """
    if not front.members or len(front.axes) < 2:
        what = "the run has one objective" if front.members else "there is no front yet"
        raise InputError(f"{what}, so there is nothing to plot")
    shown, swept = scored(trials), scored(sweep)
    plot = _Plot.of(front, shown, swept)
    order = sorted(shown, key=lambda trial: list(_COLORS).index(_role(front, trial)), reverse=True)
    members = [trial for trial in order if _role(front, trial) in ("member", "knee")]
    confirmed = any(trial.scores(Rung.VALIDATE) for trial in members)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' width="{_WIDTH}" height="{_HEIGHT}" font-family="DejaVu Sans, sans-serif"'
        ' font-size="14" fill="#1b1f24">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _words(_LEFT, 24, f"{name}: {text.plural(front.trials, 'trial')}", size=17),
        *plot.rulers(),
        *(plot.mark(trial, "swept", Rung.SEARCH) for trial in swept),
        *(line for trial in members for line in plot.interval(trial)),
        *(plot.mark(trial, _role(front, trial), Rung.SEARCH) for trial in order),
        *(
            plot.mark(trial, _role(front, trial), Rung.VALIDATE)
            for trial in members
            if trial.scores(Rung.VALIDATE)
        ),
        *_legend(
            {_role(front, trial) for trial in shown} | ({"swept"} if swept else set()), confirmed
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
        rough = (self.high - self.low) / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
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
    def of(cls, front: Front, trials: Sequence[TrialRecord], swept: Sequence[TrialRecord]) -> _Plot:
        """Return the axes that hold all trials and the intervals of the members."""
        members = {member.trial for member in front.members}

        def ruler(axis: Axis, start: float, end: float) -> _Ruler:
            values = [
                end
                for trial in trials
                for score in (trial.scores().get(axis.name), _confirmed(trial, axis))
                if score is not None
                for end in _interval(score, axis, _Z if trial.number in members else 0.0)
            ]
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

    def place(self, trial: TrialRecord, rung: Rung) -> tuple[float, float]:
        """Return where a trial stands by its scores on a rung."""
        scores = trial.scores(rung)
        across, upward = (
            ruler.at(scores[ruler.axis.name].value) for ruler in (self.across, self.upward)
        )
        return across, upward

    def interval(self, trial: TrialRecord) -> Iterable[str]:
        """Yield the 95 % intervals of a member, and the way to its confirmed place."""
        x, y = self.place(trial, Rung.SEARCH)
        left, right = _ends(self.across, trial)
        low, high = _ends(self.upward, trial)
        yield _line(left, y, right, y, "#8c959f")
        yield _line(x, low, x, high, "#8c959f")
        if trial.scores(Rung.VALIDATE):
            yield _line(x, y, *self.place(trial, Rung.VALIDATE), "#1b1f24", dashed=True)

    def mark(self, trial: TrialRecord, role: str, rung: Rung) -> str:
        """Return a trial's mark; a hollow one for its confirmed place."""
        return _mark(role, *self.place(trial, rung), hollow=rung is Rung.VALIDATE)


def _confirmed(trial: TrialRecord, axis: Axis) -> Score | None:
    return trial.scores(Rung.VALIDATE).get(axis.name)


def _ends(ruler: _Ruler, trial: TrialRecord) -> tuple[float, float]:
    low, high = _interval(trial.scores()[ruler.axis.name], ruler.axis)
    return ruler.at(low), ruler.at(high)


def _interval(score: Score, axis: Axis, reach: float = _Z) -> tuple[float, float]:
    """The ends of an interval; a share of 1 has none beyond 0 and 1."""
    low, high = score.value - reach * score.stderr, score.value + reach * score.stderr
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
        entries.append(("member", "validated on unseen items", True))
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
