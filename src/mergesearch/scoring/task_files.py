"""Task YAMLs of our own: lm-eval's format, data beside the file, and no code but our checkers."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mergesearch.errors import ObjectivesError

ALLOWED_MODULES = ("mergesearch.checks",)
"""Modules whose functions a task YAML may name with `!function`."""


class _Loader(yaml.SafeLoader):
    """YAML with `!function package.module.name`."""


def _function(loader: yaml.SafeLoader, node: yaml.Node) -> Callable[..., Any]:
    name = str(node.value)
    module, _, attribute = name.rpartition(".")
    if module not in ALLOWED_MODULES:
        raise ObjectivesError(
            f"!function {name} is not allowed",
            where=loader.name,
            expected="a function of " + ", ".join(ALLOWED_MODULES),
        )
    function = getattr(importlib.import_module(module), attribute, None)
    if not callable(function):
        raise ObjectivesError(f"{module} has no function {attribute!r}", where=loader.name)
    return function


_Loader.add_constructor("!function", _function)


def read_tasks(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the configuration of every task YAML in a folder and below, by the task's name.

    Relative data files become absolute: they stand beside the YAML.

    Raises:
        ObjectivesError: not valid YAML, two tasks of one name, code that is not ours.
    """
    tasks: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*.yaml")):
        config = _read(path)
        if not isinstance(config, dict) or "task" not in config:
            continue
        name = str(config["task"])
        if name in tasks:
            raise ObjectivesError(f"a second task {name!r}", where=path)
        tasks[name] = _with_absolute_files(config, path.parent)
    return tasks


def _read(path: Path) -> Any:
    try:
        with path.open(encoding="utf-8") as file:
            return yaml.load(file, _Loader)
    except yaml.YAMLError as error:
        raise ObjectivesError(f"not valid YAML: {error}", where=path) from error


def _with_absolute_files(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    options = dict(config.get("dataset_kwargs") or {})
    if "data_files" in options:
        options["data_files"] = _absolute(options["data_files"], folder)
        config = {**config, "dataset_kwargs": options}
    return config


def _absolute(files: Any, folder: Path) -> Any:
    if isinstance(files, Mapping):
        return {split: _absolute(one, folder) for split, one in files.items()}
    if isinstance(files, list):
        return [_absolute(one, folder) for one in files]
    return str((folder / str(files)).resolve())


def local_rows(config: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]] | None:
    """Read the rows of a task whose data are JSON-lines files; None where they are not.

    Raises:
        ObjectivesError: a file is missing, or a line is not a JSON object.
    """
    options = config.get("dataset_kwargs") or {}
    files = options.get("data_files")
    if config.get("dataset_path") != "json" or set(options) != {"data_files"}:
        return None
    if not isinstance(files, Mapping):
        files = {"train": files}
    rows: dict[str, list[dict[str, Any]]] = {}
    for split, listed in files.items():
        paths = [Path(one) for one in (listed if isinstance(listed, list) else [listed])]
        if any(path.suffix != ".jsonl" for path in paths):
            return None
        rows[str(split)] = [row for path in paths for row in _read_lines(path, config["task"])]
    return rows


def _read_lines(path: Path, task: str) -> list[dict[str, Any]]:
    if not path.is_file():
        raise ObjectivesError(f"no data file {path}", where=task)
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ObjectivesError(f"not JSON: {error}", where=f"{path}:{number}") from error
        if not isinstance(row, dict):
            raise ObjectivesError("not a JSON object", where=f"{path}:{number}")
        rows.append(row)
    return rows
