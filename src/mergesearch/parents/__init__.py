"""Parents behind one protocol, wherever they lie."""

from mergesearch.parents.contents import ParentFiles
from mergesearch.parents.opening import (
    is_parent,
    open_all,
    open_checkpoint,
    open_parents,
    parts,
    pin_parents,
)
from mergesearch.parents.parent import Checkpoint, StoredCheckpoint, TensorInfo

__all__ = [
    "Checkpoint",
    "ParentFiles",
    "StoredCheckpoint",
    "TensorInfo",
    "is_parent",
    "open_all",
    "open_checkpoint",
    "open_parents",
    "parts",
    "pin_parents",
]
