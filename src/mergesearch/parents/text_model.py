"""The text model inside a checkpoint that reads images too.

Its layers are those of a text model of the same family, so it is merged as one, also with siblings
that never saw an image; towers and projectors are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mergesearch._system.documents import state_of
from mergesearch.errors import CheckpointError
from mergesearch.gguf.architectures import ARCHITECTURES
from mergesearch.vocabulary.files import KINDS

_INSIDE = (
    *("gemma3_text", "gemma4_text", "granite", "llama", "ministral3", "mistral", "phi3"),
    *("qwen2", "qwen3", "qwen3_5_text"),
)
"""`model_type` of the text models that are found inside others."""
_OTHER_NAMES = {
    "gemma4_unified_text": "gemma4_text",
    **dict.fromkeys(("qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text"), "qwen2"),
    "qwen3_vl_text": "qwen3",
}
"""`model_type` that a text model has alone, by the one that it has inside another."""

_LACKING = {"gemma4_unified_text": {"hidden_size_per_layer_input": 0}}
"""Settings that a text config does not have, as its models lack what they say."""

_ROPE_KEYS = ("rope_scaling", "rope_parameters")
_TIED = "tie_word_embeddings"
_SHARED_KEYS = (
    _TIED,
    "torch_dtype",
    "dtype",
    "transformers_version",
    *(f"{kind}_token_id" for kind in KINDS),
)
_OF_IMAGES = ("vision_", "image_", "video_", "text_config")
_EMBEDDING, _HEAD = "embed_tokens.weight", "lm_head.weight"


def reads_images(config: Mapping[str, Any]) -> bool:
    """Whether a `config.json` is of a model that reads images too."""
    return isinstance(config.get("vision_config"), dict)


def text_config(config: Mapping[str, Any], where: Path, *, has_head: bool) -> dict[str, Any]:
    """Return the `config.json` of the text model.

    Args:
        config: `config.json` of the whole.
        has_head: Whether a head is stored. Where the config of the whole agrees with that, it
            counts before that of the text, as for transformers.

    Raises:
        CheckpointError: Its architecture is not known.
    """
    nested = config.get("text_config")
    text = dict(config if nested is None else nested)
    inside = text.get("model_type")
    alone = _OTHER_NAMES.get(str(inside), inside)
    if alone not in _INSIDE:
        raise CheckpointError(
            state_of("model_type of the text model", inside),
            where=where,
            expected="one of " + ", ".join(sorted({*_INSIDE, *_OTHER_NAMES})),
        )
    text |= _LACKING.get(str(inside), {}) | {
        "architectures": [
            name for name, family in ARCHITECTURES.items() if family.model_type == alone
        ],
        "model_type": alone,
    }
    shared = {key: config[key] for key in _SHARED_KEYS if key in config}
    text = shared | {key: value for key, value in text.items() if not key.startswith(_OF_IMAGES)}
    if config.get(_TIED) is (not has_head):
        text[_TIED] = not has_head
    return text | {key: _for_text(text[key]) for key in _ROPE_KEYS if key in text}


def _for_text(rope: Any) -> Any:
    """Rotary settings without sections, which are the same place of a text for all of them."""
    if not isinstance(rope, dict) or "mrope_section" not in rope:
        return rope
    kept = {key: value for key, value in rope.items() if not key.startswith("mrope")}
    return kept | {key: "default" for key in ("type", "rope_type") if kept.get(key) == "mrope"}


def text_names(names: Iterable[str]) -> dict[str, str]:
    """Return the stored name of every tensor of the text model by the name that it has alone."""
    stored = set(names)
    embedding = next((name for name in stored if _is(_EMBEDDING, name)), f"model.{_EMBEDDING}")
    prefix = embedding.removesuffix(_EMBEDDING)
    alone = {
        "model." + name.removeprefix(prefix): name for name in stored if name.startswith(prefix)
    }
    head = next((name for name in stored if _is(_HEAD, name)), None)
    return alone if head is None else alone | {_HEAD: head}


def _is(name: str, stored: str) -> bool:
    """Whether a stored name is a tensor's own, behind whatever holds the text model."""
    return stored == name or stored.endswith("." + name)
