"""Numbers, times and names as a person reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what shows that something is loading has to be loaded before
    from mergesearch.objectives import PairedDifference, Score, TaskDifference


def value(number: float, percent: bool) -> str:
    """Return one number: `63.2`, in percent where `percent`, else to three digits."""
    return f"{100 * number:.1f}" if percent else f"{number:#.3g}".rstrip(".")


def signed(number: float, percent: bool) -> str:
    """Return a difference with its sign: `+2.1`, `-0.3`."""
    return ("+" if number >= 0 else "") + value(number, percent)


def difference(found: PairedDifference | TaskDifference, percent: bool) -> str:
    """Return a difference with its 95 % interval: `+2.1 (-0.3 to +4.5)`."""
    low, high = found.interval()
    return f"{signed(found.value, percent)} ({signed(low, percent)} to {signed(high, percent)})"


def whole_percent(share: float) -> str:
    """Return a share in whole percent: `97 %`."""
    return f"{100 * share:.0f} %"


def chance(probability: float) -> str:
    """Return a probability: `97 %`, `over 99 %`, `under 1 %`."""
    if probability > 0.99:
        return "over 99 %"
    return "under 1 %" if probability < 0.01 else whole_percent(probability)


def amount(number: float, percent: bool) -> str:
    """Return a distance of two values: `2.1 points`, or `0.3` where it is not in percent."""
    shown = value(number, percent)
    if not percent:
        return shown
    return f"{shown} point" + ("" if shown == "1.0" else "s")


def tick(number: float, step: float, percent: bool) -> str:
    """Return a number with as many digits as distances of `step` need."""
    scale = 100 if percent else 1
    digits = max(0, -math.floor(math.log10(step * scale) + 1e-9))
    return f"{number * scale:.{digits}f}"


def tick_step(span: float, count: int) -> float:
    """Return 1, 2 or 5 times a power of ten, in steps of which a span has `count` ticks at most."""
    power = 10.0 ** math.floor(math.log10(span / count))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power * count >= span)


UNSCORED_SHOWN = 0.05
"""Share of unscored items from which it stands beside the score; a raised limit allows more."""


def score(measured: Score | None, percent: bool) -> str:
    """Return a score with its standard error, `63.2 ± 4.4`; a dash for none.

    Where many items could not be scored, so does their share: `63.2 ± 4.4 (8 % unscored)`.
    """
    if measured is None:
        return "–"
    shown = f"{value(measured.value, percent)} ± {value(measured.stderr, percent)}"
    share = measured.n_unscored / max(1, measured.n + measured.n_unscored)
    return f"{shown} ({whole_percent(share)} unscored)" if share > UNSCORED_SHOWN else shown


def interval(measured: Score, percent: bool) -> str:
    """Return a score with its 95 % interval: `63.2 (54.5 to 71.8)`."""
    low, high = measured.interval()
    limits = f"{value(low, percent)} to {value(high, percent)}"
    return f"{value(measured.value, percent)} ({limits})"


def duration(seconds: float) -> str:
    """Return a time: `0.4 s`, `45 s`, `2 min 31 s`, `3 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def rate(trials: float) -> str:
    """Trials in some time: whole where there are ten and more, `1,270`; else `7.2`."""
    return f"{trials:,.0f}" if trials >= 10 else f"{trials:.1f}"


def size(count: int) -> str:
    """Return bytes: `2.4 MB`, `8.99 GB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} B"


def shares(of: Mapping[str, float], parents: Sequence[str]) -> str:
    """Return shares in percent in the order of `parents`: `75/25`."""
    return "/".join(str(round(100 * of.get(parent, 0.0))) for parent in parents)


def first_line(text: str | None) -> str:
    """Return the first line of a reason."""
    return (text or "").partition("\n")[0]


def plural(count: int, noun: str) -> str:
    """Return `1 trial`, `2 trials`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
