"""What a parent says of itself: license and languages, from its card or its GGUF's metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergesearch._system.yaml_text import read_document
from mergesearch.errors import CheckpointError
from mergesearch.gguf.header import read_gguf_header
from mergesearch.parents.hub import is_id
from mergesearch.parents.opening import ids_in
from mergesearch.parents.parent import StoredCheckpoint

CARD = "README.md"
_BLOCK = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class ParentCard:
    """What a parent says of itself.

    Attributes:
        license: Id of the license; empty where none is named.
        languages: Codes of the languages.
    """

    license: str = ""
    languages: tuple[str, ...] = ()


def read_cards(parent: StoredCheckpoint) -> list[ParentCard]:
    """Return the cards of a parent, of an adapter's base and of the adapter too; none is empty."""
    files = list(parent.files.values())
    found = [_of_gguf(path) for path in files if path.suffix == ".gguf"]
    folders = dict.fromkeys(path.parent for path in files if path.suffix != ".gguf")
    found += [_of_folder(folder) for folder in folders]
    return [card for card in found if card != ParentCard()]


def hub_ids(ref: str) -> list[str]:
    """Return the repositories of the hub that a parent's id names, without revisions."""
    return [name.partition("@")[0] for name in ids_in(ref) if is_id(name)]


def _of_gguf(path: Path) -> ParentCard:
    fields = read_gguf_header(path).fields
    return _card(fields.get("general.license"), fields.get("general.languages"))


def _of_folder(folder: Path) -> ParentCard:
    file = folder / CARD
    block = _BLOCK.match(file.read_text("utf-8", "replace")) if file.is_file() else None
    if block is None:
        return ParentCard()
    try:
        document = read_document(block[1], CheckpointError, file)
    except CheckpointError:
        return ParentCard()  # a card is for people; a damaged one stops no build
    if not isinstance(document, dict):
        return ParentCard()
    return _card(document.get("license"), document.get("language"))


def _card(license: Any, languages: Any) -> ParentCard:
    codes = [languages] if isinstance(languages, str) else languages
    named = [code for code in codes if isinstance(code, str)] if isinstance(codes, list) else []
    return ParentCard(license if isinstance(license, str) else "", tuple(named))
