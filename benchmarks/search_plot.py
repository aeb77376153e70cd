"""A picture of benchmarks/search.py's report: true hypervolume by space, sampler and budget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

Volumes = Mapping[tuple[str, str, int], Sequence[float]]
"""True hypervolume of each seed's front, by space, sampler and number of item scores."""

LEFT, PANEL, GAP, TOP, ROW, BOTTOM = 110, 250, 20, 70, 26, 50
COLORS = ("#8c959f", "#0072b2")
"""Of the smaller and of the larger budget."""
TITLES = {"small": "4 dimensions", "demo": "11 dimensions", "wide": "24 dimensions"}


def volumes_svg(volumes: Volumes) -> str:
    """Return an SVG: a panel for each space, a row for each sampler, a mark for each budget.

    A mark is the median of the seeds, its line goes from the lower to the upper quartile.
    """
    spaces = [space for space in TITLES if any(space == key[0] for key in volumes)]
    budgets = sorted({budget for _, _, budget in volumes})
    samplers = _by_height(volumes, spaces, budgets[0])
    low, high = min(map(min, volumes.values())), max(map(max, volumes.values()))
    pad = 0.05 * (high - low)
    height = TOP + ROW * len(samplers) + BOTTOM
    width = LEFT + len(spaces) * (PANEL + GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" font-family="DejaVu Sans, sans-serif" font-size="13" fill="#1b1f24">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_legend(budgets),
        *(_words(LEFT - 10, _row(row) + 5, name, "end") for row, name in enumerate(samplers)),
    ]
    for column, space in enumerate(spaces):
        start = LEFT + column * (PANEL + GAP)
        lines += _panel(start, TITLES[space], low - pad, high + pad, len(samplers))
        for (of_space, sampler, budget), seeds in sorted(volumes.items()):
            if of_space == space:
                shares = (np.quantile(seeds, [0.25, 0.5, 0.75]) - low + pad) / (
                    high - low + 2 * pad
                )
                y = _row(samplers.index(sampler)) + 5 * (budgets.index(budget) * 2 - 1)
                color = COLORS[budgets.index(budget) > 0]
                lines += _mark(start + PANEL * shares, y, color)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _by_height(volumes: Volumes, spaces: Sequence[str], budget: int) -> list[str]:
    """The samplers, the best one over all spaces with a budget first."""
    samplers = {sampler for _, sampler, _ in volumes}

    def height(sampler: str) -> float:
        found = [volumes.get((space, sampler, budget)) for space in spaces]
        return float(np.mean([np.median(seeds) for seeds in found if seeds] or [0.0]))

    return sorted(samplers, key=lambda sampler: (-height(sampler), sampler))


def _row(row: int) -> float:
    return TOP + ROW * (row + 0.5)


def _panel(start: float, title: str, low: float, high: float, n_rows: int) -> Iterable[str]:
    bottom = TOP + ROW * n_rows
    yield _words(start + PANEL / 2, TOP - 12, title, "middle")
    step = 0.005 if high - low < 0.03 else 0.01
    for index in range(int(np.ceil(low / step)), int(high / step) + 1):
        x = start + PANEL * (index * step - low) / (high - low)
        yield f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#d0d7de"/>'
        yield _words(x, bottom + 18, f"{index * step:.3f}".removeprefix("0"), "middle")
    yield _words(start + PANEL, bottom + 40, "true hypervolume", "end")


def _legend(budgets: Sequence[int]) -> Iterable[str]:
    for index, budget in enumerate(budgets):
        x = LEFT + index * 200
        yield from _mark(np.array([x, x + 10, x + 20]), 22, COLORS[index > 0])
        yield _words(x + 28, 27, f"{budget:,} item scores", "start")


def _mark(places: np.ndarray, y: float, color: str) -> Iterable[str]:
    low, middle, high = places
    yield f'<path d="M{low:.1f} {y:.1f}H{high:.1f}" stroke="{color}" stroke-width="2"/>'
    yield f'<circle cx="{middle:.1f}" cy="{y:.1f}" r="4" fill="{color}"/>'


def _words(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
