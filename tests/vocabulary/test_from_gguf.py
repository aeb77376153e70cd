"""Tokenizers out of GGUF metadata: the same metadata again, and the encoding of llama.cpp."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import llama_cpp
import pytest
from gguf import Keys, TokenType
from helpers.parents import CHAT_TEMPLATE, SPECIAL, TEXTS, write_tokenizer
from tokenizers import Tokenizer as Library

from mergesearch.errors import CheckpointError
from mergesearch.gguf.header import read_gguf_header
from mergesearch.gguf.pack import Metadata, packed_header
from mergesearch.vocabulary import Tokenizer, read_tokenizer, tokenizer_from_gguf
from mergesearch.vocabulary import write_tokenizer as write_tokenizer_files
from mergesearch.vocabulary.choice import with_tokens
from mergesearch.vocabulary.to_gguf import read_vocabulary

HARD = [
    *TEXTS,
    "",
    " ",
    "   leading and trailing   ",
    "a\u0301 cafe\u0301",
    "Hello<|end|>\n world </s> <unk>",
    "aaaaaaaaaaaaaaaaaaaaaa  \n\n\n\t\t 1234567890123",
    "漢字かな交じり文 🦙🦙 \u200d \U0001f468\u200d\U0001f469",
]
KINDS = ["gpt-2", "qwen2", "llama-bpe", "smollm", "spm", "gemma"]


def metadata(
    tokenizer: Tokenizer, path: Path, kind: str = "gpt-2", rows: int = 384
) -> dict[str, Any]:
    """The `tokenizer.*` keys of a GGUF that holds a vocabulary and nothing else."""
    keys = Metadata()
    read_vocabulary(tokenizer, rows, "gemma4" if kind == "gemma" else "llama").add_to(keys)
    path.write_bytes(packed_header([keys.packed()], []))
    fields = read_gguf_header(path).fields
    return {key: value for key, value in fields.items() if key.startswith("tokenizer.")}


def library(tokenizer: Tokenizer) -> Library:
    return Library.from_str(json.dumps(tokenizer.document))


def folder_tokenizer(folder: Path, kind: str) -> Tokenizer:
    write_tokenizer(folder, kind)
    found = read_tokenizer(folder)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_gives_the_same_metadata_and_encoding(kind: str, tmp_path: Path) -> None:
    """There and back again."""
    original = folder_tokenizer(tmp_path, kind)
    first = metadata(original, tmp_path / "a.gguf", kind)
    back = tokenizer_from_gguf(first, tmp_path / "a.gguf")
    assert back.chat_template == CHAT_TEMPLATE
    assert back.tokens == original.tokens
    assert metadata(back, tmp_path / "b.gguf", kind) == first
    for text in HARD:
        expected = library(original).encode(text, add_special_tokens=False).ids
        assert library(back).encode(text, add_special_tokens=False).ids == expected, text


@pytest.mark.parametrize("kind", ["gpt-2", "spm", "gemma"])
def test_tokens_that_stay_are_as_the_file_has_them(kind: str, tmp_path: Path) -> None:
    """Scores, types and unused texts, also where a token is added; not where it takes a row."""
    fields = metadata(folder_tokenizer(tmp_path, kind), tmp_path / "a.gguf", kind)
    keys = Keys.Tokenizer
    scores = [-0.25 * row for row in range(384)]
    texts, types = list(fields[keys.LIST]), list(fields[keys.TOKEN_TYPE])
    first = next(row for row, found in enumerate(types) if found == TokenType.UNUSED)
    texts[first:] = [f"<free{row}>" for row in range(first, 384)]
    types[300] = TokenType.BYTE
    changed = fields | {keys.LIST: texts, keys.TOKEN_TYPE: types, keys.SCORES: scores}
    back = tokenizer_from_gguf(changed, tmp_path / "a.gguf")
    again = metadata(back, tmp_path / "b.gguf", kind)
    assert (again[keys.LIST], again[keys.TOKEN_TYPE]) == (texts, types)
    assert again.get(keys.SCORES, scores) == scores
    entry = {"content": "<call>", "special": True}
    added = metadata(with_tokens(back, {"<call>": entry}), tmp_path / "c.gguf", kind)
    assert added[keys.LIST] == [*texts[:first], "<call>", *texts[first + 1 :]]
    assert added[keys.TOKEN_TYPE][first - 1 : first + 2] == [types[first - 1], TokenType.CONTROL, 5]
    if kind == "spm":
        assert added[keys.SCORES] == [*scores[:first], 0.0, *scores[first + 1 :]]


def bytes_and(*texts: str, **changes: Any) -> dict[str, Any]:
    """The metadata of a byte-level vocabulary without merges and with control tokens."""
    symbols = sorted(gguf_bytes())
    return {
        Keys.Tokenizer.MODEL: "gpt2",
        Keys.Tokenizer.PRE: "gpt-2",
        Keys.Tokenizer.LIST: [*symbols, *texts],
        Keys.Tokenizer.TOKEN_TYPE: [TokenType.NORMAL] * 256 + [TokenType.CONTROL] * len(texts),
        Keys.Tokenizer.MERGES: [],
    } | {f"tokenizer.ggml.{name}": value for name, value in changes.items()}


def gguf_bytes() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return list(ByteLevel.alphabet())


@pytest.mark.parametrize(
    ("changes", "around"),
    [
        ({}, ([], [])),
        ({"add_bos_token": True}, ([256], [])),
        ({"add_bos_token": True, "add_eos_token": True}, ([256], [257])),
        ({"pre": "llama-bpe"}, ([256], [])),
        ({"pre": "llama-bpe", "add_bos_token": False}, ([], [])),
    ],
)
def test_tokens_around_a_text(changes: dict[str, Any], around: Any, tmp_path: Path) -> None:
    """As llama.cpp adds them, which for Llama 3's pre-tokenizer begins with bos unasked."""
    fields = bytes_and("<b>", "<e>", bos_token_id=256, eos_token_id=257, **changes)
    tokenizer = tokenizer_from_gguf(fields, tmp_path)
    encoded = library(tokenizer).encode("hi").ids
    inner = [sorted(gguf_bytes()).index(letter) for letter in "hi"]
    assert encoded == [*around[0], *inner, *around[1]]
    assert metadata(tokenizer, tmp_path / "m.gguf", rows=258).get(
        Keys.Tokenizer.ADD_BOS, False
    ) == bool(around[0])


@pytest.mark.parametrize(
    ("pre", "written", "section"),
    [
        ("deepseek-r1-qwen", "qwen2", "Sequence"),  # the same in every respect
        ("starcoder", "starcoder", "Sequence"),  # splits as smollm does
        ("tekken", "tekken", "Sequence"),
        ("kimi-k2", "kimi-k2", None),  # only llama.cpp knows what it does
    ],
)
def test_the_name_of_the_pre_tokenizer_is_taken_over(
    pre: str, written: str, section: str | None, tmp_path: Path
) -> None:
    tokenizer = tokenizer_from_gguf(bytes_and(pre=pre), tmp_path)
    assert metadata(tokenizer, tmp_path / "m.gguf")[Keys.Tokenizer.PRE] == written
    found = tokenizer.document["pre_tokenizer"]
    assert section == (None if found is None else found["type"])


def test_a_pre_tokenizer_that_only_llama_cpp_knows_has_no_tokenizer_json(tmp_path: Path) -> None:
    tokenizer = tokenizer_from_gguf(bytes_and(pre="kimi-k2"), tmp_path)
    with pytest.raises(CheckpointError, match="pre-tokenizer 'kimi-k2' has no"):
        write_tokenizer_files(tokenizer, tmp_path)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another kind": ({"model": "bert"}, 'tokenizer.ggml.model is "bert"'),
    "no name of the split": ({"pre": None}, "needs `tokenizer.ggml.pre`, so it is unknown"),
    "the split of old files": ({"pre": "default"}, 'tokenizer.ggml.pre is "default"'),
    "no scores": ({"model": "llama"}, "without a score for every token"),
    "too few scores": ({"model": "llama", "scores": [0.0]}, "without a score for every token"),
    "too few types": ({"token_type": [1]}, "1 types of 257 tokens"),
    "a row beyond": ({"eos_token_id": 257}, "the eos token has row 257 of 257"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    changes, message = REFUSED[case]
    with pytest.raises(CheckpointError, match=message):
        tokenizer_from_gguf(bytes_and("<b>", **changes), tmp_path / "m.gguf")


def test_special_tokens_and_settings(tmp_path: Path) -> None:
    fields = bytes_and(*SPECIAL, eos_token_id=256, padding_token_id=257, unknown_token_id=5)
    tokenizer = tokenizer_from_gguf(fields, tmp_path)
    assert tokenizer.ids == {"eos": 256, "unk": 5, "pad": 257}
    assert tokenizer.settings["pad_token"] == SPECIAL[1]
    assert tokenizer.files is None


@pytest.mark.real
@pytest.mark.parametrize("name", ["qwen2", "llama-bpe", "llama-spm", "gpt-2"])
def test_real_vocabularies_encode_as_llama_cpp(name: str) -> None:
    """llama.cpp's reference vocabularies: `models` of its sources, in MERGESEARCH_GGUF_VOCABS."""
    folder = Path(os.environ.get("MERGESEARCH_GGUF_VOCABS", "no folder"))
    path = folder / f"ggml-vocab-{name}.gguf"
    if not path.is_file():
        pytest.skip("MERGESEARCH_GGUF_VOCABS does not name a folder with llama.cpp's vocabularies")
    fields = read_gguf_header(path).fields
    tokenizer = tokenizer_from_gguf(fields, path)
    found = library(tokenizer)
    llama = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    texts = path.with_name(path.name + ".inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")
    for text in (*HARD, *texts):
        for bos in (True, False):
            expected = llama.tokenize(text.encode(), add_bos=bos, special=True)
            if "</s>" not in text:  # a control token for llama.cpp wherever it stands
                assert found.encode(text, add_special_tokens=bos).ids == expected, text
