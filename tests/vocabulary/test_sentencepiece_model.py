"""`tokenizer.model` against the sentencepiece library, and what is done with damaged ones."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from gguf import TokenType
from helpers.parents import TEXTS
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import CheckpointError
from mergesearch.vocabulary import read_tokenizer
from mergesearch.vocabulary.sentencepiece_model import read_sentencepiece
from mergesearch.vocabulary.to_gguf import read_vocabulary

sentencepiece = pytest.importorskip("sentencepiece")
KINDS = {"IsUnknown": TokenType.UNKNOWN, "IsControl": TokenType.CONTROL}
KINDS |= {"IsUnused": TokenType.UNUSED, "IsByte": TokenType.BYTE}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BPE with bytes, control tokens and one that a user defined."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20),
        model_writer=written,
        model_type="bpe",
        vocab_size=340,
        byte_fallback=True,
        hard_vocab_limit=False,
        user_defined_symbols=["<turn>"],
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("model") / "tokenizer.model"
    path.write_bytes(written.getvalue())
    return path


def test_pieces_are_those_of_the_library(model: Path) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    found = read_sentencepiece(model, listed=())
    rows = range(processor.vocab_size())
    assert found.texts == [processor.IdToPiece(row) for row in rows]
    assert found.scores == [processor.GetScore(row) for row in rows]
    for row in rows:
        kinds = [kind for name, kind in KINDS.items() if getattr(processor, name)(row)]
        assert found.types[row] == (kinds[0] if kinds else TokenType.NORMAL)
    assert found.types[3] == TokenType.NORMAL  # the one that a user defined, listed nowhere
    assert (read_sentencepiece(model, listed=[3, 999]).scores or [])[3] == -1000.0


def folder_of(model: Path, folder: Path, vocab: dict[str, int], **settings: Any) -> Path:
    document = {"model": {"type": "BPE", "byte_fallback": True, "vocab": vocab, "merges": []}}
    document["model"]["unk_token"] = "<unk>"
    (folder / "tokenizer.json").write_text(json.dumps(document))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "tokenizer.model").write_bytes(model.read_bytes())
    return folder


def test_a_folder_has_the_scores_of_its_model(model: Path, tmp_path: Path) -> None:
    """Of listed tokens those that the converter gives them, in their own types."""
    stored = read_sentencepiece(model, listed=())
    vocab = {text: row for row, text in enumerate(stored.texts)}
    listed = {"1": {"content": "<s>", "special": True}, "3": {"content": "<turn>"}}
    listed["2"] = {"content": "</s>", "special": True}
    tokenizer = read_tokenizer(folder_of(model, tmp_path, vocab, added_tokens_decoder=listed))
    assert tokenizer is not None
    found = read_vocabulary(tokenizer, 400)
    assert found.tokens[: len(vocab)] == stored.texts
    assert found.types[:4] == [TokenType.UNKNOWN, *_LISTED]
    assert found.types[4 : len(vocab)] == stored.types[4:]
    scores = [*(stored.scores or [])]
    scores[1:4] = [-1000.0] * 3
    assert found.scores == scores + [-10000.0] * (400 - len(vocab))
    of_gemma_4 = read_vocabulary(tokenizer, 400, "gemma4")
    assert of_gemma_4.scores == [-1000.0] * 400


_LISTED = (TokenType.CONTROL, TokenType.CONTROL, TokenType.USER_DEFINED)


def test_the_model_of_another_vocabulary_is_not_taken(model: Path, tmp_path: Path) -> None:
    texts = list(read_sentencepiece(model, listed=()).texts)
    for more in ([*texts, "more"], ["other", *texts[1:]]):
        vocab = {text: row for row, text in enumerate(more)}
        tokenizer = read_tokenizer(folder_of(model, tmp_path, vocab))
        assert tokenizer is not None
        assert tokenizer.stored is None


def message(*fields: tuple[int, int, bytes]) -> bytes:
    """Fields of a protobuf message: number, way of storing, and bytes."""
    return b"".join(bytes([number << 3 | way]) + value for number, way, value in fields)


def test_fields_that_are_not_known_are_passed_over(tmp_path: Path) -> None:
    piece = message(
        (9, 0, b"\x80\x01"), (1, 2, b"\x02ab"), (2, 5, struct.pack("<f", -1.5)), (8, 1, b"12345678")
    )
    sized = bytes([len(piece)]) + piece
    path = tmp_path / "tokenizer.model"
    path.write_bytes(message((2, 2, b"\x01x"), (1, 2, sized), (3, 0, b"\x05"), (1, 2, b"\x00")))
    found = read_sentencepiece(path, listed=())
    assert (found.texts, found.scores, found.types) == (["ab", ""], [-1.5, 0.0], [1, 1])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (message((1, 2, b"\x05ab")), "ends within a field"),
        (b"\x0a", "ends within a number"),
        (b"\xff" * 11, "more than 64 bits"),
        (message((1, 3, b"")), "stored in way 3"),
        (message((1, 0, b"\x01")), "a piece that is a number"),
        (message((1, 2, b"\x02" + message((3, 0, b"\x07")))), "a piece of type 7"),
        (message((1, 2, b"\x03" + message((1, 2, b"\x01\xff")))), "a text that is not UTF-8"),
    ],
)
def test_damaged(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"not a SentencePiece model: .*{reason}"):
        read_sentencepiece(tmp_path / "tokenizer.model", listed=())


@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.model"
    path.write_bytes(content)
    try:
        found = read_sentencepiece(path, listed=())
    except CheckpointError:
        return
    assert len(found.texts) == len(found.types) == len(found.scores or [])


def test_a_pointer_of_git_lfs_is_told_from_a_model(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(CheckpointError, match="cannot be read: it is a pointer of Git LFS"):
        read_sentencepiece(path, listed=())
