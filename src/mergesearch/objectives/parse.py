"""An objectives file's document, checked key by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from mergesearch.errors import ObjectivesError
from mergesearch.objectives.types import Objective, Runtime, TaskUse

# Accuracies of answers that are produced, not picked: chance is zero.
_PRODUCED = {
    "exact",
    "exact_match",
    "prompt_strict",
    "instruction_strict",
    "prompt_level_strict_acc",
    "prompt_level_loose_acc",
    "inst_level_strict_acc",
    "inst_level_loose_acc",
}
_SCALARS = {
    "apply_chat_template": "bool",
    "system_instruction": "str | None",
    "split_seed": "int",
    "max_unscored": "float",
    "keep_texts": "bool",
}
_TOP_KEYS = {"objectives", "runtime", "task_folder", *_SCALARS}
_OBJECTIVE_KEYS = {"tasks", "direction", "reference", "proxy", "specialist"}


def parse_document(document: Any, folder: Path) -> dict[str, Any]:
    """Return what `Objectives` is made of; a relative `task_folder` starts at `folder`.

    Raises:
        ObjectivesError: an unknown key, a missing or impossible value.
    """
    top = _mapping(document, _TOP_KEYS, "objectives file")
    named = top.get("objectives")
    if not isinstance(named, dict) or not named:
        raise ObjectivesError("needs `objectives`, at least one by name", where="objectives file")
    scalars = {key: top[key] for key in _SCALARS if key in top}
    for key, value in scalars.items():
        _check_type(value, _SCALARS[key], key)
    runtime = _typed(Runtime, top.get("runtime", {}), "runtime")
    _check_runtime(runtime)
    objectives = tuple(_parse_objective(str(name), one) for name, one in named.items())
    _check_shared_tasks(objectives)
    task_folder = _task_folder(top.get("task_folder"), folder)
    return {"objectives": objectives, "runtime": runtime, "task_folder": task_folder, **scalars}


def objective_to_dict(objective: Objective) -> dict[str, Any]:
    """Return an objective as the file has it, under its name."""
    document: dict[str, Any] = {
        "direction": objective.direction,
        "reference": objective.reference,
        "tasks": [_use_to_dict(use) for use in objective.uses],
    }
    for key in ("proxy", "specialist"):
        if getattr(objective, key) is not None:
            document[key] = getattr(objective, key)
    return document


def _use_to_dict(use: TaskUse) -> dict[str, Any]:
    document = asdict(use)
    if use.chance is None:
        del document["chance"]
    return document


def _mapping(value: Any, allowed: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ObjectivesError("not a mapping", where=where, expected=", ".join(sorted(allowed)))
    for key in value:
        if key not in allowed:
            raise ObjectivesError(
                f"unknown key {key!r}", where=where, expected=", ".join(sorted(allowed))
            )
    return value


def _typed(cls: type[Any], value: Any, where: str) -> Any:
    """Build a flat dataclass from a mapping, checking keys and the types of the values."""
    known = {one.name: str(one.type) for one in fields(cls)}
    document = _mapping(value, set(known), where)
    for key, one in document.items():
        _check_type(one, known[key], f"{where}.{key}")
    try:
        return cls(**document)
    except TypeError as error:
        raise ObjectivesError(f"{error}", where=where) from error


def _check_type(value: Any, annotation: str, where: str) -> None:
    kinds: dict[str, type | tuple[type, ...]] = {
        "int": int,
        "float": (int, float),
        "str": str,
        "bool": bool,
        "None": type(None),
    }
    names = [one.strip() for one in annotation.split("|")]
    right = any(isinstance(value, kinds[one]) for one in names)
    if isinstance(value, bool) and "bool" not in names:
        right = False
    if not right:
        raise ObjectivesError(f"{value!r} is not {' or '.join(names)}", where=where)


def _check_runtime(runtime: Runtime) -> None:
    for name in ("n_ctx", "n_parallel", "n_batch", "chunk_items"):
        if getattr(runtime, name) < 1:
            raise ObjectivesError("must be at least 1", where=f"runtime.{name}")
    if runtime.kv_type not in ("f16", "f32", "q8_0"):
        raise ObjectivesError(
            f"unknown kv_type {runtime.kv_type!r}", where="runtime", expected="f16, f32 or q8_0"
        )
    if runtime.kv_type == "q8_0" and not runtime.flash_attention:
        raise ObjectivesError(
            "llama.cpp quantizes the KV cache for flash attention only",
            where="runtime.kv_type",
            fix="set flash_attention: true beside kv_type: q8_0",
        )


def _task_folder(value: Any, folder: Path) -> Path | None:
    if value is None:
        return None
    path = (folder / str(value)).resolve()
    if not path.is_dir():
        raise ObjectivesError(f"no folder {path}", where="task_folder")
    return path


def _parse_objective(name: str, document: Any) -> Objective:
    keys = _mapping(document, _OBJECTIVE_KEYS, name)
    listed = keys.get("tasks")
    if not isinstance(listed, list) or not listed:
        raise ObjectivesError("needs `tasks`, a list with at least one entry", where=name)
    uses = tuple(_typed(TaskUse, one, f"{name}.tasks.{i}") for i, one in enumerate(listed))
    for use in uses:
        _check_use(use, f"{name}.{use.task}")
    direction = keys.get("direction", "maximize")
    if direction not in ("maximize", "minimize"):
        raise ObjectivesError(
            f"unknown direction {direction!r}", where=name, expected="maximize or minimize"
        )
    reference = _reference(name, keys, uses, direction)
    proxy, specialist = _proxy(name, keys, direction)
    return Objective(name, uses, direction, reference, proxy, specialist)


def _check_use(use: TaskUse, where: str) -> None:
    if use.weight <= 0 or use.search_items < 2 or use.validate_items < 2:
        raise ObjectivesError(
            "weight must be positive and both numbers of items at least 2", where=where
        )
    if use.chance is not None and not 0 <= use.chance < 1:
        raise ObjectivesError(
            f"chance {use.chance} is no level of guessing", where=where, expected="0 to below 1"
        )


def _proxy(name: str, keys: Mapping[str, Any], direction: str) -> tuple[str | None, str | None]:
    proxy, specialist = keys.get("proxy"), keys.get("specialist")
    if proxy not in (None, "likelihood"):
        raise ObjectivesError(f"unknown proxy {proxy!r}", where=name, expected="likelihood")
    _check_type(specialist, "str | None", f"{name}.specialist")
    if specialist is not None and proxy is None:
        raise ObjectivesError("a specialist is for a proxy, and there is none", where=name)
    if proxy is not None and direction == "minimize":
        raise ObjectivesError(
            "a likelihood stands for a metric that is to be maximized", where=f"{name}.proxy"
        )
    return proxy, specialist


def _check_shared_tasks(objectives: Sequence[Objective]) -> None:
    """A task is run once, so all its uses must want the same items and requests of it."""
    seen: dict[str, tuple[Any, ...]] = {}
    for one in objectives:
        for use in one.uses:
            wanted = (use.search_items, use.validate_items, use.num_fewshot, one.proxy)
            if seen.setdefault(use.task, wanted) != wanted:
                raise ObjectivesError(
                    "two uses of this task differ in search_items, validate_items, num_fewshot "
                    "or proxy",
                    where=f"{one.name}.{use.task}",
                )


def _reference(
    name: str, keys: Mapping[str, Any], uses: Sequence[TaskUse], direction: str
) -> float:
    """The written reference, else chance level: 0 for produced answers and where `chance` is."""
    if "reference" in keys:
        _check_type(keys["reference"], "float", f"{name}.reference")
        return float(keys["reference"])
    known = [use.chance is not None or use.metric.split(",")[0] in _PRODUCED for use in uses]
    if direction == "maximize" and all(known):
        return 0.0
    raise ObjectivesError(
        "needs `reference`, the worst value that still counts for the hypervolume", where=name
    )
