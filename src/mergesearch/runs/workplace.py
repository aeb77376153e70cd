"""What a process needs to build and score the candidates of a run, whoever it works for."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mergesearch._system.documents import digest_of
from mergesearch._system.memory_watch import MemoryWatch
from mergesearch.build import Workshop
from mergesearch.errors import InputError
from mergesearch.merge.masses import masses
from mergesearch.objectives import Objectives
from mergesearch.recipe import Recipe
from mergesearch.runs.budget import builds_ahead, largest_workload, share_out
from mergesearch.scoring import ScoringProcess
from mergesearch.scoring.task_files import outside_data
from mergesearch.space import Space
from mergesearch.study.settings import Search, package_versions
from mergesearch.study.warm_start import WarmStart

_SCORING_PACKAGES = ("mergesearch", "llama-cpp-python", "lm-eval")
_GPU_SWITCHES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES")


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker works on its machine.

    Attributes:
        log: File that the output of its scoring process is appended to.
        partial: Folder for the finished chunks of candidates that are scored on this machine.
        shares_partial: Whether other workers keep those of their candidates in it too.
        parents: Folders or GGUF files in place of parents' ids.
        template: GGUF of one parent, for an architecture that is not built in.
        tasks: Folder with the tasks of the objectives; None for the place that is on record.
        threads: Number of threads that build; None for one per processor.
        memory: Bytes that all workers of the machine may take; None for all that is free.
        trust_tasks: Whether task YAMLs of the task folder may run Python code of their own.
        workers: Number of workers that share the threads and the memory.
    """

    log: Path
    partial: Path
    shares_partial: bool = False
    parents: Mapping[str, str | Path] = field(default_factory=dict)
    template: Path | None = None
    tasks: Path | None = None
    threads: int | None = None
    memory: int | None = None
    trust_tasks: bool = False
    workers: int = 1


@contextmanager
def workplace(
    space: Space,
    space_text: str,
    objectives: Objectives,
    workshop: Workshop,
    warm: WarmStart | None,
    settings: WorkerSettings,
) -> Iterator[tuple[Search, ScoringProcess]]:
    """Prepare to build and score: yields what is searched, and what scores until the context ends.

    Args:
        space_text: Text of the space, for the record.
        warm: What the run takes from another one, None for nothing.
        settings: How this process works on its machine.

    Raises:
        InputError: It may take more memory than there is.
        RecipeError, CheckpointError: A recipe of the space does not fit the parents.
    """
    work = largest_workload(workshop, space.examples("high"), objectives.runtime)
    budget = share_out(settings.memory, work, workshop, settings.workers)
    with (
        ScoringProcess(
            objectives,
            log=settings.log,
            trust_tasks=settings.trust_tasks,
            partial=settings.partial,
            shares_partial=settings.shares_partial,
        ) as scorer,
        _memory_watch(settings, scorer),
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
            relevance=cache(lambda: space.relevances(masses(workshop.parents, space.base()))),
            fingerprints=_fingerprints(workshop, objectives, warm),
        )
        yield search, scorer


def _fingerprints(
    workshop: Workshop, objectives: Objectives, warm: WarmStart | None
) -> dict[str, str]:
    """What must be the same for a run to be resumed: parents, task data, versions, warm start."""
    versions = package_versions()
    found = {
        **{f"files of {parent}": digest for parent, digest in workshop.files.digests.items()},
        "parents": workshop.files.digest,
        "scoring": ", ".join(f"{name} {versions[name]}" for name in _SCORING_PACKAGES),
        "template": None if workshop.blueprint is None else _digest(workshop.blueprint.path),
        "data": outside_data(objectives.task_folder),
        "warm start": None if warm is None else digest_of(warm.to_dict()),
    }
    return {name: digest for name, digest in found.items() if digest is not None}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parent_alone_recipe(ref: str) -> Recipe:
    """Return the recipe of a parent as it is."""
    models = [{"model": ref, "parameters": {"weight": 1.0}}]
    return Recipe.from_dict({"merge_method": "linear", "models": models})


def _memory_watch(
    settings: WorkerSettings, scorer: ScoringProcess
) -> AbstractContextManager[object]:
    """End a scoring process with which a worker takes more memory than it may."""
    if settings.memory is None:
        return nullcontext()

    def others() -> list[int]:
        return [] if scorer.pid is None else [scorer.pid]

    def exceeded(used: int) -> None:
        scorer.end(
            f"ended, as the run took {used / 1e9:.1f} GB of memory, and --memory allows less"
        )

    return MemoryWatch(settings.memory // settings.workers, others, exceeded)


def check_gpu(gpu: str) -> str:
    """Return a GPU as it was named, by its number or by the id that its driver shows.

    Raises:
        InputError: It is neither.
    """
    if not re.fullmatch(r"\d+|[A-Za-z]+-[0-9a-fA-F-]+", gpu):
        raise InputError(f"{gpu!r} is not a GPU", where="--gpu", expected="a number such as 1")
    return gpu


def use_gpu(gpu: str) -> None:
    """Let scoring processes that start from now on see one GPU only."""
    os.environ |= dict.fromkeys(_GPU_SWITCHES, gpu)
