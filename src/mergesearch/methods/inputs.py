"""What a merge method is given of its inputs: some rows, or a whole tensor block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from mergesearch._kernels.stored import Float, Stored, to_float32
from mergesearch._system.spare import Spare

Result = TypeVar("Result")
Settings = Mapping[str, Any]
"""A method's parameters for one tensor, by their names in a recipe: a number or a switch, or a
tuple with one for each input. Gradients and filters are resolved."""


@dataclass(frozen=True)
class InputRows:
    """The same rows of one tensor of every input.

    Attributes:
        stored_base: Rows of the base as stored, shape `(rows, cols)`; None where no base is apart.
        stored_inputs: Rows of the other parents as stored, same shape.
        offset: Flat index in the tensor of the first entry.
    """

    stored_base: Stored | None
    stored_inputs: Sequence[Stored]
    offset: int

    @property
    def size(self) -> int:
        """Number of entries of an input."""
        return self.stored_inputs[0].size

    @property
    def all_stored(self) -> tuple[Stored, ...]:
        """The base, where it is apart, and the inputs."""
        base = () if self.stored_base is None else (self.stored_base,)
        return *base, *self.stored_inputs

    @cached_property
    def base(self) -> Float | None:
        """The base's rows in float32."""
        return None if self.stored_base is None else to_float32(self.stored_base)

    @cached_property
    def inputs(self) -> Sequence[Float]:
        """The other parents' rows in float32."""
        return [to_float32(stored) for stored in self.stored_inputs]

    def delta(self, index: int) -> Float:
        """Return the rows of one input minus the base's."""
        assert self.base is not None
        return self.inputs[index] - self.base


@dataclass(frozen=True)
class InputTensor:
    """One whole tensor of every input, in consecutive blocks of rows.

    Blocks are read each time they are asked for; they are the same whoever asks.

    Attributes:
        read: Function that reads a block by its number.
        count: Number of blocks.
        size: Number of entries of the tensor.
        noise_keys: Key of each input's random numbers, 128 bits.
        spread: Function that works as the built-in `map`; a plan's lets other threads help.
        spare: Room for what several passes need.
    """

    read: Callable[[int], InputRows]
    count: int
    size: int
    noise_keys: tuple[int, ...] = ()
    spread: Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]] = map
    spare: Spare = field(default_factory=lambda: Spare(0))

    @staticmethod
    def of(blocks: Sequence[InputRows], noise_keys: tuple[int, ...] = ()) -> InputTensor:
        """Return the tensor whose blocks have been read."""
        size = sum(block.size for block in blocks)
        return InputTensor(blocks.__getitem__, len(blocks), size, noise_keys)

    def blocks(self) -> Iterator[InputRows]:
        """Read one block after the other."""
        return (self.read(index) for index in range(self.count))

    def map(self, function: Callable[[int, InputRows], Result]) -> Iterable[Result]:
        """Apply a function to every block and its number; results come in order."""
        return self.spread(lambda index: function(index, self.read(index)), range(self.count))

    def values(
        self, compute: Callable[[InputRows, Float], None]
    ) -> Callable[[int, InputRows], Float]:
        """Return what gives the values of a block by its number, computed once where there is room.

        Args:
            compute: Function that writes the values of some rows into an array of their shape.
        """
        kept: dict[int, Float] = {}

        def of_block(number: int, rows: InputRows) -> Float:
            if number in kept:
                return kept[number]
            room = self.spare.array(rows.stored_inputs[0].shape)
            values = np.empty(rows.stored_inputs[0].shape, np.float32) if room is None else room
            compute(rows, values)
            if room is not None:
                kept[number] = room
            return values

        return of_block


def sum32(values: Sequence[float]) -> np.float32:
    """Return the sum in float32, step by step in order."""
    total = np.float32(0.0)
    for value in values:
        total = np.float32(total + np.float32(value))
    return total
