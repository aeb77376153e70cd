"""Parents on disk behind one protocol, and the check that they can be merged."""

from mergesearch.checkpoint.compatibility import check_compatible
from mergesearch.checkpoint.folder import (
    Checkpoint,
    TensorInfo,
    open_all,
    open_checkpoint,
    open_parents,
)

__all__ = [
    "Checkpoint",
    "TensorInfo",
    "check_compatible",
    "open_all",
    "open_checkpoint",
    "open_parents",
]
