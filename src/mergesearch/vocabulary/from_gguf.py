"""The tokenizer in a GGUF's metadata as the documents of a model's folder.

The way back of `gguf_vocab`: what is made here gives the same metadata again. The steps before BPE
are those whose name llama.cpp uses; merges of a SentencePiece vocabulary are rebuilt from its
scores, since llama.cpp joins the neighbours that make the piece of the highest score
(`src/llama-vocab.cpp`, `llm_tokenizer_spm_session`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from mergesearch._system.documents import check, state_of
from mergesearch.errors import CheckpointError
from mergesearch.vocabulary.documents import METADATA, added_token
from mergesearch.vocabulary.files import KINDS, Tokenizer
from mergesearch.vocabulary.pre_tokenizers import BYTE_LEVEL, PreTokenizer, known_as
from mergesearch.vocabulary.stored import ADDED, StoredTokens

_KEY = gguf.Keys.Tokenizer
_SPELLED = {"unk": "unknown", "sep": "seperator", "pad": "padding"}
_SPACE = "\u2581"


@dataclass(frozen=True)
class _Metadata:
    """The vocabulary of a GGUF: every key of the file, each row's text and its type."""

    fields: Mapping[str, Any]
    texts: Sequence[str]
    types: Sequence[gguf.TokenType]
    where: Path

    def rows(self, *types: gguf.TokenType) -> Iterator[tuple[int, str]]:
        """The rows of some types, with their texts."""
        for row, (text, kind) in enumerate(zip(self.texts, self.types, strict=True)):
            if kind in types:
                yield row, text

    def vocabulary(self) -> dict[str, int]:
        """Every token's row by its text, without rows that stand for nothing."""
        used = [kind for kind in gguf.TokenType if kind != gguf.TokenType.UNUSED]
        return {text: row for row, text in self.rows(*used)}

    def special(self) -> dict[str, int]:
        """The rows of the special tokens that the metadata names."""
        named = {
            kind: self.fields.get(f"tokenizer.ggml.{_SPELLED.get(kind, kind)}_token_id")
            for kind in KINDS
        }
        found = {kind: int(row) for kind, row in named.items() if row is not None}
        for kind, row in found.items():
            if row >= len(self.texts):
                raise CheckpointError(
                    f"the {kind} token has row {row} of {len(self.texts)}", where=self.where
                )
        return found


def tokenizer_from_gguf(fields: Mapping[str, Any], where: Path) -> Tokenizer:
    """Return the tokenizer of a GGUF.

    Args:
        fields: Metadata of the file by key, with a list of tokens.

    Raises:
        CheckpointError: A kind of tokenizer, or a pre-tokenizer, that is not known here.
    """
    for key, kind in METADATA.items():
        if key in fields:
            check(kind, fields[key], f"{where}: {key}", CheckpointError)
    texts = fields[_KEY.LIST]
    types = fields.get(_KEY.TOKEN_TYPE, [gguf.TokenType.NORMAL] * len(texts))
    if len(types) != len(texts):
        raise CheckpointError(f"{len(types)} types of {len(texts)} tokens", where=where)
    metadata = _Metadata(fields, texts, [gguf.TokenType(kind) for kind in types], where)
    pre: str | None = None
    match fields.get(_KEY.MODEL):
        case "gpt2":
            name = _pre_tokenizer(metadata)
            known = known_as(name)
            document = _byte_level(metadata, known)
            pre = known.names[0] if known is not None and name in known.names else name
        case "llama":
            document = _spaced(metadata, _merges(_pieces(metadata)))
        case "gemma4":
            document = _spaced(metadata, [_pair(merge) for merge in _stored_merges(metadata)])
        case model:
            raise CheckpointError(
                state_of(_KEY.MODEL, model), where=where, expected="gpt2, llama or gemma4"
            )
    stored = StoredTokens(fields[_KEY.MODEL], texts, types, _scores(metadata))
    ids = metadata.special()
    return Tokenizer(document, _settings(metadata), {}, ids=ids, pre=pre, stored=stored)


def _settings(metadata: _Metadata) -> dict[str, Any]:
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings |= {f"{kind}_token": metadata.texts[row] for kind, row in metadata.special().items()}
    for kind in KINDS:
        adds = metadata.fields.get(f"tokenizer.ggml.add_{kind}_token")
        if adds is not None:
            settings[f"add_{kind}_token"] = bool(adds)
    template = metadata.fields.get(_KEY.CHAT_TEMPLATE)
    if template is not None:
        settings["chat_template"] = template
    return settings | {"clean_up_tokenization_spaces": False}


def _pre_tokenizer(metadata: _Metadata) -> str:
    """llama.cpp's name of the pre-tokenizer.

    Raises:
        CheckpointError: The file does not say it, as it is older than these names.
    """
    name = metadata.fields.get(_KEY.PRE)
    if not isinstance(name, str) or name == "default":
        raise CheckpointError(
            f"{state_of(_KEY.PRE, name)}, so it is unknown how the tokenizer splits text",
            where=metadata.where,
            fix="convert the model again, or use its folder in place of its GGUF",
        )
    return name


def _byte_level(metadata: _Metadata, known: PreTokenizer | None) -> dict[str, Any]:
    """A byte-level BPE; where its pre-tokenizer is not known here, without that section."""
    return {
        **_head(metadata),
        "normalizer": None,  # llama.cpp has none, not even for Qwen's, whose folders name NFC
        "pre_tokenizer": None if known is None else known.section,
        "post_processor": _edges(
            metadata, bos=known is not None and known.adds_bos, before=[BYTE_LEVEL]
        ),
        "decoder": BYTE_LEVEL,
        "model": _bpe(
            metadata.vocabulary(),
            _stored_merges(metadata),
            ignore_merges=known is not None and known.takes_words,
        ),
    }


def _stored_merges(metadata: _Metadata) -> list[str]:
    """The merges, without which no token of several characters would ever be made."""
    merges: list[str] = metadata.fields.get(_KEY.MERGES) or []
    if not merges and any(len(text) > 1 for _, text in metadata.rows(gguf.TokenType.NORMAL)):
        raise CheckpointError("a byte-level BPE without merges", where=metadata.where)
    return merges


def _scores(metadata: _Metadata) -> Sequence[float] | None:
    """The score of each row, None where there is not one for each."""
    scores: Sequence[float] | None = metadata.fields.get(_KEY.SCORES)
    return scores if scores is not None and len(scores) == len(metadata.texts) else None


def _pieces(metadata: _Metadata) -> dict[str, float]:
    """The score of each ordinary piece of SentencePiece's."""
    scores = _scores(metadata)
    if scores is None:
        raise CheckpointError(
            "a SentencePiece vocabulary without a score for every token", where=metadata.where
        )
    return {text: float(scores[row]) for row, text in metadata.rows(gguf.TokenType.NORMAL)}


def _pair(merge: str) -> list[str]:
    """The two pieces of a merge, which a space divides that is not its first letter."""
    cut = merge.index(" ", 1)
    return [merge[:cut], merge[cut + 1 :]]


def _spaced(metadata: _Metadata, merges: Sequence[Sequence[str]]) -> dict[str, Any]:
    """A BPE over text whose spaces are letters, with tokens for bytes that no other has."""
    unknown = next((text for _, text in metadata.rows(gguf.TokenType.UNKNOWN)), None)
    if unknown is None and "unk" in metadata.special():
        unknown = metadata.texts[metadata.special()["unk"]]
    prefixed = bool(metadata.fields.get(_KEY.ADD_PREFIX, True))
    before = [{"type": "Prepend", "prepend": _SPACE}] if prefixed else []
    after = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefixed else []
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    back = {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "}
    return {
        **_head(metadata),
        "normalizer": {"type": "Sequence", "normalizers": [*before, spaces]},
        "pre_tokenizer": None,
        "post_processor": _edges(metadata, bos=True, before=[]),
        "decoder": {
            "type": "Sequence",
            "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}, *after],
        },
        "model": _bpe(
            metadata.vocabulary(),
            merges,
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=True,
        ),
    }


def _merges(pieces: Mapping[str, float]) -> list[list[str]]:
    """Every way to make a piece of two others, the pieces of the highest scores first."""
    ranked = sorted(pieces, key=lambda text: -pieces[text])
    return [
        [text[:cut], text[cut:]]
        for text in ranked
        for cut in range(1, len(text))
        if text[:cut] in pieces and text[cut:] in pieces
    ]


def _head(metadata: _Metadata) -> dict[str, Any]:
    """What stands first in a `tokenizer.json`."""
    added = []
    for row, text in metadata.rows(*ADDED):
        special = metadata.types[row] != gguf.TokenType.USER_DEFINED
        added.append({"id": row, **added_token(text, normalized=False, special=special)})
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added}


def _bpe(vocab: Mapping[str, int], merges: Sequence[Any], **changes: Any) -> dict[str, Any]:
    """The `model` section of a BPE."""
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        **changes,
        "vocab": dict(vocab),
        "merges": list(merges),
    }


def _edges(metadata: _Metadata, *, bos: bool, before: list[Any]) -> dict[str, Any] | None:
    """The post-processor: some steps, then the tokens that go around a text.

    Args:
        bos: Whether llama.cpp begins a text with the bos token where the metadata does not say.
    """
    special = metadata.special()
    adds = {
        "bos": metadata.fields.get(_KEY.ADD_BOS, bos),
        "eos": metadata.fields.get(_KEY.ADD_EOS, False),
    }
    around = {kind: special[kind] for kind, added in adds.items() if added and kind in special}
    steps = list(before)
    if around:
        steps.append(_template(metadata.texts, around))
    if len(steps) > 1:
        return {"type": "Sequence", "processors": steps}
    return steps[0] if steps else None


def _template(texts: Sequence[str], around: Mapping[str, int]) -> dict[str, Any]:
    def token(kind: str) -> list[dict[str, Any]]:
        if kind not in around:
            return []
        return [{"SpecialToken": {"id": texts[around[kind]], "type_id": 0}}]

    def sequence(name: str) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": 0}}

    return {
        "type": "TemplateProcessing",
        "single": [*token("bos"), sequence("A"), *token("eos")],
        "pair": [*token("bos"), sequence("A"), sequence("B"), *token("eos")],
        "special_tokens": {
            texts[row]: {"id": texts[row], "ids": [row], "tokens": [texts[row]]}
            for row in around.values()
        },
    }
