"""What a process needs to build and score the candidates of a run, whoever it works for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from mergesearch._system.memory_watch import MemoryWatch
from mergesearch.build import Workshop
from mergesearch.merge.masses import masses
from mergesearch.objectives import Objectives
from mergesearch.recipe import Recipe
from mergesearch.runs.budget import builds_ahead, largest_workload, share_out
from mergesearch.runs.fingerprints import fingerprints
from mergesearch.runs.warm_start import digest_of
from mergesearch.scoring import ScoringProcess
from mergesearch.space import Space
from mergesearch.study.settings import Search
from mergesearch.study.warm_start import WarmStart


@dataclass(frozen=True)
class Workplace:
    """A place where candidates are built and scored.

    Attributes:
        search: What is searched, with what builds and scores.
        scorer: Scoring process, which starts when it is first needed.
    """

    search: Search
    scorer: ScoringProcess


@contextmanager
def workplace(
    space: Space,
    space_text: str,
    objectives: Objectives,
    workshop: Workshop,
    warm: WarmStart | None,
    *,
    log: Path,
    partial: Path,
    memory: int | None,
    shares_partial: bool = False,
    workers: int = 1,
    trust_tasks: bool = False,
) -> Iterator[Workplace]:
    """Prepare to build and score; the scoring process ends with the context.

    Args:
        space: Space that is searched.
        space_text: Text of the space, for the record.
        objectives: Objectives that are scored.
        workshop: The opened parents.
        warm: What the run takes from another one, None for nothing.
        log: File that the output of the scoring process is appended to.
        partial: Folder for the finished chunks of the candidate that is scored.
        shares_partial: Whether other processes keep those of their candidates in it too.
        memory: Bytes that all workers here may take together; None for all that is free.
        workers: Number of processes on this machine that share memory.
        trust_tasks: Whether task YAMLs of the task folder may run Python code of their own.

    Raises:
        InputError: It may take more memory than there is.
        RecipeError, CheckpointError: A recipe of the space does not fit the parents.
    """
    work = largest_workload(workshop, space.examples("high"), objectives.runtime)
    budget = share_out(memory, work, workshop, workers)
    with (
        ScoringProcess(
            objectives,
            log=log,
            trust_tasks=trust_tasks,
            partial=partial,
            shares_partial=shares_partial,
        ) as scorer,
        nullcontext() if memory is None else _memory_watch(memory // workers, scorer),
    ):
        depth = next(iter(workshop.parents.values())).layout.n_layers
        search = Search(
            space=space,
            objectives=objectives,
            build=workshop.candidate,
            build_ahead=builds_ahead(work, budget),
            score=scorer.score,
            order=lambda: scorer.tasks().order,
            parents={ref: parent_alone_recipe(ref) for ref in workshop.parents},
            use_references=scorer.use_references,
            shares=lambda recipe: recipe.shares(depth),
            words=lambda recipe: recipe.in_words(depth),
            space_text=space_text,
            warm_start=warm,
            relevance=space.relevances(masses(workshop.parents, space.base())),
            fingerprints=fingerprints(workshop, objectives)
            | ({"warm start": digest_of(warm)} if warm else {}),
        )
        yield Workplace(search, scorer)


def parent_alone_recipe(ref: str) -> Recipe:
    """Return the recipe of a parent as it is."""
    models = [{"model": ref, "parameters": {"weight": 1.0}}]
    return Recipe.from_dict({"merge_method": "linear", "models": models})


def _memory_watch(memory: int, scorer: ScoringProcess) -> MemoryWatch:
    """End a scoring process with which a run takes more memory than it may."""

    def others() -> list[int]:
        return [] if scorer.pid is None else [scorer.pid]

    def exceeded(used: int) -> None:
        scorer.end(
            f"ended, as the run took {used / 1e9:.1f} GB of memory, and --memory allows less"
        )

    return MemoryWatch(memory, others, exceeded)
