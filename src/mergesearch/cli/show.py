"""`search show`: one trial of a run, alone or against another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mergesearch.cli.options import RunFolder, cut_note
from mergesearch.errors import InputError

if TYPE_CHECKING:
    from mergesearch.objectives import ItemResult
    from mergesearch.study.ledger import Ledger


def command(
    folder: RunFolder,
    trial: Annotated[int, typer.Argument(min=0, help="Number of the trial.")],
    against: Annotated[
        int | None,
        typer.Option(min=0, help="Another trial: list the items on which it did worse."),
    ] = None,
    rung: Annotated[
        str, typer.Option(help="Which items to compare: search or validate.")
    ] = "search",
) -> None:
    """Show one trial of a run, alone or against another.

    Alone: everything on record, from its scores to its recipe.

    With --against: the items that it got right and the other trial got wrong, with the texts.

    Example: search show results/demo 17 --against 3
    """
    from rich.console import Console

    from mergesearch.objectives import ITEM_RUNGS
    from mergesearch.report import gains, render_gains, render_trial
    from mergesearch.study.ledger import Ledger

    if rung not in ITEM_RUNGS:
        raise InputError(f"unknown rung {rung!r}", where="--rung", expected=" or ".join(ITEM_RUNGS))
    with Ledger.open(folder) as ledger:
        run, found = ledger.run(), ledger.trial(trial)
        if found is None:
            raise InputError(f"the run has no trial {trial}", where=folder)
        if against is not None:
            one, other = _items(ledger, trial, rung), _items(ledger, against, rung)
            won, lost = (gains(run.objectives, *pair) for pair in ((one, other), (other, one)))
            print(render_gains(trial, against, won, len(lost), rung))
            return
        note = cut_note(ledger.items(trial))
    Console().print(render_trial(found, run))
    if note:
        print(note)


def _items(ledger: Ledger, number: int, rung: str) -> tuple[ItemResult, ...]:
    """A trial's items on a rung; those of the trial whose scores it reused."""
    trial = ledger.trial(number)
    source = number if trial is None or trial.reused_from is None else trial.reused_from
    items = ledger.items(source, rung)
    if not items:
        known = [] if trial is None else [name for name in trial.rungs if trial.scores(name)]
        raise InputError(
            f"trial {number} has no items on the rung {rung!r}",
            expected=f"one of: {', '.join(known)}" if known else "a trial that was scored",
        )
    return items
