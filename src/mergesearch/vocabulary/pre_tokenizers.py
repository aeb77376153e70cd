"""The pre-tokenizers that llama.cpp carries under a name, by what a `tokenizer.json` says."""

from __future__ import annotations

from typing import Any

WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BYTES = ("ByteLevel", False)
_BYTES_SPLIT_AS_GPT2 = ("ByteLevel", True)

PRE_TOKENIZERS: dict[tuple[Any, ...], str] = {
    (_BYTES_SPLIT_AS_GPT2,): "gpt-2",
    (("Split", WORDS % ""), _BYTES): "qwen2",
    (("Split", WORDS % "{1,3}"), _BYTES): "llama-bpe",
    (("Digits", True), _BYTES_SPLIT_AS_GPT2): "smollm",
}
"""llama.cpp's name of each pre-tokenizer, keyed by the steps of the `pre_tokenizer` section."""

SAME_AS = {
    "deepseek-r1-qwen": "qwen2",
    "megrez": "qwen2",
    "llama3": "llama-bpe",
    "llama-v3": "llama-bpe",
}
"""Other names that llama.cpp has for them (`src/llama-vocab.cpp`)."""
