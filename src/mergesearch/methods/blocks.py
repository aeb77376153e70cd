"""What a merge method is given: blocks of rows, its settings, and what a method is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from mergesearch._kernels.stored import Stored, to_float32

if TYPE_CHECKING:
    from mergesearch.methods.combination import Combination

Float = npt.NDArray[np.float32]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Settings:
    """A method's parameters for one tensor, gradients and filters resolved.

    Attributes:
        weights: of every input, in order.
        densities: share of entries that each input's delta keeps.
        gammas: share of largest entries that each input's delta loses.
        epsilons: how far the chance to stay differs from the density, at most, per input.
        normalize: divide by the sum of the weights.
        rescale: give each sparsified delta its former sum of magnitudes.
        scale: `lambda`, the factor of the whole delta.
        t: place between the base (0) and the other parent (1), or how far an entry may move.
        keys: of each input's random numbers.
        factors: `scale` of every input.
        select_topk: share of the entries that differ between the inputs to select.
        filter_wise: a coefficient for each row.
        flatten: the whole tensor is one vector.
        row_wise: each column is a vector, where the tensor is not one.
        normalize_weights: divide the weights by their sum before they are used.
        eps: length below which a vector has no direction.
        tol: angle, or length, below which an iteration stops.
        max_iter: its steps at most.
        epsilon: magnitude of a delta up to which an entry counts as unchanged.
        r: part of the ratio of shared to own entries that own entries grow by.
        alpha: the ratio at most.
    """

    weights: tuple[float, ...] = ()
    densities: tuple[float, ...] = ()
    gammas: tuple[float, ...] = ()
    epsilons: tuple[float, ...] = ()
    normalize: bool = False
    rescale: bool = False
    scale: float = 1.0
    t: float = 0.5
    keys: tuple[int, ...] = ()
    factors: tuple[float, ...] = ()
    select_topk: float = 1.0
    filter_wise: bool = False
    flatten: bool = True
    row_wise: bool = False
    normalize_weights: bool = True
    eps: float = 1e-8
    tol: float = 1e-5
    max_iter: int = 10
    epsilon: float = 1e-5
    r: float = 0.1
    alpha: float = 0.2


@dataclass(frozen=True)
class Block:
    """The same rows of every input.

    Attributes:
        stored_base: as stored, shape `(rows, cols)`; None where the method takes no base.
        stored_inputs: the other parents' rows, same shape.
        offset: flat index in the tensor of the block's first entry.
    """

    stored_base: Stored | None
    stored_inputs: Sequence[Stored]
    offset: int

    @cached_property
    def base(self) -> Float | None:
        """The base's rows in float32."""
        return None if self.stored_base is None else to_float32(self.stored_base)

    @cached_property
    def inputs(self) -> Sequence[Float]:
        """The other parents' rows in float32."""
        return [to_float32(one) for one in self.stored_inputs]

    def delta(self, index: int) -> Float:
        """The rows of one input minus the base's."""
        assert self.base is not None
        return self.inputs[index] - self.base


@dataclass(frozen=True)
class Blocks:
    """The consecutive blocks of a tensor, read each time they are asked for.

    Attributes:
        read: gives a block by its number.
        count: how many there are.
        spread: as the built-in `map`; the plan's lets other threads help.
    """

    read: Callable[[int], Block]
    count: int
    spread: Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]] = map

    @staticmethod
    def of(blocks: Sequence[Block]) -> Blocks:
        """Return blocks that have been read."""
        return Blocks(blocks.__getitem__, len(blocks))

    def __call__(self) -> Iterator[Block]:
        """Read one block after the other."""
        return (self.read(index) for index in range(self.count))

    def map(self, function: Callable[[int, Block], Result]) -> Iterable[Result]:
        """Apply a function to every number and its block; results come in order."""
        return self.spread(lambda index: function(index, self.read(index)), range(self.count))


@dataclass(frozen=True)
class Method:
    """A merge method.

    Attributes:
        merge: rows of the result, from rows of the inputs and the statistics of the whole tensor;
            or the combination of the inputs that they are.
        statistics: collects them over the tensor's fixed blocks; None where there are none.
        takes_base: the base is apart from the inputs.
        base_optional: it may also be missing.
    """

    merge: Callable[[Block, Settings, Any], Float | Combination]
    statistics: Callable[[Blocks, int, Settings], Any] | None
    takes_base: bool
    base_optional: bool = False


def weighted_sum(arrays: Sequence[Float], weights: Sequence[float]) -> Float:
    """Return the sum of the products, in the order of the inputs."""
    total = arrays[0] * np.float32(weights[0])
    for array, weight in zip(arrays[1:], weights[1:], strict=True):
        total += array * np.float32(weight)
    return total


def sum32(values: Sequence[float]) -> np.float32:
    """Return the sum in float32, step by step in order."""
    total = np.float32(0.0)
    for value in values:
        total = np.float32(total + np.float32(value))
    return total


def agreeing(deltas: Sequence[Float]) -> list[npt.NDArray[np.bool_]]:
    """Return, per delta, which entries have the sign of the deltas' sum.

    A sum of zero counts as positive, an entry of zero agrees with neither sign
    (https://arxiv.org/abs/2306.01708, electing signs).
    """
    total = deltas[0].copy()
    for delta in deltas[1:]:
        total += delta
    positive = total >= 0
    return [((delta > 0) & positive) | ((delta < 0) & ~positive) for delta in deltas]
