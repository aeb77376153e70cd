"""Names of models in recipes: mergekit's mappings as the one string that the program knows them by.

mergekit reads `PATH@REVISION+ADAPTER`, or a mapping (`mergekit/common.py`, `ModelReference`), which
can also name paths with a `+` or `@` in them. In our strings these are written `%2B` and `%40`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mergesearch.recipe.reading import Location, checked_keys, string_of

ADAPTER = "+"
"""Stands between a parent and the adapter on it, as in mergekit's recipes."""
REFERRING = ("model", "base_model", "tokenizer_source", "context_source", "source")
"""Keys whose values name a parent or a stage."""

_REVISION = "@"
_ESCAPES = {ADAPTER: "%2B", _REVISION: "%40"}


def escaped(path: str) -> str:
    """Return the part of a reference that stands for a path."""
    for character, code in _ESCAPES.items():
        path = path.replace(character, code)
    return path


def unescaped(ref: str) -> str:
    """Return the path that a part of a reference stands for."""
    for character, code in _ESCAPES.items():
        ref = ref.replace(code, character)
    return ref


def references(document: Any) -> list[str]:
    """Return every parent or stage that a document names, in holes of a space too."""
    found: list[str] = []

    def note(ref: Any) -> Any:
        if isinstance(ref, str):
            found.append(ref)
        return ref

    _mapped(document, note)
    return found


def renamed(document: Any, names: Mapping[str, str]) -> Any:
    """Return a document whose parents and stages are called what `names` says, where it does."""
    return _mapped(document, lambda ref: names.get(ref, ref) if isinstance(ref, str) else ref)


def with_plain_references(document: Any, location: Location) -> Any:
    """Return a document whose models are all named by strings.

    Raises:
        RecipeError: A mapping names a model in a way that mergekit does not know.
    """
    return _mapped(document, lambda value: _plain(value, location) if _is_mapping(value) else value)


def with_mergekit_references(document: Any) -> Any:
    """Return a document that mergekit reads: a model whose path has a `+` or `@` as a mapping."""
    return _mapped(document, _mergekit_reference)


def _mapped(node: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of a document with every reference changed, choices of a hole too."""
    if isinstance(node, list):
        return [_mapped(entry, change) for entry in node]
    if not isinstance(node, Mapping):
        return node
    return {
        key: _referred(value, change) if key in REFERRING else _mapped(value, change)
        for key, value in node.items()
    }


def _referred(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value of a key that refers to a model: a reference, a hole with some, or a mapping."""
    if isinstance(value, Mapping) and isinstance(value.get("search"), list):
        return {**value, "search": [change(choice) for choice in value["search"]]}
    changed = change(value)
    return changed if changed is not value else _mapped(value, change)


def _is_mapping(value: Any) -> bool:
    """Whether a value names a model as a mapping."""
    return isinstance(value, Mapping) and "kind" not in value and bool({"model", "path"} & {*value})


def _plain(value: Mapping[str, Any], location: Location) -> str:
    """The string that stands for a mapping."""
    if "path" in value:
        return _plain_path(value, location)
    checked_keys(value, ("model", "lora", "override_architecture"), location)
    if value.get("override_architecture") is not None:
        raise location.error(
            "`override_architecture` is not supported",
            expected="the architecture in the model's own `config.json`",
        )
    model, adapter = _plain_path(value["model"], location), value.get("lora")
    return model if adapter is None else model + ADAPTER + _plain_path(adapter, location)


def _plain_path(value: Any, location: Location) -> str:
    """The string that stands for a path with its revision."""
    if isinstance(value, str) and value:
        return value
    keys = checked_keys(value, ("path", "revision"), location)
    path, revision = string_of(keys, "path", location), string_of(keys, "revision", location)
    if path is None:
        raise location.error("a model needs `path`")
    return escaped(path) if revision is None else escaped(path) + _REVISION + revision


def _mergekit_reference(value: Any) -> Any:
    """What mergekit reads for a string of ours."""
    if not isinstance(value, str) or not any(code in value for code in _ESCAPES.values()):
        return value
    model, _, adapter = value.partition(ADAPTER)
    document: dict[str, Any] = {"model": _path_document(model)}
    return document | ({"lora": _path_document(adapter)} if adapter else {})


def _path_document(ref: str) -> dict[str, str]:
    path, _, revision = ref.partition(_REVISION)
    return {"path": unescaped(path)} | ({"revision": revision} if revision else {})
