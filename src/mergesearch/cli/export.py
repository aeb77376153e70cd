"""`search export`: one member of a run becomes a static recipe."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mergesearch.cli.options import RunFolder, write_text, written_pins
from mergesearch.errors import InputError

if TYPE_CHECKING:
    from mergesearch.recipe import Recipe
    from mergesearch.study.ledger import Ledger, TrialRecord


class Format(enum.StrEnum):
    """What a trial can be exported as."""

    RECIPE = "recipe"
    MERGEKIT = "mergekit"


def command(
    folder: RunFolder,
    pick: Annotated[str, typer.Option(help="knee, best:OBJECTIVE or trial:NUMBER.")] = "knee",
    format: Annotated[
        Format, typer.Option(help="Our recipe, or YAML for mergekit.")
    ] = Format.RECIPE,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; default: print it.")
    ] = None,
) -> None:
    """Export the recipe of a trial.

    `search build` makes the scored model from it again, byte for byte.

    Example: search export results/demo --pick knee -o knee.yaml
    """
    from mergesearch.recipe import Recipe
    from mergesearch.study.ledger import Ledger

    with Ledger.open(folder) as ledger:
        trial = picked(ledger, pick)
    recipe = Recipe.from_dict(dict(trial.recipe)).renamed(written_pins(folder))
    text = header(trial) + (
        recipe.to_yaml() if format is Format.RECIPE else recipe.to_mergekit(_folders(recipe))
    )
    if output is None:
        print(text, end="")
    else:
        write_text(output, text)
        print(f"trial {trial.number} -> {output}")


def picked(ledger: Ledger, pick: str) -> TrialRecord:
    """Return the trial that `--pick` names.

    Raises:
        InputError: no such trial or objective, a failed trial, or a run without a front.
    """
    from mergesearch.study.front import Front

    axes, trials = ledger.run().axes, ledger.trials()
    kind, _, name = pick.partition(":")
    if kind == "trial" and name.isdigit():
        return _complete(ledger, int(name))
    front = Front.of(axes, trials)
    if front.knee is None:
        raise InputError("no trial is complete, so there is no front yet", where="--pick")
    if pick == "knee":
        return trials[front.knee]
    if kind == "best" and name in [axis.name for axis in axes]:
        return trials[front.best(name).trial]
    known = ", ".join(f"best:{axis.name}" for axis in axes)
    raise InputError(
        f"unknown pick {pick!r}", where="--pick", expected=f"knee, {known}, or trial:NUMBER"
    )


def _complete(ledger: Ledger, number: int) -> TrialRecord:
    trial = ledger.trial(number)
    if trial is None:
        raise InputError(f"the run has no trial {number}", where="--pick")
    if trial.state != "complete":
        raise InputError(
            f"trial {number} is {trial.state}", where="--pick", expected="a complete trial"
        )
    return trial


def header(trial: TrialRecord) -> str:
    """Return comment lines that say where a recipe comes from and what it scored."""
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
    from mergesearch._system import resources

    return {
        ref: str(resources.parent_folder(ref))
        for ref in recipe.parents()
        if ref.startswith(resources.DEMO_PREFIX)
    }
