"""Parents behind one protocol, wherever they lie, and the check that they can be merged."""

from mergesearch.checkpoint.align import align
from mergesearch.checkpoint.compatibility import check_compatible
from mergesearch.checkpoint.opening import (
    open_all,
    open_checkpoint,
    open_parents,
    parts,
    pin_parents,
)
from mergesearch.checkpoint.parent import Checkpoint, Stored, TensorInfo, to_float32

__all__ = [
    "Checkpoint",
    "Stored",
    "TensorInfo",
    "align",
    "check_compatible",
    "open_all",
    "open_checkpoint",
    "open_parents",
    "parts",
    "pin_parents",
    "to_float32",
]
