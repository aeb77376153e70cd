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

def supported_variants() -> list[Variant]:
    """Return what this build holds and this processor runs, fastest first."""
