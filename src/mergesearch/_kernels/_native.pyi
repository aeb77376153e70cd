from typing import final

import numpy as np
import numpy.typing as npt

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

def supported_variants() -> list[Variant]:
    """Return what this build holds and this processor runs, fastest first."""
