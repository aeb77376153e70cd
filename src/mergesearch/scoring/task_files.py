"""Task YAMLs of our own: lm-eval's format, data beside the file, and no code but our checkers."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from mergesearch._system.documents import parse_json, shown
from mergesearch._system.files import read_text
from mergesearch._system.yaml_text import Loader, read_document
from mergesearch.errors import ObjectivesError

ALLOWED_MODULES = ("mergesearch.tasks.checks", "mergesearch.tasks.needle")
"""Modules whose functions a task YAML may name with `!function`; those of lm-eval's tasks too."""
_INSTALLED_TASKS = "lm_eval.tasks."
_FORMER_NAMES = {  # modules that people's task files may still name
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


@dataclass(frozen=True)
class TaskFiles:
    """What the YAMLs of a task folder define.

    Attributes:
        tasks: Configuration of each task by its name.
        groups: Configuration of each group by its name; its `task` lists the members.
        tags: Names of the tasks that have a tag, by the tag.
    """

    tasks: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    groups: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    tags: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Everything that an objectives file can name."""
        return [*self.tasks, *self.groups, *self.tags]


def read_tasks(folder: Path, *, trusted: bool = False) -> TaskFiles:
    """Return what the task YAMLs in a folder and below define, as lm-eval reads them.

    A YAML may `include` others, define several tasks in a `task_list`, or be a group. Relative data
    files become absolute: they stand beside the YAML that names them. Where the folder is
    `trusted`, its YAMLs may name functions of any module.

    Raises:
        ObjectivesError: Not valid YAML, two tasks or groups of one name, an include that is not
            there or goes in a circle, code that is not ours.
    """
    tasks: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[str, Any]] = {}
    tags: dict[str, list[str]] = {}
    for path in _yaml_files(folder):
        for config in _definitions(path, _TrustingLoader if trusted else _Loader, set()):
            is_group = isinstance(config.get("task"), list)
            name = str(config["group" if is_group else "task"])
            if name in tasks or name in groups:
                raise ObjectivesError(f"a second task {name!r}", where=path)
            if is_group:
                groups[name] = config
                continue
            tasks[name] = config
            for tag in (*_listed(config.get("tag")), *_listed(config.get("group"))):
                tags.setdefault(str(tag), []).append(name)
    return TaskFiles(tasks, groups, tags)


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.yaml"))


def _definitions(path: Path, loader: type[Loader], included: set[Path]) -> list[dict[str, Any]]:
    """The tasks and groups of a YAML; none where it is only there to be included.

    Args:
        included: Set to which the YAMLs that it includes are added.
    """
    config = _with_includes(path, loader, (), included)
    listed = _listed(config.pop("task_list", None))
    if not listed:
        defined = "group" in config if isinstance(config.get("task"), list) else "task" in config
        return [config] if defined else []
    if not all(isinstance(entry, dict) and "task" in entry for entry in listed):
        raise ObjectivesError("`task_list` is not a list of tasks", where=path)
    return [config | _with_absolute_files(entry, path.parent) for entry in listed]


def _with_includes(
    path: Path, loader: type[Loader], above: tuple[Path, ...], included: set[Path]
) -> dict[str, Any]:
    """A YAML over what it includes: its own keys come first, then those of later includes."""
    if path in above:
        raise ObjectivesError("a YAML includes itself", where=path)
    if not path.is_file():
        raise ObjectivesError("no such file to include", where=path)
    config = read_document(read_text(path), ObjectivesError, path, loader)
    if not isinstance(config, dict):
        return {}
    merged: dict[str, Any] = {}
    for include in _listed(config.pop("include", None)):
        place = (path.parent / str(include)).resolve()
        included.add(place)
        inner = _with_includes(place, loader, (*above, path), included)
        inner.pop("task_list", None)
        merged |= inner
    return merged | _with_absolute_files(config, path.parent)


def _listed(value: Any) -> list[Any]:
    """A value that may be a list, as one."""
    return [] if value is None else value if isinstance(value, list) else [value]


def _with_absolute_files(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A configuration, those of a group's members in it too, with absolute data files."""
    options = dict(config.get("dataset_kwargs") or {})
    if "data_files" in options:
        options["data_files"] = _absolute(options["data_files"], folder)
        config = {**config, "dataset_kwargs": options}
    if isinstance(config.get("task"), list):
        members = [
            _with_absolute_files(member, folder) if isinstance(member, dict) else member
            for member in config["task"]
        ]
        config = {**config, "task": members}
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
    """Return a SHA-256 (hex) of the files outside a task folder that its tasks are made of.

    They are data, and YAMLs that are included. None where there are none; the contents of the
    folder are part of the objectives' fingerprint.

    Raises:
        ObjectivesError: A YAML is not valid, a file is missing.
    """
    if folder is None:
        return None
    found: set[Path] = set()
    for path in _yaml_files(folder):
        for config in _definitions(path, _PlainLoader, found):
            found |= set(_data_files(config))
    digest = hashlib.sha256()
    outside = sorted(path for path in found if not path.is_relative_to(folder.resolve()))
    for path in outside:
        if not path.is_file():
            raise ObjectivesError(f"no data file {path}", where=folder)
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest() if outside else None


def _data_files(config: Mapping[str, Any]) -> list[Path]:
    """The data files of a task, or of all members of a group that are written in it."""
    members = config["task"] if isinstance(config.get("task"), list) else []
    inner = [path for member in members if isinstance(member, dict) for path in _data_files(member)]
    return inner + _paths((config.get("dataset_kwargs") or {}).get("data_files"))


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
        raise ObjectivesError(f"no data file {path} of {task}")
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = parse_json(line.encode(), "", ObjectivesError)
        except ObjectivesError as error:
            raise ObjectivesError(error.what, where=where) from error
        if not isinstance(row, dict):
            raise ObjectivesError(f"{shown(row)} is not a JSON object", where=where)
        rows.append(row)
    return rows
