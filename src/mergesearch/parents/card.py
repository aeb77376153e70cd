"""What a parent says of itself: license, languages and origin, from its files' metadata."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergesearch._system.documents import read_json_object
from mergesearch._system.resources import expanded
from mergesearch._system.yaml_text import read_document
from mergesearch.errors import CheckpointError
from mergesearch.gguf.header import read_gguf_header
from mergesearch.parents.hub import is_id
from mergesearch.parents.opening import ids_in, is_place
from mergesearch.parents.parent import StoredCheckpoint
from mergesearch.recipe.references import ADAPTER, escaped, unescaped

CARD = "README.md"
_HUB = "https://huggingface.co/"
_CACHED = re.compile(r"models--(.+?)--([^/]+)/snapshots/([0-9a-f]{40})/?$")
_ORIGINS = {"config.json": "_name_or_path", "adapter_config.json": "base_model_name_or_path"}
"""Key of each file of a folder that may name a repository of the hub."""
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
    return [name.partition("@")[0] for name in ids_in(ref) if is_id(name) and not is_place(name)]


def origins(ref: str, parent: StoredCheckpoint) -> list[str]:
    """Return the repositories of the hub that a parent is, or says that it comes from.

    A folder says it by its place in the hub's cache, in its config or on its card; a GGUF in its
    metadata.
    """
    named = hub_ids(ref)
    if len(named) == sum(ADAPTER not in name for name in ids_in(ref)):
        return named
    files = list(parent.files.values())
    said = [_origin_of_gguf(path) for path in files if path.suffix == ".gguf"]
    folders = dict.fromkeys(path.parent for path in files if path.suffix != ".gguf")
    said += [_origin_of_folder(folder) for folder in folders]
    return list(dict.fromkeys([*named, *(name for names in said for name in names)]))


def public_name(ref: str) -> str:
    """Return a parent's id without the place that it has on this machine.

    A path is told by its last part; in the hub's cache, by repository and commit.
    """
    if not is_place(ref):
        return ref
    path = Path(os.path.abspath(expanded(unescaped(ref))))
    if ADAPTER in ref and not path.exists():
        base, _, adapter = ref.rpartition(ADAPTER)
        return public_name(base) + ADAPTER + public_name(adapter)
    cached = _CACHED.search(str(path))
    return "{}/{}@{}".format(*cached.groups()) if cached else escaped(path.name)


def _of_gguf(path: Path) -> ParentCard:
    fields = read_gguf_header(path).fields
    return _card(fields.get("general.license"), fields.get("general.languages"))


def _origin_of_gguf(path: Path) -> list[str]:
    fields = read_gguf_header(path).fields
    urls = [fields.get(key) for key in ("general.repo_url", "general.source.repo_url")]
    return _hub_names([url.removeprefix(_HUB) for url in urls if isinstance(url, str)])[:1]


def _of_folder(folder: Path) -> ParentCard:
    metadata = _metadata(folder)
    return _card(metadata.get("license"), metadata.get("language"))


def _origin_of_folder(folder: Path) -> list[str]:
    cached = _CACHED.search(str(folder))
    if cached:
        return [f"{cached[1]}/{cached[2]}"]
    for name, key in _ORIGINS.items():
        if (folder / name).is_file():
            found = _hub_names(read_json_object(folder / name, CheckpointError).get(key))
            if found:
                return found
    return _hub_names(_metadata(folder).get("base_model"))


def _hub_names(value: Any) -> list[str]:
    names = value if isinstance(value, list) else [value]
    return [id for name in names if isinstance(name, str) for id in hub_ids(name)]


def _metadata(folder: Path) -> dict[str, Any]:
    """The metadata of a folder's card; a card is for people, so a damaged one stops no build."""
    file = folder / CARD
    block = _BLOCK.match(file.read_text("utf-8", "replace")) if file.is_file() else None
    if block is None:
        return {}
    try:
        document = read_document(block[1], CheckpointError, file)
    except CheckpointError:
        return {}
    return document if isinstance(document, dict) else {}


def _card(license: Any, languages: Any) -> ParentCard:
    codes = [languages] if isinstance(languages, str) else languages
    named = [code for code in codes if isinstance(code, str)] if isinstance(codes, list) else []
    return ParentCard(license if isinstance(license, str) else "", tuple(named))
