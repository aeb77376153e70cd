"""What the files of a tokenizer may say: types of the keys in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Required

import gguf
from pydantic import AfterValidator, Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic cannot use that of `typing` in Python 3.11

from mergesearch._system.documents import refused
from mergesearch.gguf.documents import Switch, Text

Row = Annotated[int, Field(strict=True, ge=0, lt=1 << 31)]


def pieces_of(merge: Any) -> Any:
    """Return the two pieces of a merge, which older files write with a space between."""
    return merge.split(" ") if isinstance(merge, str) else merge


def added_token(text: str, *, normalized: bool = True, special: bool = False) -> dict[str, Any]:
    """Return an entry of `added_tokens`, by default as `tokenizers` makes it of a mere text."""
    alone = dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
    return {"content": text, **alone, "normalized": normalized, "special": special}


def _merges(value: Any) -> Any:
    for merge in value:
        pair = pieces_of(merge)
        if not isinstance(pair, list) or len(pair) != 2 or not all(map(_is_text, pair)):
            raise refused("holds a merge that is not two pieces")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _templates(value: Any) -> Any:
    named = value if isinstance(value, list) else []
    whole = all(
        isinstance(entry, dict) and _is_text(entry.get("name")) and _is_text(entry.get("template"))
        for entry in named
    )
    if not isinstance(value, str | list | None) or not whole:
        raise refused("is not a chat template, or several by name")
    return value


class _AddedToken(TypedDict, total=False):
    id: Required[Row]
    content: Required[Text]
    special: Switch


class _ListedToken(TypedDict, total=False):
    """An added token in the settings, where its row is its key."""

    content: Required[Text]
    special: Switch


class _Model(TypedDict, total=False):
    type: Required[Text]
    vocab: Required[dict[Text, Row]]
    merges: Annotated[list[Any], AfterValidator(_merges)] | None
    unk_token: Text | None
    byte_fallback: Switch | None
    ignore_merges: Switch | None


class _Kind(TypedDict, total=False):
    type: Text


class _Steps(_Kind, total=False):
    normalizers: list[_Kind]
    pretokenizers: list[_Kind]
    prepend_scheme: Text


class _Named(TypedDict, total=False):
    id: Text


class _Place(TypedDict, total=False):
    """What a template puts in one place: a special token, or a text."""

    SpecialToken: _Named
    Sequence: _Named


class _Edges(_Kind, total=False):
    single: list[_Place]
    pair: list[_Place]


class _Processor(_Edges, total=False):
    processors: list[_Edges]


class _Tokenizer(TypedDict, total=False):
    model: Required[_Model]
    added_tokens: list[_AddedToken] | None
    normalizer: _Steps | None
    pre_tokenizer: _Steps | None
    post_processor: _Processor | None


def _row_text(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise refused("is not the id of a token")
    return text


_MOST_DIGITS = 9
_RowText = Annotated[Text, AfterValidator(_row_text)]


def _token(value: Any) -> Any:
    text = value.get("content") if isinstance(value, dict) else value
    if value is not None and not _is_text(text):
        raise refused("is not a token")
    return value


_Token = Annotated[Any, AfterValidator(_token)]


class _SpecialTokens(TypedDict, total=False):
    bos_token: _Token
    eos_token: _Token
    unk_token: _Token
    sep_token: _Token
    pad_token: _Token
    cls_token: _Token
    mask_token: _Token


class _Settings(_SpecialTokens, total=False):
    added_tokens_decoder: dict[_RowText, _ListedToken] | None
    chat_template: Annotated[Any, AfterValidator(_templates)]
    add_bos_token: Switch | None
    add_eos_token: Switch | None
    add_sep_token: Switch | None
    model_max_length: Annotated[float, Field(strict=True, gt=0)] | None


_KEY = gguf.Keys.Tokenizer
_ID, _ADDED = TypeAdapter(Row), TypeAdapter(Switch)
_KIND = Annotated[int, Field(strict=True, ge=1, le=max(gguf.TokenType))]
_SCORE = Annotated[float, Field(strict=True, allow_inf_nan=False)]

METADATA: Mapping[str, TypeAdapter[Any]] = {
    _KEY.LIST: TypeAdapter(list[Text]),
    _KEY.TOKEN_TYPE: TypeAdapter(list[_KIND]),
    _KEY.SCORES: TypeAdapter(list[_SCORE]),
    _KEY.MERGES: TypeAdapter(Annotated[list[Text], AfterValidator(_merges)]),
    _KEY.CHAT_TEMPLATE: TypeAdapter(Text),
    _KEY.ADD_PREFIX: _ADDED,
    **dict.fromkeys(
        (_KEY.BOS_ID, _KEY.EOS_ID, _KEY.UNK_ID, _KEY.SEP_ID, _KEY.PAD_ID, _KEY.MASK_ID), _ID
    ),
    **dict.fromkeys((_KEY.ADD_BOS, _KEY.ADD_EOS, _KEY.ADD_SEP), _ADDED),
}
"""Types of the keys of a GGUF that say what its tokenizer is."""
TOKENIZER_DOCUMENT: TypeAdapter[Any] = TypeAdapter(_Tokenizer)
SETTINGS_DOCUMENT: TypeAdapter[Any] = TypeAdapter(_Settings)
SPECIAL_TOKENS_DOCUMENT: TypeAdapter[Any] = TypeAdapter(_SpecialTokens)
