"""The tokenizer in a GGUF's metadata as the documents of a model's folder.

The way back of `gguf_vocab`: made documents give the same metadata again. The steps before BPE are
those whose name llama.cpp uses; merges of a SentencePiece vocabulary are rebuilt from its scores,
since they join the same pieces in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf

from mergesearch.errors import CheckpointError
from mergesearch.tokenizer.files import Tokenizer
from mergesearch.tokenizer.pre_tokenizers import PRE_TOKENIZERS

_KEY = gguf.Keys.Tokenizer
_KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask", "eot", "eom")
_ADDED = (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED, gguf.TokenType.UNKNOWN)


def tokenizer_from_gguf(reader: gguf.GGUFReader, where: Path) -> Tokenizer:
    """Return the tokenizer of an opened GGUF.

    Raises:
        CheckpointError: a kind of tokenizer, or a pre-tokenizer, that is not known here.
    """
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tokens = [str(one) for one in fields[_KEY.LIST]]
    kinds = [
        gguf.TokenType(one)
        for one in fields.get(_KEY.TOKEN_TYPE, [gguf.TokenType.NORMAL] * len(tokens))
    ]
    model = fields.get(_KEY.MODEL)
    if model == "gpt2":
        document = _byte_level(fields, tokens, kinds, where)
    elif model == "llama":
        document = _sentencepiece(fields, tokens, kinds)
    else:
        raise CheckpointError(
            f"a tokenizer of the kind {model!r}", where=where, expected="gpt2 or llama"
        )
    return Tokenizer(document, _settings(fields, tokens), {})


def _settings(fields: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    for kind in _KINDS:
        row = fields.get(f"tokenizer.ggml.{_spelled(kind)}_token_id")
        if row is not None:
            settings[f"{kind}_token"] = tokens[row]
        add = fields.get(f"tokenizer.ggml.add_{kind}_token")
        if add is not None:
            settings[f"add_{kind}_token"] = bool(add)
    template = fields.get(_KEY.CHAT_TEMPLATE)
    if template is not None:
        settings["chat_template"] = template
    return settings | {"clean_up_tokenization_spaces": False}


def _spelled(kind: str) -> str:
    """How GGUF writes a kind of special token."""
    return {"unk": "unknown", "sep": "seperator", "pad": "padding"}.get(kind, kind)


def _added(tokens: Sequence[str], kinds: Sequence[gguf.TokenType]) -> list[dict[str, Any]]:
    return [
        {
            "id": row,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind != gguf.TokenType.USER_DEFINED,
        }
        for row, (text, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in _ADDED
    ]


def _document(added: list[dict[str, Any]], parts: Mapping[str, Any]) -> dict[str, Any]:
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, **parts}


def _byte_level(
    fields: Mapping[str, Any],
    tokens: Sequence[str],
    kinds: Sequence[gguf.TokenType],
    where: Path,
) -> dict[str, Any]:
    pre = fields.get(_KEY.PRE, "default")
    steps = next((steps for steps, name in PRE_TOKENIZERS.items() if name == pre), None)
    if steps is None:
        raise CheckpointError(
            f"the pre-tokenizer {pre!r}",
            where=where,
            expected=", ".join(PRE_TOKENIZERS.values()),
            fix="take the tokenizer from a parent in a folder: tokenizer_source",
        )
    parts = [_step(*step) for step in steps]
    vocab = {
        text: row
        for row, (text, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind != gguf.TokenType.UNUSED
    }
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    return _document(
        _added(tokens, kinds),
        {
            "normalizer": {"type": "NFC"} if pre == "qwen2" else None,
            "pre_tokenizer": parts[0]
            if len(parts) == 1
            else {"type": "Sequence", "pretokenizers": parts},
            "post_processor": level | {"use_regex": False},
            "decoder": level | {"use_regex": False},
            "model": _bpe(vocab, list(fields.get(_KEY.MERGES, [])))
            | {"ignore_merges": pre == "llama-bpe"},
        },
    )


def _step(kind: str, detail: Any) -> dict[str, Any]:
    """A step of a pre-tokenizer from its entry in `PRE_TOKENIZERS`."""
    if kind == "Split":
        return {
            "type": "Split",
            "pattern": {"Regex": detail},
            "behavior": "Isolated",
            "invert": False,
        }
    if kind == "Digits":
        return {"type": "Digits", "individual_digits": detail}
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": detail,
    }


def _bpe(vocab: Mapping[str, int], merges: Sequence[Any]) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": dict(vocab),
        "merges": list(merges),
    }


def _sentencepiece(
    fields: Mapping[str, Any], tokens: Sequence[str], kinds: Sequence[gguf.TokenType]
) -> dict[str, Any]:
    scores = [float(one) for one in fields[_KEY.SCORES]]
    vocab = {
        text: row
        for row, (text, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind != gguf.TokenType.UNUSED
    }
    pieces = {
        text: scores[row] for text, row in vocab.items() if kinds[row] == gguf.TokenType.NORMAL
    }
    ranked = sorted(_joins(pieces, vocab), key=lambda one: -one[0])
    unknown = next(
        (text for text, kind in zip(tokens, kinds, strict=True) if kind == gguf.TokenType.UNKNOWN),
        None,
    )
    space = "\u2581"
    first = [{"type": "Prepend", "prepend": space}] if fields.get(_KEY.ADD_PREFIX, True) else []
    replacing = {"type": "Replace", "pattern": {"String": " "}, "content": space}
    decoders: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": space}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if first:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return _document(
        _added(tokens, kinds),
        {
            "normalizer": {"type": "Sequence", "normalizers": [*first, replacing]},
            "pre_tokenizer": None,
            "post_processor": None,
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": _bpe(vocab, [[left, right] for _, left, right in ranked])
            | {"unk_token": unknown, "fuse_unk": True, "byte_fallback": True},
        },
    )


def _joins(
    pieces: Mapping[str, float], vocab: Mapping[str, int]
) -> Iterator[tuple[float, str, str]]:
    """Every way to make a piece of two others, with the piece's score."""
    for text, score in pieces.items():
        for cut in range(1, len(text)):
            if text[:cut] in vocab and text[cut:] in vocab:
                yield score, text[:cut], text[cut:]
