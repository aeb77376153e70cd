"""Documents that others wrote: JSON with limits, and the words for a wrong value."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from mergesearch._system import documents
from mergesearch._system.documents import check, read_json_object, shown
from mergesearch.errors import CheckpointError, RecipeError


class Inner(TypedDict, total=False):
    count: Annotated[int, Field(strict=True, ge=1)]


class Document(TypedDict, total=False):
    inner: list[Inner] | None
    share: Annotated[float, Field(strict=True, allow_inf_nan=False)]


KIND = TypeAdapter(Document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"inner": 3}, "x: inner: 3 is not a list"),
        ({"inner": [{"count": True}]}, "x: inner.0.count: true is not a whole number"),
        ({"inner": [{"count": 0}]}, "x: inner.0.count: 0 is out of range\n  expected: at least 1"),
        ({"inner": [[]]}, "x: inner.0: a list is not a mapping"),
        ({"share": float("nan")}, "x: share: NaN is not a finite number"),
        ({"share": "1"}, 'x: share: "1" is not a number'),
        ([], "x: a list is not a mapping"),
    ],
)
def test_the_first_wrong_value_is_named(document: Any, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        check(KIND, document, "x", RecipeError)
    assert str(caught.value) == message


def test_what_is_right_or_not_looked_at_passes() -> None:
    check(KIND, {"inner": None, "share": 2, "other": object()}, "x", RecipeError)


def test_a_long_value_is_cut() -> None:
    assert len(shown("y" * 1000)) == 60


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b'{"a":\n "\xff"}', r"not UTF-8 text \(byte 8\)"),
        (b'{"a":\n 1,,}', "x, line 2: not valid JSON: expecting property name"),
        (b'{"a": {"b": 1, "c": 2, "b": 1}}', 'x: not valid JSON: the key "b" occurs twice'),
        (b"[1]", "a list is not a JSON object"),
        (b"\xef\xbb\xbf{}", "x, line 1: not valid JSON: a byte order mark"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (b"[" * 100_000, "x: not valid JSON: nested too deeply"),
        (b'{"a": "\\uD800"}', "not valid JSON: half of a character"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "a number of over 4300 digits"),
    ],
)
def test_what_is_not_an_object_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_json_object(tmp_path / "x", CheckpointError)


def test_what_may_never_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(CheckpointError, match="it is a pipe or a device, not a file"):
            read_json_object(path, CheckpointError)
    with pytest.raises(FileNotFoundError):
        read_json_object(tmp_path / "nothing", CheckpointError)
    monkeypatch.setattr(documents, "MAX_JSON", 10)
    (tmp_path / "x").write_text('{"a": "long"}')
    with pytest.raises(CheckpointError, match="more than 10 bytes"):
        read_json_object(tmp_path / "x", CheckpointError)
