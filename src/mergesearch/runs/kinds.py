"""Telling files apart: a file of another kind is answered with the command that takes it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mergesearch._system.files import read_text
from mergesearch.errors import InputError, MergeSearchError
from mergesearch.recipe import load_document
from mergesearch.recipe.parse import OTHER_TOOLS
from mergesearch.runs.folder import RunFolder

_TEXT_BYTES = 1 << 20  # no file of ours is larger


class Kind(enum.StrEnum):
    """A kind of file or folder, as it is called in a message."""

    SPACE = "a space"
    RECIPE = "a recipe"
    OBJECTIVES = "an objectives file"
    EVOLVE = "a file for mergekit-evolve"
    MOE = "a file for mergekit-moe"
    GGUF = "a GGUF file"
    RUN = "a run folder"
    ADAPTER = "a LoRA adapter"
    MODEL = "a model folder"
    WEIGHTS = "a safetensors file"
    ARCHIVE = "an archive"
    NOTEBOOK = "a notebook"
    TASK = "a file of tasks"
    OF_RUN = "a file of a run"


_COMMANDS = {
    Kind.SPACE: "search run {} --objectives FILE",
    Kind.RECIPE: "search build {0} --out model.gguf, or search init --from {0} for a space",
    Kind.OBJECTIVES: "search run SPACE --objectives {}",
    Kind.EVOLVE: "search init --from {}",
    Kind.MOE: "build the mixture with mergekit-moe, and name its folder in a recipe: model: FOLDER",
    Kind.GGUF: "search score {} --objectives FILE",
    Kind.RUN: "search front {}",
    Kind.ADAPTER: "name it behind its base in a recipe or a space: model: BASE+{}",
    Kind.MODEL: "name it in a recipe or a space: model: {}",
    Kind.WEIGHTS: "name its folder in a recipe or a space: model: {1}",
    Kind.ARCHIVE: "unpack it, and name what is in it",
    Kind.NOTEBOOK: "copy the recipe, the space or the objectives in it into a file of their own",
    Kind.TASK: "name its folder in an objectives file: task_folder: {1}",
    Kind.OF_RUN: "search front {1}",
}
"""What takes each kind: `{}` or `{0}` stands for the path, `{1}` for the folder it is in."""

_BEGINNINGS = (
    (0, b"GGUF", Kind.GGUF),
    (8, b'{"', Kind.WEIGHTS),
    (0, b"PK\x03\x04", Kind.ARCHIVE),
    (0, b"\x1f\x8b", Kind.ARCHIVE),
    (257, b"ustar", Kind.ARCHIVE),
)
"""Bytes by which files that are no text are known, with their place."""
_LONGEST_BEGINNING = 262
_OF_MERGES = {"merge_method", "models", "slices"}
"""Keys of which a recipe or a space has at least one."""
_OF_TOOL = {"mergekit-evolve": Kind.EVOLVE, "mergekit-moe": Kind.MOE}


def kind_of(path: Path) -> Kind | None:
    """Return what kind of file or folder a path is, None where it is none that we know."""
    if path.is_dir():
        return _kind_of_folder(path)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        beginning = file.read(_LONGEST_BEGINNING)
    for place, mark, kind in _BEGINNINGS:
        if beginning[place:].startswith(mark):
            return kind
    known = None if path.stat().st_size > _TEXT_BYTES else _kind_of_text(path)
    return known or (Kind.OF_RUN if _is_of_run(path) else None)


def _is_of_run(path: Path) -> bool:
    """Whether a run wrote a file, other than those of which a damaged one is to be told."""
    folder = RunFolder(path.parent)
    return folder.holds_run() and path not in (folder.space, folder.objectives)


def refuse_other(path: Path, *wanted: Kind) -> None:
    """Refuse what is known to be of another kind, with the command that takes it.

    Raises:
        InputError: The path is of a known kind that is not wanted.
    """
    kind = kind_of(path)
    if kind is not None and kind not in wanted:
        raise InputError(
            f"is {kind}",
            where=path,
            expected=" or ".join(wanted),
            fix=_COMMANDS[kind].format(path, path.parent),
        )


def refuse_all_but(path: Path, *wanted: Kind) -> None:
    """Refuse what is not of a kind that is wanted, whether its own is known or not.

    Raises:
        InputError: There is no such file, or it is something else.
    """
    refuse_other(path, *wanted)
    if kind_of(path) is None:
        expected = " or ".join(wanted)
        if path.is_file():
            raise InputError(f"is not {expected}", where=path)
        what = "is a folder, not a file" if path.is_dir() else "no such file"
        raise InputError(what, where=path, expected=expected)


def _kind_of_folder(path: Path) -> Kind | None:
    if RunFolder(path).holds_run():
        return Kind.RUN
    if (path / "adapter_config.json").is_file():
        return Kind.ADAPTER
    return Kind.MODEL if (path / "config.json").is_file() else None


def _kind_of_text(path: Path) -> Kind | None:
    try:
        return _kind_of_document(load_document(read_text(path), path))
    except MergeSearchError:
        return None


def _kind_of_document(document: Mapping[str, Any]) -> Kind | None:
    if isinstance(document.get("objectives"), Mapping):
        return Kind.OBJECTIVES
    for key, tool in OTHER_TOOLS.items():
        if key in document:
            return _OF_TOOL[tool]
    merges = not _OF_MERGES.isdisjoint(document)
    if "start_from" in document or (merges and _has_hole(document)):
        return Kind.SPACE
    keys = {"merge_method": Kind.RECIPE, "nbformat": Kind.NOTEBOOK, "dataset_path": Kind.TASK}
    return next((kind for key, kind in keys.items() if key in document), None)


def _has_hole(node: Any) -> bool:
    if isinstance(node, Mapping):
        return "search" in node or any(map(_has_hole, node.values()))
    return isinstance(node, list) and any(map(_has_hole, node))
