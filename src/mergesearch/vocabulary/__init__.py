"""Tokenizers as documents: read from folders and GGUFs, chosen, united, written."""

from mergesearch.vocabulary.chat import with_chat_template
from mergesearch.vocabulary.choice import chosen_tokenizer, without_rows_beyond
from mergesearch.vocabulary.files import (
    Tokenizer,
    read_tokenizer,
    write_tokenizer,
)
from mergesearch.vocabulary.from_gguf import tokenizer_from_gguf

__all__ = [
    "Tokenizer",
    "chosen_tokenizer",
    "read_tokenizer",
    "tokenizer_from_gguf",
    "with_chat_template",
    "without_rows_beyond",
    "write_tokenizer",
]
