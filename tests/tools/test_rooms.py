"""The page on architecture follows from the code: its picture, its table, the files it names."""

from __future__ import annotations

import re

from tools.rooms import DOCUMENT, PACKAGE, reduced, room_imports, rooms, with_rooms


def test_the_rooms_are_current() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert with_rooms(document) == document, "run python -m tools.rooms"


def test_every_room_is_named_in_the_import_contract() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(rooms()) == folders | {"errors"}


def test_an_import_that_follows_from_others_has_no_arrow() -> None:
    imports = {"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": set()}
    assert reduced(imports) == {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set()}


def test_imports_are_those_of_the_code() -> None:
    imports = room_imports()
    assert "study" in imports["runs"]
    assert imports["errors"] == set()


def test_the_files_that_the_page_names_exist() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    named = re.findall(r"`(\w+/(?:\w+/)*(?:\w+\.py)?)`", document)
    assert len(named) > 20
    root = PACKAGE.parents[1]
    missing = [name for name in named if not any((top / name).exists() for top in (PACKAGE, root))]
    assert missing == []
