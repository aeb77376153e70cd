"""Task YAMLs of our own: lm-eval's format, data beside the file, and no code but our checkers."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from mergesearch._system.yaml_text import Loader, read_document
from mergesearch.errors import ObjectivesError

ALLOWED_MODULES = ("mergesearch.tasks.checks", "mergesearch.tasks.needle")
"""Modules whose functions a task YAML may name with `!function`; those of lm-eval's tasks too."""
_INSTALLED_TASKS = "lm_eval.tasks."
_FORMER_NAMES = {  # in people's task files
    "mergesearch.checks": "mergesearch.tasks.checks",
    "mergesearch.needle": "mergesearch.tasks.needle",
}


class _Loader(Loader):
    """YAML with `!function package.module.name` of our own modules."""

    trusted = False


class _TrustingLoader(_Loader):
    """YAML with `!function module.name` of any module, one beside the YAML before all others."""

    trusted = True


class _PlainLoader(Loader):
    """YAML whose functions stay names."""


def _function(loader: _Loader, node: yaml.Node) -> Callable[..., Any]:
    name = str(node.value)
    module, _, attribute = name.rpartition(".")
    module = _FORMER_NAMES.get(module, module)
    ours = module in ALLOWED_MODULES or module.startswith(_INSTALLED_TASKS)
    if not ours and not loader.trusted:
        raise ObjectivesError(
            f"!function {name} is not allowed: it runs code of its own",
            where=loader.name,
            expected=f"a function of {', '.join(ALLOWED_MODULES)} or {_INSTALLED_TASKS}...",
            fix="read that code, then pass --trust-tasks",
        )
    function = getattr(_module(module, Path(loader.name)), attribute, None)
    if not callable(function):
        raise ObjectivesError(f"{module} has no function {attribute!r}", where=loader.name)
    return function


def _module(name: str, yaml_file: Path) -> ModuleType:
    """Load a module: the file of that name beside the YAML, as lm-eval does, else an import."""
    path = yaml_file.parent.joinpath(*name.split(".")).with_suffix(".py")
    try:
        if name in ALLOWED_MODULES or not path.is_file():
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location(f"{yaml_file.parent.name}.{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except Exception as error:  # a module may raise anything
        raise ObjectivesError(
            f"{name} cannot be loaded ({type(error).__name__}: {error})", where=yaml_file
        ) from error
    return module


_Loader.add_constructor("!function", _function)
_PlainLoader.add_constructor("!function", lambda loader, node: str(node.value))


def read_tasks(folder: Path, *, trusted: bool = False) -> dict[str, dict[str, Any]]:
    """Return the configuration of every task YAML in a folder and below, by the task's name.

    Relative data files become absolute: they stand beside the YAML. Where the folder is `trusted`,
    its YAMLs may name functions of any module.

    Raises:
        ObjectivesError: Not valid YAML, two tasks of one name, code that is not ours.
    """
    tasks: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*.yaml")):
        config = _read(path, _TrustingLoader if trusted else _Loader)
        if not isinstance(config, dict) or "task" not in config:
            continue
        name = str(config["task"])
        if name in tasks:
            raise ObjectivesError(f"a second task {name!r}", where=path)
        tasks[name] = _with_absolute_files(config, path.parent)
    return tasks


def _read(path: Path, loader: type[Loader]) -> Any:
    return read_document(path.read_text(encoding="utf-8"), ObjectivesError, path, loader)


def _with_absolute_files(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    options = dict(config.get("dataset_kwargs") or {})
    if "data_files" in options:
        options["data_files"] = _absolute(options["data_files"], folder)
        config = {**config, "dataset_kwargs": options}
    return config


def _absolute(files: Any, folder: Path) -> Any:
    if isinstance(files, Mapping):
        return {split: _absolute(listed, folder) for split, listed in files.items()}
    if isinstance(files, list):
        return [_absolute(file, folder) for file in files]
    path = os.path.expandvars(str(files))
    if "$" in path:
        raise ObjectivesError(
            f"the environment variable in {files} is not set",
            where=folder,
            fix="set it to the folder with your data",
        )
    return str((folder / path).resolve())


def outside_data(folder: Path | None) -> str | None:
    """Return a SHA-256 (hex) of the data files that a task folder's tasks have outside it.

    None where there are none; the contents of the folder are part of the objectives' fingerprint.

    Raises:
        ObjectivesError: A YAML is not valid, a file is missing.
    """
    if folder is None:
        return None
    found: set[Path] = set()
    for path in sorted(folder.rglob("*.yaml")):
        config = _read(path, _PlainLoader)
        if isinstance(config, dict) and "task" in config:
            options = _with_absolute_files(config, path.parent).get("dataset_kwargs") or {}
            found |= set(_paths(options.get("data_files")))
    digest = hashlib.sha256()
    outside = sorted(path for path in found if not path.is_relative_to(folder.resolve()))
    for path in outside:
        if not path.is_file():
            raise ObjectivesError(f"no data file {path}", where=folder)
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest() if outside else None


def _paths(files: Any) -> list[Path]:
    if files is None:
        return []
    if isinstance(files, Mapping):
        return [path for listed in files.values() for path in _paths(listed)]
    return [Path(file) for file in (files if isinstance(files, list) else [files])]


def local_rows(config: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]] | None:
    """Read the rows of a task whose data are JSON-lines files; None where they are not.

    Raises:
        ObjectivesError: A file is missing, or a line is not a JSON object.
    """
    options = config.get("dataset_kwargs") or {}
    files = options.get("data_files")
    if config.get("dataset_path") != "json" or set(options) != {"data_files"}:
        return None
    if not isinstance(files, Mapping):
        files = {"train": files}
    rows: dict[str, list[dict[str, Any]]] = {}
    for split, listed in files.items():
        paths = _paths(listed)
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
