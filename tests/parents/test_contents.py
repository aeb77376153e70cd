"""The digest of all bytes of parents, and changes of their files."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mergesearch.errors import ParentChanged
from mergesearch.parents import ParentFiles, contents
from mergesearch.parents.contents import Stamp, pieced_digest


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    folder = tmp_path / "parent"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(200_000))
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, for files of any size."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(contents, "_KEPT_FROM", 0)
    return tmp_path / "cache" / "mergesearch" / "digests"


def files_of(folder: Path) -> Any:
    """The files of a parent of which nothing else is looked at."""
    named = {name: folder / name for name in ("model.safetensors", "config.json", "tokenizer.json")}
    parents: Any = {"p": SimpleNamespace(files=named)}
    files = ParentFiles(parents)
    assert len(files.digest) == 64
    return files


def flip(path: Path, place: int) -> None:
    """Change one bit, and nothing of the file's size or time of writing."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(place, os.SEEK_END if place < 0 else os.SEEK_SET)
        bit = file.read(1)[0] ^ 1
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([bit]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_the_parent_that_differs_is_told_from_the_others(parent: Path, tmp_path: Path) -> None:
    shutil.copytree(parent, tmp_path / "other")
    folders = {"a": parent, "b": tmp_path / "other"}
    named = {ref: {"config.json": folder / "config.json"} for ref, folder in folders.items()}
    parents: Any = {ref: SimpleNamespace(files=files) for ref, files in named.items()}
    before = ParentFiles(parents).digests
    flip(tmp_path / "other" / "config.json", 0)
    now = ParentFiles(parents).digests
    assert (now["a"], len(now["b"])) == (before["a"], 64)
    assert now["b"] != before["b"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_every_file_counts(parent: Path, name: str) -> None:
    before = files_of(parent).digest
    path = parent / name
    if name.endswith(".json"):
        path.write_text(path.read_text() + " ")
    else:
        flip(path, -1)
    assert files_of(parent).digest != before


def test_a_place_may_be_a_parent_s(parent: Path, tmp_path: Path) -> None:
    files = files_of(parent)
    (tmp_path / "link").symlink_to(parent)
    parents = [parent, parent / "config.json", tmp_path / "link", parent / ".." / "parent"]
    others = [tmp_path, parent / "new.gguf", tmp_path / "new", tmp_path / "new" / "m.gguf"]
    assert [files.are_in(place) for place in parents] == [True] * 4
    assert [files.are_in(place) for place in others] == [False] * 4


def test_the_place_does_not_count(parent: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(parent, tmp_path / "elsewhere")
    assert files_of(parent).digest == files_of(Path(copy)).digest


def test_a_digest_is_that_of_the_pieces_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_PIECE", 4)
    path = tmp_path / "x"
    path.write_bytes(b"abcdefghij")
    pieces = (hashlib.sha256(piece).digest() for piece in (b"abcd", b"efgh", b"ij"))
    expected = hashlib.sha256(b"".join(pieces)).hexdigest()
    assert pieced_digest(path, Stamp.of(path)) == expected


def test_a_file_that_is_only_touched_stays_good(parent: Path) -> None:
    files = files_of(parent)
    os.utime(parent / "model.safetensors", ns=(1, 1))
    files.check()
    again = parent / "again"
    shutil.copy(parent / "model.safetensors", again)
    os.replace(again, parent / "model.safetensors")
    files.check()


def test_without_a_digest_what_is_touched_is_refused(parent: Path) -> None:
    parents: Any = {"p": SimpleNamespace(files={"x": parent / "model.safetensors"})}
    files = ParentFiles(parents)
    os.utime(parent / "model.safetensors", ns=(1, 1))
    with pytest.raises(ParentChanged, match="was written while it was in use"):
        files.check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: flip(path, 70_000), "has other bytes than when it was first read"),
        (lambda path: os.truncate(path, 1000), "has 1000 bytes, "),
        (lambda path: path.unlink(), "cannot be read any more: No such file"),
        (lambda path: (path.unlink(), path.mkdir()), "is no longer a file"),
    ],
)
def test_a_changed_file_is_refused_by_name(parent: Path, change: object, message: str) -> None:
    files = files_of(parent)
    path = parent / "model.safetensors"
    assert callable(change)
    change(path)
    with pytest.raises(ParentChanged) as caught:
        files.check()
    assert str(caught.value).startswith(f"{path}: {message}")
    assert caught.value.exit_code == 1


def test_a_large_file_is_read_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_SETTLED_SECONDS", -1.0)
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    digest = pieced_digest(path, Stamp.of(path))
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(contents, "_read_digest", lambda path, stamp: "read again")
    assert pieced_digest(path, Stamp.of(path)) == digest
    flip(path, 0)
    assert pieced_digest(path, Stamp.of(path)) == "read again"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": 1}', "\x00"])
def test_a_damaged_cache_is_not_believed(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(contents, "_SETTLED_SECONDS", -1.0)
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    digest = pieced_digest(path, Stamp.of(path))
    next(cache.iterdir()).write_text(text)
    assert pieced_digest(path, Stamp.of(path)) == digest


def test_what_was_just_written_is_not_kept(tmp_path: Path, cache: Path) -> None:
    """A write within the clock's grain would leave the same stamp."""
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    pieced_digest(path, Stamp.of(path))
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_SETTLED_SECONDS", -1.0)
    cache.parent.parent.write_text("a file in its place")
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert len(pieced_digest(path, Stamp.of(path))) == 64
