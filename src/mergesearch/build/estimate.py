"""What a candidate takes: its size, and how long building takes by what a part of it took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from mergesearch._system.machine import available_cores
from mergesearch.build.contents import Contents
from mergesearch.build.gguf_file import (
    TypedTensor,
    blocks_of_part,
    file_layout,
    stored_rows,
)
from mergesearch.gguf import layer_of
from mergesearch.merge import MergePlan
from mergesearch.recipe import Quantization

_OUTSIDE_ROWS = 8192  # of the embedding and of the head that are tried


@dataclass(frozen=True)
class Estimate:
    """What building one candidate takes.

    Attributes:
        parameters: Number of parameters of the model.
        size: Size of the GGUF in bytes.
        seconds: Time that merging and quantizing would take.
    """

    parameters: int
    size: int
    seconds: float


def estimate(
    plan: MergePlan, contents: Contents, quantization: Quantization, threads: int | None
) -> Estimate:
    """Merge and quantize the middle layer and some rows outside the layers; the rest is alike."""
    _, stored, size = file_layout(contents, quantization)
    middle = plan.layout.n_layers // 2
    layer = [one for one in stored if layer_of(one.tensor.name) == middle]
    outside = [one for one in stored if layer_of(one.tensor.name) is None]
    return Estimate(
        sum(one.tensor.rows * one.tensor.cols for one in stored),
        size,
        plan.layout.n_layers * _seconds(plan, layer, None, threads)
        + _seconds(plan, outside, _OUTSIDE_ROWS, threads),
    )


def _seconds(
    plan: MergePlan, tensors: Sequence[TypedTensor], most: int | None, threads: int | None
) -> float:
    """How long whole tensors take, by at most so many rows of each of their parts."""
    jobs, tried, whole = [], 0, 0
    for one in tensors:
        for part in one.tensor.parts:
            stop = part.stop
            if most is not None and not part.transposed:
                stop = min(stop, part.start + most)
            jobs += [(block, one) for block in blocks_of_part(replace(part, stop=stop), one.tensor)]
            tried += (stop - part.start) * one.tensor.cols
            whole += (part.stop - part.start) * one.tensor.cols
    begun = time.perf_counter()
    with ThreadPoolExecutor(threads or available_cores()) as pool:
        list(pool.map(lambda job: stored_rows(plan, *job), jobs))
    return (time.perf_counter() - begun) * whole / max(1, tried)
