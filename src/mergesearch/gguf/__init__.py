"""Between Hugging Face checkpoints and GGUF: tensors, their names and rows, metadata."""

from mergesearch.gguf.layout import (
    EMBEDDING,
    HEAD,
    Layout,
    found_layout,
    gguf_names,
    gguf_tensors,
    layer_of,
    layout_of,
    row_change,
    tensor_shapes,
    with_layer,
)
from mergesearch.gguf.metadata import GENERAL_NAME, add_model_metadata
from mergesearch.gguf.rope import CONSTANTS, ROPE_FACTORS, extra_tensors, rope_parameters
from mergesearch.gguf.rows import Part, RowChange, StoredTensor

__all__ = [
    "CONSTANTS",
    "EMBEDDING",
    "GENERAL_NAME",
    "HEAD",
    "ROPE_FACTORS",
    "Layout",
    "Part",
    "RowChange",
    "StoredTensor",
    "add_model_metadata",
    "extra_tensors",
    "found_layout",
    "gguf_names",
    "gguf_tensors",
    "layer_of",
    "layout_of",
    "rope_parameters",
    "row_change",
    "tensor_shapes",
    "with_layer",
]
