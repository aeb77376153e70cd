"""`search score`: measure a GGUF, or the candidate of a recipe."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mergesearch.cli.options import (
    AsJson,
    Parents,
    TemplateFile,
    Threads,
    TrustTasks,
    check_overrides,
    cut_note,
    parent_folders,
    read_text,
)
from mergesearch.errors import InputError
from mergesearch.runs.memory import Memory, largest_workload, memory_budget

if TYPE_CHECKING:
    from mergesearch.build import Candidate
    from mergesearch.objectives import Runtime, Score


def command(
    model: Annotated[Path, typer.Argument(help="GGUF file, or recipe (YAML).")],
    objectives: Annotated[str, typer.Option(help="YAML file, or a built-in one.")],
    rung: Annotated[str, typer.Option(help="Which items: search or validate.")] = "search",
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
    from mergesearch._system import resources
    from mergesearch.objectives import ITEM_RUNGS, Objectives, Rung
    from mergesearch.scoring import ScoringProcess

    if rung not in ITEM_RUNGS:
        raise InputError(f"unknown rung {rung!r}", where="--rung", expected=" or ".join(ITEM_RUNGS))
    path = resources.objectives_file(objectives)
    wanted = Objectives.from_yaml(read_text(path), path.parent)
    with (
        _candidate(model, parent, threads, template, memory, wanted.runtime) as candidate,
        ScoringProcess(wanted, trust_tasks=trust_tasks) as scorer,
    ):
        results = scorer.score(candidate, Rung(rung))
        scores = wanted.scores(results)
        digest = candidate.digest
    if as_json:
        values = {name: asdict(one) for name, one in scores.items()}
        print(json.dumps({"digest": digest, "rung": rung, "values": values}, indent=2))
        return
    print(f"{model}  sha256 {digest}")
    for name, one in scores.items():
        print(_line(name, one))
    if note := cut_note(item for result in results.values() for item in result.items):
        print(note)


def _candidate(
    model: Path,
    parent: list[str],
    threads: int | None,
    template: Path | None,
    memory: str | None,
    runtime: Runtime,
) -> Candidate:
    from mergesearch.build import Workshop, open_gguf
    from mergesearch.recipe import Recipe
    from mergesearch.runs.budget import check_budget

    folders = parent_folders(parent)
    if model.suffix in (".yaml", ".yml"):
        budget = memory_budget(memory)
        recipe = Recipe.from_yaml(read_text(model), model)
        check_overrides(folders, recipe.parents())
        workshop = Workshop.for_recipe(recipe, folders, template=template, threads=threads)
        work = largest_workload(workshop, [recipe], runtime)
        check_budget(work, budget, named=memory is not None)
        return workshop.candidate(recipe)
    for option, value in (("--template", template), ("--memory", memory)):
        if value is not None:
            raise InputError(f"{option} goes with a recipe", where=model)
    if not model.is_file():
        raise InputError(
            "a folder" if model.is_dir() else "no such file",
            where=model,
            expected="a GGUF file, or a recipe (.yaml) whose candidate is scored",
        )
    check_overrides(folders, ())
    return open_gguf(model)


def _line(name: str, one: Score) -> str:
    unscored = f", {one.n_unscored} unscored" if one.n_unscored else ""
    return f"  {name}: {one.value:.4f} ± {one.stderr:.4f}  ({one.n} items{unscored})"
