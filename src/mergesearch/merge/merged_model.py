"""A merged model: every tensor of the output, computed by rows whenever they are asked for."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch._kernels.stored import Float, Stored
from mergesearch._system.spare import Spare
from mergesearch.errors import BuildError, CheckpointError
from mergesearch.gguf import Layout
from mergesearch.merge.rows import AHEAD, KeptRows, row_blocks, rows_per_block
from mergesearch.merge.shared_computation import SharedComputation
from mergesearch.merge.stopping import Stopping
from mergesearch.methods import InputRows, InputTensor, Method, Settings
from mergesearch.methods.combination import rows_as
from mergesearch.parents import Checkpoint, TensorInfo
from mergesearch.vocabulary import Tokenizer


@dataclass(frozen=True)
class Source:
    """A tensor of a parent."""

    parent: str
    name: str


@dataclass(frozen=True)
class PlannedTensor(TensorInfo):
    """An output tensor, computed in float32, and what it is merged from.

    Attributes:
        name: Hugging Face name.
        base: Tensor of the base where it is apart from the inputs, None elsewhere.
        inputs: Tensors of the parents in the recipe's order.
        settings: Parameters of the method for this tensor.
        noise_keys: Key of each input's random numbers, 128 bits.
    """

    name: str
    base: Source | None
    inputs: tuple[Source, ...]
    settings: Settings
    noise_keys: tuple[int, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that it is merged from, the base first."""
        return self.inputs if self.base is None else (self.base, *self.inputs)

    @property
    def rows(self) -> int:
        """Rows of the tensor; a vector is one row."""
        return math.prod(self.shape[:-1])

    @property
    def cols(self) -> int:
        """Elements of one row."""
        return self.shape[-1]


class MergedModel(Checkpoint):
    """The result of one merge, computed on demand; safe to use from several threads.

    As a parent of later merges it is a stage: who reads its rows in several passes keeps them
    (`KeptRows`), since they are computed whenever they are read.

    Args:
        stages: Ids of those parents whose rows are computed whenever they are read.

    Attributes:
        ref: Name of the stage; empty for the last merge of a recipe.
        tensors: Tensors by their names, in the order of the output file.
        stopping: What ends the building.
        spare: Room for what several passes read.
        layers: Layer of a parent that each layer is of the same kind as.
    """

    def __init__(
        self,
        ref: str,
        method: Method,
        parents: Mapping[str, Checkpoint],
        tensors: Sequence[PlannedTensor],
        config: dict[str, Any],
        layout: Layout,
        tokenizer: Tokenizer | None,
        *,
        stopping: Stopping,
        stages: Collection[str],
        spare: Spare,
        layers: Sequence[int],
    ) -> None:
        self.ref = ref
        self.tensors: Mapping[str, PlannedTensor] = {tensor.name: tensor for tensor in tensors}
        self.config = config
        self.layout = layout
        self.tokenizer = tokenizer
        self._method = method
        self._parents = parents
        self.stopping = stopping
        self._stages = stages
        self.spare = spare
        self.layers = layers
        self._kept: dict[str, dict[Source, KeptRows]] = {}
        self._rows_left = {tensor.name: tensor.rows for tensor in tensors}
        self._counting = threading.Lock()
        self._statistics = {
            tensor.name: SharedComputation(partial(self._collect, tensor))
            for tensor in tensors
            if method.statistics is not None
        }

    def rows_as(self, name: str, start: int, stop: int, kind: Type) -> npt.NDArray[np.uint8]:
        """Return merged rows of a tensor in a ggml type; a vector is one row.

        Returns:
            uint8, shape `(stop - start, bytes of a row)`.

        Raises:
            CheckpointError: A parent holds NaN or infinity there, or elsewhere in the tensor, which
                what concerns the whole tensor carries here.
            Interrupted: The building was stopped.
            BuildError: The merge made some of finite parents.
        """
        tensor = self.tensors[name]
        statistics = self._statistics[name].result() if name in self._statistics else None
        merged = self._method.merge(self._read(tensor, start, stop), tensor.settings, statistics)
        rows = rows_as(merged, kind)
        if rows is None:
            raise self._not_finite(tensor)
        self._note_read(name, stop - start)
        return rows

    def rows(self, name: str, start: int, stop: int) -> Float:
        """Return merged rows as `rows_as` does, in float32, shape `(stop - start, cols)`."""
        return self.rows_as(name, start, stop, Type.F32).view(np.float32)

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """See `Checkpoint`."""
        return self.rows(name, start, stop)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read what merged rows are made of from the disk."""
        for source in self.tensors[name].sources:
            self._parents[source.parent].read_ahead(source.name, start, stop)

    def _note_read(self, name: str, rows: int) -> None:
        """Drop what is kept of a tensor once all of its rows have been read."""
        with self._counting:
            self._rows_left[name] -= rows
            if self._rows_left[name] <= 0:
                self._kept.pop(name, None)

    def _not_finite(self, tensor: PlannedTensor) -> BuildError | CheckpointError:
        """The error that names the first parent whose tensor is not finite, else the merge."""
        for start, stop in row_blocks(0, tensor.rows, tensor.cols):
            for source in tensor.sources:
                rows = self._parents[source.parent].rows(source.name, start, stop)
                if not np.isfinite(rows).all():
                    return CheckpointError(
                        f"{source.name} holds numbers that are not finite",
                        where=source.parent,
                        fix="use a parent whose weights are whole; this one was stored damaged",
                    )
        return BuildError(
            "the merge gives numbers that are not finite",
            where=tensor.name,
            fix="check the weights: do they sum to zero with normalize, or are they very large?",
        )

    def _read(self, tensor: PlannedTensor, start: int, stop: int) -> InputRows:
        self.stopping.check()
        kept = self._kept.get(tensor.name, {})

        def stored(source: Source) -> Stored:
            if source in kept:
                return kept[source].rows(start, stop)
            return self._parents[source.parent].stored(source.name, start, stop)

        base = None if tensor.base is None else stored(tensor.base)
        inputs = [stored(source) for source in tensor.inputs]
        return InputRows(base, inputs, start * tensor.cols)

    def _collect(self, tensor: PlannedTensor, spread: Callable[..., Iterable[Any]]) -> Any:
        """The method's statistics of a whole tensor, over fixed blocks."""
        assert self._method.statistics is not None
        step = rows_per_block(tensor.cols)
        starts = range(0, tensor.rows, step)
        self._kept[tensor.name] = {
            source: KeptRows(
                partial(self._parents[source.parent].rows, source.name),
                (tensor.rows, tensor.cols),
                step,
                self.spare,
            )
            for source in tensor.sources
            if source.parent in self._stages
        }

        def read(index: int) -> InputRows:
            later = starts[min(index + AHEAD, len(starts) - 1)]
            self.read_ahead(tensor.name, later, min(later + step, tensor.rows))
            return self._read(tensor, starts[index], min(starts[index] + step, tensor.rows))

        if len(starts) == 1:
            whole = InputTensor.of([read(0)], tensor.noise_keys)
        else:
            size = tensor.rows * tensor.cols
            whole = InputTensor(read, len(starts), size, tensor.noise_keys, spread, self.spare)
        return self._method.statistics(whole, tensor.settings)
