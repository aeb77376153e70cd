from collections.abc import Sequence
from enum import Enum
from typing import Any, final

import numpy as np
import numpy.typing as npt

_Mask = npt.NDArray[np.uint32]  # one bit for each entry, as `mask_of` makes it
_Floats = npt.NDArray[np.float32]
_Stored = npt.NDArray[Any]  # float32, float16, or uint16 with the bits of bfloat16; contiguous
DIGIT_TABLES: int

class Consensus(Enum):
    """How the inputs of a merge, or their deltas on a base, become one."""

    SUM = ...
    """Their weighted sum."""
    ELECT = ...
    """The weighted sum of those that have the sign of that of all."""
    ELECT_UNWEIGHTED = ...
    """The weighted mean of those that have the sign of the plain sum; divisor at least `limit`."""
    CHANGED = ...
    """The mean of those whose magnitude is above `limit`; one alone times its weight."""
    NEAR = ...
    """The one input, or as much of it as moves the base by `limit`."""
    MEDIAN = ...
    """The middle one, or the mean of the middle two."""

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
            ValueError: A type without a kernel, or shapes that do not fit.
        """

    def dequantize(
        self, kind: int, blocks: npt.NDArray[np.uint8], into: npt.NDArray[np.float32]
    ) -> None:
        """Turn blocks of a ggml type, given by its number, into `(rows, cols)` float32.

        `blocks` is `(rows, bytes of a row)`; both arrays are contiguous.

        Raises:
            ValueError: A type without a kernel, or shapes that do not fit.
        """

    def log_sums(
        self,
        logits: npt.NDArray[np.float32],
        best: npt.NDArray[np.int64],
        into: npt.NDArray[np.float64],
    ) -> None:
        """Find each row's first column of the largest logit, and ln(sum(e^logit)).

        `logits` is `(rows, cols)`, contiguous; `best` and `into` are `(rows,)`. A row with NaN
        gives NaN.

        Raises:
            ValueError: Shapes that do not fit.
        """

    def read(self, values: _Stored, into: npt.NDArray[np.float32]) -> None:
        """Convert stored values to float32.

        Raises:
            ValueError: Another dtype, or arrays of different sizes.
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
            ValueError: Another dtype, or arrays that do not fit each other.
        """

    def find_equal(self, values: _Stored, base: _Stored | None, bits: int, wanted: int) -> int:
        """Return the flat index of the `wanted`-th entry (from 1) whose magnitude has these bits.

        Where there are fewer, their negated count minus 1.

        Raises:
            ValueError: Another dtype, or arrays of different sizes.
        """

    def combine(
        self,
        kind: int,
        inputs: Sequence[_Stored],
        base: _Stored | None,
        *,
        kept: Sequence[_Mask | None],
        factors: _Floats,
        weights: _Floats,
        consensus: Consensus,
        deltas: bool,
        normalize: bool,
        limit: float,
        divisor: float,
        scale: _Floats,
        base_scale: _Floats,
        by_column: bool,
        into: npt.NDArray[np.uint8],
    ) -> int:
        """Write what inputs agree on (`Combination` in merge/types.h) as blocks of a ggml type.

        Inputs and base are `(rows, cols)`. `kept` and `factors` hold one for each input, `weights`
        is `(inputs, n)`, `scale` and `base_scale` are `(n,)`, n being 1, or the number of rows or,
        `by_column`, of columns. Returns the flat index of the first entry that is not finite, after
        which nothing is written; -1 for none.

        Raises:
            ValueError: A type without a kernel, or arrays that do not fit each other.
        """

    def random_mask(
        self, low: int, high: int, offset: int, entries: int, below: int, kept: _Mask
    ) -> None:
        """Keep the entries whose random number is below `below`.

        The key's lower and upper 64 bits and the first entry's flat index give the numbers.

        Raises:
            ValueError: A mask of another size.
        """

    def cut_mask(
        self,
        values: _Stored,
        base: _Stored | None,
        offset: int,
        bits: int,
        ties_end: int,
        kept: _Mask,
    ) -> None:
        """Keep the entries of magnitudes above `bits`, and of those equal the ones before an index.

        Raises:
            ValueError: Another dtype, or arrays that do not fit each other.
        """

    def rank_mask(
        self,
        values: _Stored,
        base: _Stored | None,
        offset: int,
        low: int,
        high: int,
        thresholds: npt.NDArray[np.uint32],
        kept: _Mask,
    ) -> None:
        """Keep the entries whose random number is below the threshold of their rank in their row.

        Ranks are those of the magnitudes in a stable sort upwards; `thresholds` holds one for each
        column, and they never fall.

        Raises:
            ValueError: Another dtype, or arrays that do not fit each other.
        """

    def sum_magnitudes(
        self, values: _Stored, base: _Stored | None, kept: _Mask
    ) -> tuple[float, float]:
        """Return the sums of the magnitudes of all entries, and of those that are kept.

        Raises:
            ValueError: Another dtype, or arrays that do not fit each other.
        """

    def gram(
        self,
        inputs: Sequence[_Stored],
        base: _Stored | None,
        from_middle: bool,
        into: npt.NDArray[np.float64],
    ) -> None:
        """Compute the inner products of all pairs of inputs, or of their deltas on a base.

        `into` is `(n, pairs)`; products are summed over each of n equal parts. Pairs are each input
        with those before it, then with itself. With `from_middle` the origin is the middle between
        the mean and the entrywise median of the inputs.

        Raises:
            ValueError: Another dtype, or arrays that do not fit each other.
        """

    def gram_of_columns(
        self, inputs: Sequence[_Stored], base: _Stored | None, into: npt.NDArray[np.float64]
    ) -> None:
        """Compute the same over each column; `into` is `(pairs, cols)`.

        Raises:
            ValueError: Another dtype, or arrays that do not fit each other.
        """

    def squares(
        self,
        inputs: Sequence[_Stored],
        base: _Stored | None,
        kept: _Mask | None,
        into: npt.NDArray[np.float64],
    ) -> None:
        """Compute the sum of squares of each input, or of its delta on a base; `into` is `(n,)`.

        Raises:
            ValueError: Another dtype, or arrays that do not fit each other.
        """

    def variances(self, inputs: Sequence[_Stored], base: _Stored | None, into: _Floats) -> None:
        """Compute the population variance of each entry between the inputs, in float64.

        Raises:
            ValueError: Another dtype, or arrays that do not fit each other.
        """

    def divergences(self, values: _Stored, base: _Stored, into: _Floats) -> None:
        """Compute KL(softmax(values) || softmax(base)) of each row, in float64, at least 0.

        Raises:
            ValueError: Another dtype, or arrays that do not fit each other.
        """

    def importances(
        self, values: _Stored, base: _Stored, divergences: _Floats, into: _Floats
    ) -> None:
        """Compute the magnitude of each entry's delta times its row's divergence.

        Raises:
            ValueError: Another dtype, or arrays that do not fit each other.
        """

def supported_variants() -> list[Variant]:
    """Return what this build holds and this processor runs, fastest first."""
