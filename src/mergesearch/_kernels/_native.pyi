from collections.abc import Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

_Stored = npt.NDArray[Any]  # float32, float16, or uint16 with the bits of bfloat16; contiguous
DIGIT_TABLES: int

@final
class Variant:
    """The kernels of one instruction set; each runs without the interpreter's lock."""

    @property
    def name(self) -> str:
        """`scalar`, `avx2`, `avx512` or `neon`."""

    def first_nonfinite(self, rows: npt.NDArray[np.float32]) -> int:
        """Flat index of the first NaN or infinity of contiguous `(rows, cols)`, -1 for none."""

    def quantize(
        self,
        kind: int,
        rows: npt.NDArray[np.float32],
        into: npt.NDArray[np.uint8],
        importance: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Quantize finite `(rows, cols)` to the blocks of a ggml type, given by its number.

        `into` is `(rows, bytes of a row)`; `importance` holds one weight per column, or is None.
        All arrays are contiguous.

        Raises:
            ValueError: a type without a kernel, or shapes that do not fit.
        """

    def combine(
        self,
        kind: int,
        inputs: Sequence[_Stored],
        base: _Stored | None,
        terms: list[tuple[float, float, int, int]],
        divisor: float,
        scale: float,
        elect: bool,
        normalize: bool,
        offset: int,
        into: npt.NDArray[np.uint8],
    ) -> int:
        """Write a combination of stored rows (`variant.h`) as blocks of a ggml type.

        `terms` holds each input's weight, factor, and cut (bits, end of ties). Returns the flat
        index of the first entry that is not finite, after which nothing is written; -1 for none.

        Raises:
            ValueError: a type without a kernel, or arrays that do not fit each other.
        """

    def read(self, values: _Stored, into: npt.NDArray[np.float32]) -> None:
        """Convert stored values to float32.

        Raises:
            ValueError: another dtype, or arrays of different sizes.
        """

    def count_digits(
        self,
        values: _Stored,
        base: _Stored | None,
        prefix: int,
        shift: int,
        tables: npt.NDArray[np.uint32],
    ) -> None:
        """Count a digit of the magnitudes of stored values, minus the base's where there is one.

        The digit is the bits from `shift` on; entries count whose magnitude equals `prefix` above
        it. Counts are added to `tables`, shape `(DIGIT_TABLES, 2^width)`; their sum is wanted.

        Raises:
            ValueError: another dtype, or arrays that do not fit each other.
        """

    def find_equal(self, values: _Stored, base: _Stored | None, bits: int, wanted: int) -> int:
        """Return the flat index of the `wanted`-th entry (from 1) whose magnitude has these bits.

        Where there are fewer, their negated count minus 1.

        Raises:
            ValueError: another dtype, or arrays of different sizes.
        """

def supported_variants() -> list[Variant]:
    """Return what this build holds and this processor runs, fastest first."""
