"""Parents behind one base class, wherever they lie."""

from mergesearch.parents.contents import ParentFiles
from mergesearch.parents.opening import (
    ids_in,
    is_parent,
    open_checkpoint,
    open_parents,
    pin_parents,
)
from mergesearch.parents.parent import Checkpoint, StoredCheckpoint, TensorInfo

__all__ = [
    "Checkpoint",
    "ParentFiles",
    "StoredCheckpoint",
    "TensorInfo",
    "ids_in",
    "is_parent",
    "open_checkpoint",
    "open_parents",
    "pin_parents",
]
