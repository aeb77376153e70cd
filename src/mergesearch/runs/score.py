"""Scoring one model as a run scores its candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergesearch.build import Candidate, open_gguf
from mergesearch.errors import InputError
from mergesearch.objectives import (
    ITEM_RUNGS,
    ItemResult,
    Objectives,
    Rung,
    Score,
    TaskResult,
    scores_to_dict,
)
from mergesearch.recipe import Recipe
from mergesearch.runs.budget import largest_workload, share_out
from mergesearch.runs.inputs import (
    Place,
    errors_of_objectives,
    open_workshop,
    read_objectives,
    read_recipe,
)
from mergesearch.runs.kinds import Kind, refuse_all_but
from mergesearch.scoring import OnProgress, ScoringProcess


@dataclass(frozen=True)
class Scored:
    """What scoring a model gave.

    Attributes:
        digest: SHA-256 (hex) of the GGUF.
        rung: Rung whose items were scored.
        scores: Score of each objective.
        results: Result of each task, item by item.
        notes: What a person should know of a recipe and its parents, one sentence each.
    """

    digest: str
    rung: Rung
    scores: Mapping[str, Score]
    results: Mapping[str, TaskResult]
    notes: Sequence[str] = ()

    def items(self) -> list[ItemResult]:
        """Return the results of all items, task by task."""
        return [item for result in self.results.values() for item in result.items]

    def to_dict(self) -> dict[str, Any]:
        """Return digest, rung and scores as `search score --json` has them."""
        values = scores_to_dict(self.scores)
        return {"digest": self.digest, "rung": str(self.rung), "values": values}


def score(
    model: Recipe | Place,
    objectives: Objectives | Place,
    *,
    rung: str = Rung.SEARCH,
    parents: Mapping[str, Place] | None = None,
    template: Place | None = None,
    threads: int | None = None,
    memory: int | None = None,
    trust_tasks: bool = False,
    on_progress: OnProgress | None = None,
) -> Scored:
    """Score a GGUF, or the candidate of a recipe, on the items that a run scores.

    Args:
        model: GGUF file, recipe, or recipe file (`.yaml`).
        objectives: Objectives, their file, or the name of built-in ones.
        rung: `search` or `validate`.
        parents: Folders or GGUF files in place of parents' ids.
        template: GGUF of one parent, for an architecture that is not built in.
        threads: Number of threads that build; None for one per processor.
        memory: Bytes that building and scoring may take; None for all that is free.
        trust_tasks: Whether task YAMLs of the task folder may run Python code of their own.
        on_progress: Function that is called with the number of items that are scored.

    Raises:
        InputError: Something that was named is wrong.
        ScoringError: The model cannot be loaded or scored.
    """
    rung = Rung(rung)
    if rung not in ITEM_RUNGS:
        raise InputError(f"the rung '{rung}' has no items", expected=" or ".join(ITEM_RUNGS))
    wanted = read_objectives(objectives)
    notes: Sequence[str] = ()
    options = {"parents": parents, "template": template, "threads": threads, "memory": memory}
    if isinstance(model, Recipe) or Path(model).suffix in (".yaml", ".yml"):
        recipe = read_recipe(model)
        file = None if isinstance(model, Recipe) else model
        workshop = open_workshop(recipe, parents, template, threads, file=file)
        share_out(memory, largest_workload(workshop, [recipe], wanted.runtime), workshop)
        notes = workshop.notes(recipe)
        candidate = workshop.candidate(recipe)
    else:
        refuse_all_but(Path(model), Kind.GGUF, Kind.RECIPE)
        candidate = _opened(Path(model), options)
    with (
        candidate,
        errors_of_objectives(objectives),
        ScoringProcess(wanted, trust_tasks=trust_tasks) as scorer,
    ):
        results = scorer.score(candidate, rung, on_progress)
        return Scored(candidate.digest, rung, wanted.scores(results), results, notes)


def _opened(path: Path, options: Mapping[str, object]) -> Candidate:
    """Open a GGUF; options that only building takes are refused."""
    for name, value in options.items():
        if value:
            raise InputError(f"{name} only works with a recipe", where=path)
    return open_gguf(path)
