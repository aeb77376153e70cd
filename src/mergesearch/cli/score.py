"""`search score`: measure a GGUF, or the candidate of a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.terminal import say, say_sentence
from mergesearch.cli import completion
from mergesearch.cli.options import (
    AsJson,
    Memory,
    Parents,
    TemplateFile,
    Threads,
    TrustTasks,
    parse_parents,
)
from mergesearch.report import text
from mergesearch.report.items import item_notes
from mergesearch.report.progress import progress
from mergesearch.runs.inputs import read_objectives
from mergesearch.runs.score import score


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="GGUF file, or recipe (YAML).")],
    objectives: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="YAML file, or a built-in one.",
            autocompletion=completion.objectives,
        ),
    ],
    rung: Annotated[
        str,
        typer.Option(
            metavar="RUNG",
            help="Items to look at: search or validate.",
            autocompletion=completion.rungs,
        ),
    ] = "search",
    as_json: AsJson = False,
    parent: Parents = [],  # noqa: B006
    threads: Threads = None,
    template: TemplateFile = None,
    memory: Memory = None,
    trust_tasks: TrustTasks = False,
) -> None:
    """Score a model as a run does.

    The items, the prompts and the batches are the same, and so are the scores.

    Example: search score knee.gguf --objectives demo --rung validate
    """
    wanted = read_objectives(objectives)
    with progress("scoring", "items") as on_progress:
        scored = score(
            model,
            wanted,
            rung=rung,
            parents=parse_parents(parent),
            template=template,
            threads=threads,
            memory=memory,
            trust_tasks=trust_tasks,
            on_progress=lambda scored: on_progress(scored.done, scored.total),
        )
    for note in scored.notes:
        say_sentence(note, error=True)
    if as_json:
        say(json.dumps(scored.to_dict(), indent=2))
        return
    say(f"{model}  sha256 {scored.digest}")
    for objective in wanted.objectives:
        found = scored.scores[objective.name]
        unscored = f", {found.n_unscored} unscored" if found.n_unscored else ""
        shown = text.score(found, objective.percent)
        say(f"  {objective.name}: {shown}  ({found.n} items{unscored})")
    for note in item_notes(scored.items()):
        say_sentence(note)
