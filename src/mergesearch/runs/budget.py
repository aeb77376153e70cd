"""What a run takes of memory, part by part, against the budget that it may take.

Every part is what it may come to at most, if scored items fill the context. The pages of mapped
parents are not counted: the system drops them when memory is short.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mergesearch._system.machine import available_cores, available_memory
from mergesearch.build import Workshop
from mergesearch.errors import InputError
from mergesearch.gguf import Layout
from mergesearch.merge.rows import BLOCK_ELEMENTS
from mergesearch.methods.sparsifiers import MOST_REMEMBERED
from mergesearch.objectives import Runtime
from mergesearch.recipe import Recipe
from mergesearch.scoring.memory import SMALL_CACHE, ModelSizes, ScoringMemory, scoring_memory

_BLOCKS_OF_A_THREAD = 32  # float32 blocks of rows; measured: 28 for slerp, 21 for ties of five
_PROGRAM_BYTES = 300_000_000  # Python with its libraries; measured: 0.33 GB a run, 0.12 a scorer
_SHORT = 256  # the shortest context that llama.cpp makes


@dataclass(frozen=True)
class Workload:
    """What the memory of a run follows from.

    Attributes:
        size: Bytes of the largest candidate.
        shape: Shape of the model.
        runtime: How candidates are scored; None: they are only built.
        threads: Number of threads that build.
        cores: Number of cores that llama.cpp may use where the runtime names no threads.
        masks: Bytes of the masks of sparse deltas that building keeps.
    """

    size: int
    shape: ModelSizes
    runtime: Runtime | None
    threads: int
    cores: int
    masks: int = 0

    def parts(self) -> dict[str, int]:
        """Return the bytes of every part that takes any, named for people."""
        scoring = ScoringMemory(0, 0, 0)
        if self.runtime is not None:
            scoring = scoring_memory(self.size, self.shape, self.runtime, self.cores)
        parts = {
            "the candidate": self.size,
            "llama.cpp's repacked copy of it": scoring.repacked,
            "KV caches": scoring.kv,
            "buffers of scoring": scoring.buffers,
            "buffers of building": self.threads * _BLOCKS_OF_A_THREAD * 4 * BLOCK_ELEMENTS,
            "masks of sparse deltas": self.masks,
            "Python with its libraries": _PROGRAM_BYTES * (1 if self.runtime is None else 2),
        }
        return {name: size for name, size in parts.items() if size}

    @property
    def total(self) -> int:
        """Bytes of all parts together."""
        return sum(self.parts().values())


def shape_of(layout: Layout, config: Mapping[str, Any]) -> ModelSizes:
    """Return the sizes of a planned merge's model."""
    return ModelSizes(
        layers=layout.n_layers,
        heads=layout.n_heads,
        kv_heads=layout.n_kv_heads,
        head_width=layout.head_dim,
        hidden=layout.hidden,
        vocabulary=layout.vocab_rows,
        context=config.get("max_position_embeddings"),
    )


def largest_workload(
    workshop: Workshop, recipes: Iterable[Recipe], runtime: Runtime | None
) -> Workload:
    """Return what the largest candidate takes; planning proves that every recipe can be built.

    Args:
        runtime: How candidates are scored, None where they are only built.

    Raises:
        RecipeError, CheckpointError: A recipe does not fit the parents.
    """
    cores = available_cores()
    threads = workshop.threads or cores

    def workload(recipe: Recipe) -> Workload:
        plan = workshop.plan(recipe)
        shape = shape_of(plan.layout, plan.config)
        largest = max(tensor.rows * tensor.cols for tensor in plan.tensors.values())
        masks = mask_bytes(recipe, largest)
        return Workload(workshop.size(recipe), shape, runtime, threads, cores, masks)

    return max(map(workload, recipes), key=lambda work: work.total)


def mask_bytes(recipe: Recipe, largest: int) -> int:
    """Return the bytes of masks that a build keeps at most, those of two tensors at a time.

    Args:
        largest: Number of entries of its largest tensor.
    """
    each = -(-min(largest, MOST_REMEMBERED) // 8)
    merges = [merge for merge in recipe.merges if merge.method.keeps_masks]
    return sum(2 * each * len(merge.inputs) for merge in merges)


def share_out(
    memory: int | None, work: Workload, workshop: Workshop, workers: int = 1
) -> int | None:
    """Return the bytes that a worker of a run may take, None where that is unknown.

    A workshop may keep things in half of what is left.

    Args:
        memory: Bytes that the person allows, None for what is free.
        work: What a worker takes.
        workers: Number of workers that share the memory.

    Raises:
        InputError: The worker may take more.
    """
    budget = available_memory() if memory is None else memory
    budget = None if budget is None else budget // workers
    check_budget(work, budget, named=memory is not None, workers=workers)
    workshop.spare.memory = spare_memory(work, budget)
    return budget


def spare_memory(work: Workload, budget: int | None) -> int:
    """Return half of what a run leaves of the budget, a candidate that is built ahead included."""
    if budget is None:
        return 0
    taken = work.total + (work.size if builds_ahead(work, budget) else 0)
    return max(0, budget - taken) // 2


def check_budget(
    work: Workload, budget: int | None, *, named: bool = True, workers: int = 1
) -> None:
    """Refuse a run that may take more memory than `budget` bytes.

    Args:
        work: What a worker of the run takes.
        budget: Bytes that a worker may take; None where that is not known, and nothing is refused.
        named: Whether the person chose the budget; else it is what is free.
        workers: Number of workers that share the memory.

    Raises:
        InputError: It may take more; the message names every part, and what would fit.
    """
    if budget is None or work.total <= budget:
        return
    parts = ", ".join(f"{name} {_words(size)}" for name, size in work.parts().items())
    taker, for_it = ("this", "") if workers == 1 else ("each worker", " for it")
    raise InputError(
        f"{taker} takes up to {_words(work.total)} of memory,"
        f" and {_words(budget, math.floor)} is {'allowed' if named else 'free'}{for_it}: {parts}",
        where="--memory" if named else None,
        expected=f"at least {_words(workers * work.total)}",
        fix="; or ".join(
            [
                *([] if workers == 1 else ["start fewer workers"]),
                *_remedies(work, budget),
                # where all that is free is too little, a larger --memory would only be swapped
                "name a larger --memory"
                if named
                else "end other programs, or use a machine or job with more memory",
            ]
        ),
    )


def builds_ahead(work: Workload, budget: int | None) -> bool:
    """Whether the next candidate may be built while this one is scored.

    A GPU must score, since cores that score have nothing to spare, and there must be room for a
    second candidate. A budget of None is not known to be too small.
    """
    if work.runtime is None or work.runtime.n_gpu_layers == 0:
        return False
    return budget is None or work.total + work.size <= budget


def _remedies(work: Workload, budget: int) -> list[str]:
    """Changes of the objectives, and of the mix, that help."""
    remedies = []
    if work.runtime is not None:
        runtime = work.runtime
        fitting = _fitting_parallel(work, runtime, budget)
        if fitting:
            remedies.append(f"set runtime: {{n_parallel: {fitting}}}")
        smaller = replace(work, runtime=replace(runtime, kv_type="q8_0", flash_attention=True))
        if smaller.total <= budget:
            remedies.append(f"set {SMALL_CACHE}")
        if replace(work, runtime=replace(runtime, n_ctx=_SHORT)).total <= budget:
            remedies.append("lower runtime.n_ctx to what the items need")
    if 2 * work.size > budget:
        remedies.append("choose a smaller mix, such as quantize: Q4_0")
    return remedies


def _fitting_parallel(work: Workload, runtime: Runtime, budget: int) -> int:
    """The most sequences below `n_parallel` that fit, 0 where not even one does."""
    return max(
        (
            count
            for count in range(1, runtime.n_parallel)
            if replace(work, runtime=replace(runtime, n_parallel=count)).total <= budget
        ),
        default=0,
    )


def _words(size: int, whole: Callable[[float], int] = math.ceil) -> str:
    """Bytes as people read them, rounded up by default, so that what is named is enough."""
    return f"{whole(size / 1e8) / 10:.1f} GB" if size >= 1e9 else f"{whole(size / 1e6)} MB"
