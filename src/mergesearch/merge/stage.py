"""The result of an earlier merge as a parent of later ones."""

from __future__ import annotations

from collections.abc import Mapping

from mergesearch._kernels.stored import Float, Stored
from mergesearch.merge.merged_model import MergedModel
from mergesearch.parents import TensorInfo


class Stage:
    """A merged model as a parent; see `parents.Checkpoint`.

    Its rows are computed in float32 whenever they are read; who reads them in several passes keeps
    them (`KeptRows`).
    """

    notes = ()

    def __init__(self, ref: str, merged: MergedModel) -> None:
        self.ref = ref
        self.tokenizer = merged.tokenizer
        self.config = merged.config
        self.layout = merged.layout
        self.layers = merged.layers
        self.tensors: Mapping[str, TensorInfo] = {
            tensor.name: TensorInfo(tensor.shape, "F32") for tensor in merged.tensors
        }
        self._merged = merged

    def rows(self, name: str, start: int, stop: int) -> Float:
        """Return merged rows, shape `(stop - start, cols)`; a vector is one row."""
        return self._merged.rows(name, start, stop)

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return the same rows."""
        return self.rows(name, start, stop)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read what the rows are made of from the disk."""
        self._merged.read_ahead(name, start, stop)
