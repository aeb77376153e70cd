"""The vocabulary of a `tokenizer.json` as GGUF metadata: BPE, byte-level or as SentencePiece's.

llama.cpp carries one hand-written pre-tokenizer per family and is told which by name, so a
`pre_tokenizer` section that is not known here is refused, never guessed. Tokens, types and special
tokens match llama.cpp's `conversion/base.py` (`get_vocab_base`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from mergesearch._system.documents import shown
from mergesearch.errors import CheckpointError
from mergesearch.gguf.pack import Metadata
from mergesearch.vocabulary import Tokenizer
from mergesearch.vocabulary.documents import pieces_of
from mergesearch.vocabulary.files import KINDS, text_of
from mergesearch.vocabulary.pre_tokenizers import names, recognized
from mergesearch.vocabulary.special import SpecialTokens, special_tokens
from mergesearch.vocabulary.stored import ADDED, StoredTokens

SENTENCEPIECE_SPACE, BYTE_LEVEL_SPACE = "\u2581", "\u0120"
_KEY = gguf.Keys.Tokenizer
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")
_UNUSED_SCORE, _ADDED_SCORE = -10000.0, -1000.0
_PRE = {"llama": "default", "gemma4": ""}
_CALLS = ("tool_call", "tool_response")
_SHOWN = {
    '<|"|>',
    *("<|channel>", "<channel|>"),
    *(f"<|{name}>" for name in _CALLS),
    *(f"<{name}|>" for name in _CALLS),
}
"""Tokens of Gemma 4 that stay in a text, so that tool calls and thoughts can be told apart."""


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary ready for GGUF.

    Attributes:
        model: Kind of tokenizer: `gpt2` (byte-level BPE), `llama` (SentencePiece style), or
            `gemma4` (the same with merges in place of scores).
        pre: Name of the pre-tokenizer in llama.cpp; empty for `gemma4`, which has its own.
        tokens: Token of each row of the token embedding.
        types: `gguf.TokenType` of each token.
        scores: Score of each token; None for `gpt2`.
        merges: Merges in order, two pieces with a space between; empty for `llama`.
        space_prefix: False where no space goes before the text, None for llama.cpp's default.
        special: Special tokens and chat template.
    """

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    scores: list[float] | None
    merges: list[str]
    space_prefix: bool | None
    special: SpecialTokens

    def add_to(self, keys: Metadata) -> None:
        """Add every `tokenizer.*` key to the metadata of a GGUF."""
        keys.add(_KEY.MODEL, self.model)
        keys.add(_KEY.PRE, self.pre)
        keys.add(_KEY.LIST, self.tokens)
        if self.scores is not None:
            keys.add(_KEY.SCORES, self.scores)
        keys.add(_KEY.TOKEN_TYPE, self.types)
        if self.space_prefix is not None:
            keys.add(_KEY.ADD_PREFIX, self.space_prefix)
        if self.merges:
            keys.add(_KEY.MERGES, self.merges)
        self.special.add_to(keys)


def read_vocabulary(tokenizer: Tokenizer, rows: int, spaced: str = "llama") -> Vocabulary:
    """Return a tokenizer's vocabulary, padded with unused tokens to `rows`.

    Where rows have the tokens of the GGUF or the SentencePiece model that the tokenizer was read
    from, they are as they are there.

    Args:
        rows: Rows of the token embedding.
        spaced: Kind of a tokenizer in which spaces are letters and bytes are tokens, where no GGUF
            says which.

    Raises:
        CheckpointError: There are more tokens than rows, or llama.cpp cannot reproduce the
            tokenizer.
    """
    document = tokenizer.document
    where = tokenizer.files or "the tokenizer of the result"
    stored = tokenizer.stored
    if stored is not None and stored.kind == "gemma4":
        spaced = stored.kind
    model = spaced if document["model"].get("byte_fallback") else "gpt2"
    added = _added_tokens(tokenizer, model)
    texts = {row: text for text, row in document["model"]["vocab"].items()}
    texts |= {row: text for row, (text, _) in added.items()}
    if texts and max(texts) >= rows:
        raise CheckpointError(
            f"{max(texts) + 1} tokens for an embedding of {rows} rows", where=where
        )
    types = _token_types(document, texts, added, rows, model)
    tokens = [texts.get(row, f"[PAD{row}]") for row in range(rows)]
    for row, kind in enumerate(types):
        if kind == gguf.TokenType.USER_DEFINED:
            tokens[row] = tokens[row].replace(SENTENCEPIECE_SPACE, " ")
    vocabulary = Vocabulary(
        model=model,
        pre=_pre_tokenizer(tokenizer, where) if model == "gpt2" else _PRE[model],
        tokens=tokens,
        types=types,
        scores=_scores(model, document, tokens, types),
        merges=[] if model == "llama" else list(_merges(document)),
        space_prefix=False if model != "gpt2" and not _prefixes_space(document) else None,
        special=special_tokens(tokenizer, rows),
    )
    if model == "gemma4":  # llama.cpp does so whatever the file says
        vocabulary.special.added["bos"] = True
    if stored is not None and stored.kind == model:
        _take_over(stored, vocabulary, texts, set(added))
    return vocabulary


def _take_over(
    stored: StoredTokens, vocabulary: Vocabulary, texts: Mapping[int, str], added: set[int]
) -> None:
    """Put stored tokens into a vocabulary where it has them: text, type and score."""
    pairs = zip(stored.texts, stored.types, strict=True)
    for row, (text, kind) in enumerate(pairs):
        if row >= len(vocabulary.tokens):
            break
        unused = kind == gguf.TokenType.UNUSED and row not in texts
        if not unused and (texts.get(row) != text or (row in added) != (kind in ADDED)):
            continue
        vocabulary.tokens[row], vocabulary.types[row] = text, int(kind)
        if vocabulary.scores is not None and stored.scores is not None:
            vocabulary.scores[row] = stored.scores[row]


def _merges(document: Mapping[str, Any]) -> Iterator[str]:
    """The merges, in which a space within a piece is written as byte-level tokens write it."""
    for merge in document["model"].get("merges") or []:
        yield " ".join(piece.replace(" ", BYTE_LEVEL_SPACE) for piece in pieces_of(merge))


def _pre_tokenizer(tokenizer: Tokenizer, where: str | Path) -> str:
    """llama.cpp's name for the pre-tokenizer of a byte-level BPE tokenizer.

    Raises:
        CheckpointError: llama.cpp has none that is known to split text the same way.
    """
    if tokenizer.pre is not None:
        return tokenizer.pre
    document = tokenizer.document
    section = document.get("pre_tokenizer")
    takes_words = bool(document["model"].get("ignore_merges"))
    normalizer = (document.get("normalizer") or {}).get("type")
    bos = "bos" in tokenizer.ids or text_of(tokenizer.settings.get("bos_token")) is not None
    known = recognized(section, takes_words=takes_words, bos=bos)
    if known is None or normalizer not in (None, "NFC"):
        raise CheckpointError(
            "a tokenizer that llama.cpp is not known to reproduce: "
            f"pre_tokenizer {json.dumps(section)[:300]}, ignore_merges {shown(takes_words)}, "
            f"normalizer {'none' if normalizer is None else normalizer}",
            where=where,
            expected="one that splits text as one of these: " + ", ".join(dict.fromkeys(names())),
        )
    return known.names[0]


def _added_tokens(tokenizer: Tokenizer, model: str) -> dict[int, tuple[str, bool]]:
    """Added tokens by id: their text, and whether they are control tokens.

    Gemma 4 makes those that are not by merges, as any other token of its vocabulary.
    """
    document, settings = tokenizer.document, tokenizer.settings
    added = {
        row: (str(entry["content"]), bool(entry.get("special")))
        for row, entry in tokenizer.added_tokens.items()
    }
    special = set(_special_texts(settings))
    vocab = document["model"]["vocab"]
    added |= {vocab[text]: (text, True) for text in special if text in vocab}
    if model == "gemma4":
        return {
            row: (text, control or text in special)
            for row, (text, control) in added.items()
            if control or text in special or text in _SHOWN or text not in vocab
        }
    return {
        row: (text, control or text in special or _looks_special(text))
        for row, (text, control) in added.items()
    }


def _special_texts(settings: Mapping[str, Any]) -> Iterator[str]:
    """The special tokens that a tokenizer_config.json names."""
    for kind in KINDS:
        if (text := text_of(settings.get(f"{kind}_token"))) is not None:
            yield text


def _looks_special(text: str) -> bool:
    """Whether a token is a control token by its form (`does_token_look_special`)."""
    pairs = (("<|", "|>"), ("<\uff5c", "\uff5c>"), ("<unused", ">"))
    named = text in ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
    return named or any(text.startswith(head) and text.endswith(tail) for head, tail in pairs)


def _token_types(
    document: Mapping[str, Any],
    texts: Mapping[int, str],
    added: Mapping[int, tuple[str, bool]],
    rows: int,
    model: str,
) -> list[int]:
    unknown = document["model"].get("unk_token") if model == "llama" else None

    def kind(row: int) -> gguf.TokenType:
        if row not in texts:
            return gguf.TokenType.UNUSED
        if unknown is not None and texts[row] == unknown:
            return gguf.TokenType.UNKNOWN
        if model != "gpt2" and _BYTE_TOKEN.fullmatch(texts[row]):
            return gguf.TokenType.BYTE
        if model == "gemma4" and texts[row] in _SHOWN:
            return gguf.TokenType.USER_DEFINED
        if row in added:
            control = added[row][1]
            return gguf.TokenType.CONTROL if control else gguf.TokenType.USER_DEFINED
        return gguf.TokenType.NORMAL

    return [int(kind(row)) for row in range(rows)]


def _scores(
    model: str, document: Mapping[str, Any], tokens: list[str], types: list[int]
) -> list[float] | None:
    """Scores of a vocabulary without merges, which make llama.cpp join pairs in their order.

    They are minus the rank of the merge. Single characters, which no merge makes, come after every
    merge, as SentencePiece stores them. Beside merges all scores of Gemma 4 are the same.
    """
    if model != "llama":
        return None if model == "gpt2" else [_ADDED_SCORE] * len(tokens)
    ranks: dict[str, int] = {}
    merges = document["model"].get("merges") or []
    for rank, merge in enumerate(merges):
        ranks.setdefault("".join(pieces_of(merge)), rank)
    fixed = {
        gguf.TokenType.UNUSED: _UNUSED_SCORE,
        gguf.TokenType.CONTROL: 0.0,
        gguf.TokenType.UNKNOWN: 0.0,
        gguf.TokenType.BYTE: 0.0,
        gguf.TokenType.USER_DEFINED: _ADDED_SCORE,
    }
    last = float(len(merges))
    return [
        fixed.get(gguf.TokenType(kind), -float(ranks.get(token, last)))
        for token, kind in zip(tokens, types, strict=True)
    ]


def _prefixes_space(document: Mapping[str, Any]) -> bool:
    """Whether the tokenizer puts a space before the text, as a normalizer or a pre-tokenizer."""
    normalizer = document.get("normalizer") or {}
    steps = normalizer.get("normalizers", [normalizer])
    before = document.get("pre_tokenizer") or {}
    metaspace = before.get("type") == "Metaspace" and before.get("prepend_scheme") != "never"
    return metaspace or any(step.get("type") == "Prepend" for step in steps)
