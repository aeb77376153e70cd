"""Which dimensions decide about which objective, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from mergesearch._system.terminal import printable
from mergesearch.report.tables import ruled_table
from mergesearch.study.importances import FEWEST, Importances

_SHOWN = 12


def render_importances(found: Importances) -> RenderableType:
    """Return the dimensions that decide most, with their shares in each objective's variance.

    Args:
        found: Share of each dimension by objective.
    """
    known = {name: shares for name, shares in found.items() if shares}
    if not known:
        return Text(f"importances need {FEWEST} complete trials, and objectives that change")
    table = ruled_table()
    table.add_column("decides, in %", no_wrap=True, overflow="ellipsis")
    for name in known:
        table.add_column(name, justify="right", no_wrap=True)
    dimensions = _by_weight(known)
    for dimension in dimensions[:_SHOWN]:
        shares = (shares.get(dimension, 0.0) for shares in known.values())
        table.add_row(printable(dimension), *(f"{100 * share:.0f}" for share in shares))
    hidden = len(dimensions) - _SHOWN
    if hidden <= 0:
        return table
    return Group(table, Text(f"{hidden} others decide less", style="dim"))


def _by_weight(known: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The dimensions, those first that are important for any objective."""
    largest: dict[str, float] = {}
    for shares in known.values():
        for dimension, share in shares.items():
            largest[dimension] = max(share, largest.get(dimension, 0.0))
    return sorted(largest, key=lambda dimension: -largest[dimension])


def constant_notes(constant: Sequence[str]) -> list[str]:
    """Return a warning for each objective that is the same for all trials."""
    return [
        f"warning: {name} is the same for all trials, so it decides nothing; look at its task"
        " with search show --against"
        for name in constant
    ]
