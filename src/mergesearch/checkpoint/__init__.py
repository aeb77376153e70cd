"""Parents on disk behind one protocol, and the check that they can be merged."""

from mergesearch.checkpoint.compatibility import check_compatible
from mergesearch.checkpoint.folder import open_checkpoint, open_parents
from mergesearch.checkpoint.parent import Checkpoint, TensorInfo

__all__ = ["Checkpoint", "TensorInfo", "check_compatible", "open_checkpoint", "open_parents"]
