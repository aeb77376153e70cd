"""Between Hugging Face checkpoints and GGUF: tensors, their names and rows, metadata."""

from mergesearch.gguf.from_config import layout_of
from mergesearch.gguf.layout import BuiltInLayout, FoundLayout, Layout, found_layout
from mergesearch.gguf.metadata import GENERAL_NAME, model_metadata
from mergesearch.gguf.names import EMBEDDING, HEAD, layer_of, with_layer
from mergesearch.gguf.rope import (
    CONSTANTS,
    ROPE_FACTORS,
    check_rope_type,
    extra_tensors,
    rope_parameters,
)
from mergesearch.gguf.rows import RowChange, Segment, StoredTensor
from mergesearch.gguf.storage import gguf_names, stored_tensors, unused_names

__all__ = [
    "CONSTANTS",
    "EMBEDDING",
    "GENERAL_NAME",
    "HEAD",
    "ROPE_FACTORS",
    "BuiltInLayout",
    "FoundLayout",
    "Layout",
    "RowChange",
    "Segment",
    "StoredTensor",
    "check_rope_type",
    "extra_tensors",
    "found_layout",
    "gguf_names",
    "layer_of",
    "layout_of",
    "model_metadata",
    "rope_parameters",
    "stored_tensors",
    "unused_names",
    "with_layer",
]
