"""`search export`: one member of a run becomes a static recipe."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mergesearch.cli.options import RunFolder, write_text
from mergesearch.errors import InputError

if TYPE_CHECKING:
    from mergesearch.ledger import TrialRecord
    from mergesearch.recipe import Recipe


class Format(enum.StrEnum):
    """What a trial can be exported as."""

    RECIPE = "recipe"
    MERGEKIT = "mergekit"


def export(
    folder: RunFolder,
    pick: Annotated[
        str, typer.Option(help="knee, best:OBJECTIVE or trial:NUMBER.")
    ] = "knee",
    format: Annotated[  # noqa: A002
        Format, typer.Option(help="Our recipe, or YAML for mergekit.")
    ] = Format.RECIPE,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; default: print it.")
    ] = None,
) -> None:
    """Export the recipe of a trial; `search build` makes the scored model from it again.

    Example: search export results/demo --pick knee -o knee.yaml
    """
    from mergesearch.ledger import Ledger
    from mergesearch.recipe import Recipe

    with Ledger.open(folder) as ledger:
        trial = picked(ledger, pick)
    recipe = Recipe.from_dict(dict(trial.recipe))
    text = _header(trial) + (
        recipe.to_yaml() if format is Format.RECIPE else recipe.to_mergekit(_folders(recipe))
    )
    if output is None:
        print(text, end="")
    else:
        write_text(output, text)
        print(f"trial {trial.number} -> {output}")


def picked(ledger: Ledger, pick: str) -> TrialRecord:  # type: ignore[name-defined] # noqa: F821
    """Return the trial that `--pick` names.

    Raises:
        InputError: no such trial or objective, or the run has no front yet.
    """
    raise InputError(f"unknown pick {pick!r}")


def _header(trial: TrialRecord) -> str:
    lines = [f"# mergesearch: trial {trial.number}"]
    for rung in trial.rungs.values():
        scores = ", ".join(
            f"{name} {score.value:.4f} ± {score.stderr:.4f}" for name, score in rung.scores.items()
        )
        lines.append(f"# {rung.rung} items: {scores}")
    lines.append(f"# sha256 of the GGUF: {trial.candidate_digest}")
    return "\n".join(lines) + "\n"


def _folders(recipe: Recipe) -> dict[str, str]:
    """Where mergekit finds the bundled parents, which it does not know by their ids."""
    from mergesearch import resources

    return {
        ref: str(resources.parent_folder(ref))
        for ref in recipe.parents()
        if ref.startswith(resources.DEMO_PREFIX)
    }
