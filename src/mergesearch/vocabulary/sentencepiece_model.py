"""`tokenizer.model`: the pieces of a SentencePiece model, as llama.cpp's converter takes them.

The file is a protobuf message whose first field is there for every piece: its text, score and type
(`sentencepiece_model.proto` of google/sentencepiece). What becomes of them in a GGUF is that of
`conversion/base.py`, `_create_vocab_sentencepiece`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from pathlib import Path

import gguf

from mergesearch._system.files import open_regular, why_unreadable
from mergesearch.errors import CheckpointError
from mergesearch.vocabulary.stored import StoredTokens

_MAX_BYTES = 1 << 26
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # ways in which a field is stored
_USER_DEFINED = 4  # an ordinary token for the converter, unless the settings list it
_LISTED_SCORE = -1000.0

Field = tuple[int, int | bytes]
"""Number of a field, and its value."""


def read_sentencepiece(path: Path, listed: Collection[int]) -> StoredTokens:
    """Return the pieces of a SentencePiece model.

    Args:
        listed: Rows of added tokens that the settings list.

    Raises:
        CheckpointError: The file cannot be read, is damaged, or too large for a vocabulary.
    """
    try:
        with open_regular(path) as file:
            message = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise CheckpointError(why_unreadable(error), where=path) from error
    try:
        if len(message) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES >> 20} MiB")
        pieces = [_piece(value) for number, value in _fields(message) if number == 1]
    except ValueError as error:
        reason = "a text that is not UTF-8" if isinstance(error, UnicodeError) else error
        raise CheckpointError(
            f"not a SentencePiece model: {reason}", where=path, fix="download the file again"
        ) from error
    texts, scores, types = (
        ([*column] for column in zip(*pieces, strict=True)) if pieces else ([], [], [])
    )
    for row in listed:
        if row < len(scores):
            scores[row] = _LISTED_SCORE
    return StoredTokens("llama", texts, types, scores)


def _piece(message: int | bytes) -> tuple[str, float, int]:
    if isinstance(message, int):
        raise ValueError("a piece that is a number")
    text, score, kind = "", 0.0, int(gguf.TokenType.NORMAL)
    for number, value in _fields(message):
        match number, value:
            case 1, bytes():
                text = value.decode()
            case 2, bytes() if len(value) == 4:
                (score,) = struct.unpack("<f", value)
            case 3, int():
                kind = value
    if not 1 <= kind <= max(gguf.TokenType):
        raise ValueError(f"a piece of type {kind}")
    return text, score, int(gguf.TokenType.NORMAL) if kind == _USER_DEFINED else kind


def _fields(message: bytes) -> Iterator[Field]:
    """The fields of a protobuf message, numbers of a fixed width as their bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, way = key >> 3, key & 7
        if way == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if way == _BYTES:
            size, place = _varint(message, place)
        elif way in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if way == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"a field stored in way {way}")
        if size > len(message) - place:
            raise ValueError("it ends within a field")
        yield number, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, and the place after it."""
    number = 0
    for shift in range(0, 64, 7):
        if place >= len(message):
            raise ValueError("it ends within a number")
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError("a number of more than 64 bits")
