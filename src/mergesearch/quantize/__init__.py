"""Blocks of float32 rows to ggml's types, and which type each tensor of a GGUF takes."""

from mergesearch.quantize.formats import empty_blocks, row_bytes
from mergesearch.quantize.kernels import quantize_rows
from mergesearch.quantize.mix import MIXES, is_quantized, tensor_types

__all__ = [
    "MIXES",
    "empty_blocks",
    "is_quantized",
    "quantize_rows",
    "row_bytes",
    "tensor_types",
]
