"""What a candidate takes: its size, and how long building takes by what a part of it took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from mergesearch._system.machine import available_cores
from mergesearch.build.contents import Contents
from mergesearch.build.gguf_file import (
    blocks_of_segment,
    file_layout,
    stored_rows,
)
from mergesearch.gguf import layer_of
from mergesearch.gguf.pack import PlacedTensor
from mergesearch.merge import MergedModel
from mergesearch.recipe import Quantization

_OUTSIDE_ROWS = 8192  # rows of the embedding and of the head that are tried


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
    merged: MergedModel, contents: Contents, quantization: Quantization, threads: int | None
) -> Estimate:
    """Merge and quantize the middle layer and some rows outside the layers; the rest is alike."""
    layout = file_layout(contents, quantization)
    n_layers = merged.layout.n_layers
    layer = [tensor for tensor in layout.tensors if layer_of(tensor.name) == n_layers // 2]
    outside = [tensor for tensor in layout.tensors if layer_of(tensor.name) is None]
    return Estimate(
        sum(tensor.rows * tensor.cols for tensor in contents.tensors),
        layout.size,
        n_layers * _seconds(merged, layer, None, threads)
        + _seconds(merged, outside, _OUTSIDE_ROWS, threads),
    )


def _seconds(
    merged: MergedModel, tensors: Sequence[PlacedTensor], most: int | None, threads: int | None
) -> float:
    """How long whole tensors take, by at most so many rows of each of their segments."""
    jobs, tried, whole = [], 0, 0
    for tensor in tensors:
        for segment in tensor.segments:
            stop = segment.stop
            if most is not None and not segment.transposed:
                stop = min(stop, segment.start + most)
            first = replace(segment, stop=stop)
            jobs += [(block, tensor) for block in blocks_of_segment(first, tensor)]
            tried += (stop - segment.start) * tensor.cols
            whole += (segment.stop - segment.start) * tensor.cols
    started = time.perf_counter()
    with ThreadPoolExecutor(threads or available_cores()) as pool:
        list(pool.map(lambda job: stored_rows(merged, *job), jobs))
    return (time.perf_counter() - started) * whole / max(1, tried)
