"""Parents behind one protocol, wherever they lie."""

from mergesearch.parents.opening import (
    open_all,
    open_checkpoint,
    open_parents,
    parts,
    pin_parents,
)
from mergesearch.parents.parent import Checkpoint, TensorInfo

__all__ = [
    "Checkpoint",
    "TensorInfo",
    "open_all",
    "open_checkpoint",
    "open_parents",
    "parts",
    "pin_parents",
]
