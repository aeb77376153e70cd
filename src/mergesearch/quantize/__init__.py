"""Blocks of float32 rows to ggml's types and back, and which type each tensor of a GGUF takes."""

from mergesearch.quantize.formats import TYPES, empty_blocks, row_bytes
from mergesearch.quantize.kernels import dequantize_rows, quantize_rows
from mergesearch.quantize.mix import MIXES, is_quantized, tensor_types

__all__ = [
    "MIXES",
    "TYPES",
    "dequantize_rows",
    "empty_blocks",
    "is_quantized",
    "quantize_rows",
    "row_bytes",
    "tensor_types",
]
