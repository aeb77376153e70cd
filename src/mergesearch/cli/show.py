"""`search show`: one trial of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from mergesearch.cli.options import RunFolder, cut_note
from mergesearch.errors import InputError


def show(
    folder: RunFolder, trial: Annotated[int, typer.Argument(min=0, help="Number of the trial.")]
) -> None:
    """Show everything on record about one trial: state, scores, times, shares and recipe.

    Example: search show results/demo 17
    """
    from rich.console import Console

    from mergesearch.ledger import Ledger
    from mergesearch.report import render_trial

    with Ledger.open(folder) as ledger:
        run, found = ledger.run(), ledger.trial(trial)
        note = cut_note(ledger.items(trial))
    if found is None:
        raise InputError(f"the run has no trial {trial}", where=folder)
    Console().print(render_trial(found, run))
    if note:
        print(note)
