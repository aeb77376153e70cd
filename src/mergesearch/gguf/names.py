"""Names of tensors, in Hugging Face checkpoints and in GGUF."""

from __future__ import annotations

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def layer_of(name: str) -> int | None:
    """Return the layer index in a tensor's Hugging Face or GGUF name, None outside the layers."""
    parts = name.split(".")
    return next((int(part) for part in parts[1:-1] if part.isdecimal()), None)


def with_layer(name: str, layer: int) -> str:
    """Return a tensor's name with another layer in place of its own."""
    parts = name.split(".")
    place = next(at for at, part in enumerate(parts) if at and part.isdecimal())
    return ".".join([*parts[:place], str(layer), *parts[place + 1 :]])
