"""llama.cpp's reference vocabularies through a tokenizer.json and back into GGUF.

They are the folder `models` of its sources; MERGESEARCH_GGUF_VOCABS names it.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Library

from mergesearch.errors import CheckpointError
from mergesearch.gguf.header import read_gguf_header
from mergesearch.gguf.pack import Metadata, packed_header
from mergesearch.vocabulary import tokenizer_from_gguf
from mergesearch.vocabulary.to_gguf import read_vocabulary

VARIABLE = "MERGESEARCH_GGUF_VOCABS"
FOLDER = Path(os.environ.get(VARIABLE, ""))

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} is not set"),
]


def reference(name: str) -> tuple[dict[str, Any], Path]:
    path = FOLDER / f"ggml-vocab-{name}.gguf"
    return dict(read_gguf_header(path).fields), path


@pytest.mark.parametrize("name", ["qwen2", "gpt-2", "llama-bpe", "llama-spm", "gemma-4"])
def test_known_vocabularies_come_back(name: str, tmp_path: Path) -> None:
    """Tokens, types, scores, merges and special tokens are equal."""
    expected, path = reference(name)
    keys = Metadata()
    rows = len(expected["tokenizer.ggml.tokens"])
    spaced = "gemma4" if name == "gemma-4" else "llama"
    read_vocabulary(tokenizer_from_gguf(expected, path), rows, spaced).add_to(keys)
    (tmp_path / "m.gguf").write_bytes(packed_header([keys.packed()], []))
    found = dict(read_gguf_header(tmp_path / "m.gguf").fields)
    expected.setdefault("tokenizer.ggml.add_bos_token", found.get("tokenizer.ggml.add_bos_token"))
    for key, value in expected.items():
        if key.startswith("tokenizer."):
            assert found.get(key) == value, key


def test_gemma_4_is_made_of_its_tokenizer_json_too(tmp_path: Path) -> None:
    """What the documents say gives the tokens and types of the reference, without its metadata."""
    expected, path = reference("gemma-4")
    tokenizer = replace(tokenizer_from_gguf(expected, path), stored=None)
    vocabulary = read_vocabulary(tokenizer, len(tokenizer.tokens), "gemma4")
    assert vocabulary.types == expected["tokenizer.ggml.token_type"]
    assert vocabulary.tokens == expected["tokenizer.ggml.tokens"]
    assert vocabulary.scores == expected["tokenizer.ggml.scores"]
    assert vocabulary.merges == expected["tokenizer.ggml.merges"]


@pytest.mark.parametrize(
    "name",
    ["gemma-4", "command-r", "deepseek-coder", "deepseek-llm", "falcon", "mpt", "qwen35", "refact"],
)
def test_texts_have_the_tokens_of_the_original(name: str) -> None:
    """Those that the models' own tokenizers gave, which are stored beside the vocabularies."""
    fields, path = reference(name)
    found = Library.from_str(json.dumps(tokenizer_from_gguf(fields, path).document))
    texts = path.with_name(path.name + ".inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")
    rows = path.with_name(path.name + ".out").read_text("utf-8").split("\n")
    for text, expected in zip(texts, rows, strict=False):
        tokens = found.encode(text, add_special_tokens=False).ids
        assert tokens == [int(row) for row in expected.split()], text


@pytest.mark.parametrize("name", ["aquila", "gpt-neox"])
def test_files_that_do_not_say_how_text_is_split_are_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.ggml\.pre is None"):
        tokenizer_from_gguf(*reference(name))
