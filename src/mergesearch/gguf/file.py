"""A GGUF that is read: metadata, and rows of its tensors as numbers."""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path

import gguf
import numpy as np

from mergesearch._kernels.mapping import mapped_file
from mergesearch._kernels.stored import Float
from mergesearch.errors import CheckpointError
from mergesearch.gguf.fields import Fields
from mergesearch.gguf.header import GgufTensor, read_gguf_header
from mergesearch.gguf.rope import CONSTANTS
from mergesearch.quantize import TYPES, dequantize_rows


class GgufFile:
    """A memory-mapped GGUF of any type that the kernels or `gguf` can dequantize.

    Attributes:
        fields: Metadata.
        kinds: Type of each value of the metadata, of a list the type of its elements.
        tensors: Tensors by their GGUF names, in the order of the file.

    Raises:
        CheckpointError: The file is damaged, or a tensor cannot be dequantized.
    """

    def __init__(self, path: Path) -> None:
        header = read_gguf_header(path)
        self.fields = Fields(header.fields, path)
        self.kinds = header.kinds
        self.tensors = header.tensors
        for name, tensor in self.tensors.items():
            if not _dequantizable(tensor.kind):
                raise CheckpointError(
                    f"{name} has the type {tensor.kind.name}, which cannot be read",
                    where=path,
                    fix="convert the parent to F16, F32 or BF16",
                )
        self._bytes = mapped_file(path)

    @cached_property
    def constants(self) -> dict[str, Float]:
        """The vectors of `CONSTANTS` that it holds, by name."""
        return {
            name: self.rows(tensor, 0, 1)[0]
            for name, tensor in self.tensors.items()
            if name in CONSTANTS
        }

    def rows(self, tensor: GgufTensor, start: int, stop: int) -> Float:
        """Return rows of a tensor, shape `(stop - start, cols)`; a vector is one row."""
        block, size = gguf.GGML_QUANT_SIZES[tensor.kind]
        pitch = tensor.shape[-1] // block * size
        raw = self._bytes[tensor.begin + start * pitch : tensor.begin + stop * pitch]
        rows = raw.reshape(stop - start, pitch)
        if tensor.kind in TYPES:
            return dequantize_rows(rows, tensor.kind)
        values = gguf.dequantize(rows, tensor.kind)
        return np.array(values, dtype=np.float32, copy=None).reshape(stop - start, tensor.shape[-1])


@cache
def _dequantizable(kind: gguf.GGMLQuantizationType) -> bool:
    """Whether `gguf` turns this type into numbers: tried on one block of zeros."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    try:
        gguf.dequantize(np.zeros((1, size), np.uint8), kind)
    except NotImplementedError:
        return False
    return True
