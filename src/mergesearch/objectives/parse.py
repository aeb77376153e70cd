"""From an objectives file's document to its records, checked key by key."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Required, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict  # pydantic cannot use that of `typing` in Python 3.11

from mergesearch._system.alike import did_you_mean
from mergesearch._system.documents import described, joined, shown
from mergesearch.errors import ObjectivesError
from mergesearch.objectives.types import (
    Day,
    Direction,
    Number,
    Objective,
    ProxyKind,
    Runtime,
    Switch,
    TaskUse,
    Text,
    Thinking,
    Whole,
)

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
_FILE = "objectives file"


@with_config(ConfigDict(extra="forbid"))
class _Entry(TypedDict, total=False):
    """One objective, as it is in the file under its name."""

    tasks: Required[Annotated[tuple[TaskUse, ...], Field(min_length=1)]]
    direction: Direction
    reference: Annotated[Number, Field(ge=-1e12, le=1e12)]
    proxy: ProxyKind | None
    specialist: Text | None


@with_config(ConfigDict(extra="forbid"))
class _Document(TypedDict, total=False):
    """The whole file."""

    objectives: Required[Annotated[dict[Text, _Entry], Field(min_length=1)]]
    runtime: Runtime
    apply_chat_template: Switch
    system_instruction: Text | None
    date: Day
    thinking: Thinking | None
    task_folder: Text | None
    split_seed: Annotated[Whole, Field(lt=1 << 63)]
    max_unscored: Annotated[Number, Field(ge=0, le=1)]
    keep_texts: Switch


DOCUMENT = TypeAdapter(_Document)
"""Keys of an objectives file, with the types and ranges of their values."""
ENTRY = TypeAdapter(_Entry)
"""Keys of one objective in it."""


def parse_document(document: Any, folder: Path) -> dict[str, Any]:
    """Return what `Objectives` is made of; a relative `task_folder` starts at `folder`.

    Raises:
        ObjectivesError: An unknown key, a missing or impossible value.
    """
    try:
        parsed: dict[str, Any] = {**DOCUMENT.validate_python(document)}
    except ValidationError as error:
        raise _explained(error.errors(include_url=False)) from error
    objectives = tuple(_objective(*entry) for entry in parsed["objectives"].items())
    _check_shared_tasks(objectives)
    _check_runtime(parsed.get("runtime", Runtime()))
    task_folder = _task_folder(parsed.get("task_folder"), folder)
    return {**parsed, "objectives": objectives, "task_folder": task_folder}


def _objective(name: str, entry: _Entry) -> Objective:
    if not name or not name.isprintable():
        raise ObjectivesError(
            f"the name {shown(name)} cannot be printed in one line",
            where="objectives",
            expected="letters, digits, spaces and signs",
        )
    objective = Objective(
        name,
        entry["tasks"],
        entry.get("direction", "maximize"),
        _reference(name, entry),
        entry.get("proxy"),
        entry.get("specialist"),
    )
    if objective.specialist is not None and objective.proxy is None:
        raise ObjectivesError(
            "`specialist` has no effect without `proxy`", where=f"objectives.{name}"
        )
    for use in objective.uses:
        if use.trial_items is not None and use.trial_items > use.search_items:
            raise ObjectivesError(
                f"trial_items {use.trial_items} is more than there are",
                where=f"objectives.{name}.{use.task}",
                expected=f"at most search_items, {use.search_items}",
            )
    if objective.proxy is not None and objective.direction == "minimize":
        raise ObjectivesError(
            "a likelihood can only be a proxy of a metric that is maximized",
            where=f"objectives.{name}.proxy",
        )
    return objective


def _reference(name: str, entry: _Entry) -> float:
    """The written reference, else chance level: 0 for produced answers and where `chance` is."""
    if "reference" in entry:
        return float(entry["reference"])
    uses = entry["tasks"]
    known = [use.chance is not None or use.metric.split(",")[0] in _PRODUCED for use in uses]
    if entry.get("direction") != "minimize" and all(known):
        return 0.0
    raise ObjectivesError(
        "needs `reference`, the worst value that still counts for the hypervolume",
        where=f"objectives.{name}",
    )


def _check_shared_tasks(objectives: Sequence[Objective]) -> None:
    """A task is run once, so all its uses must want the same items and requests of it."""
    seen: dict[str, tuple[Any, ...]] = {}
    for objective in objectives:
        for use in objective.uses:
            items = (use.search_items, use.trial_items, use.validate_items)
            wanted = (*items, use.num_fewshot, objective.proxy)
            if seen.setdefault(use.task, wanted) != wanted:
                raise ObjectivesError(
                    "two uses of this task differ in search_items, trial_items, validate_items, "
                    "num_fewshot or proxy",
                    where=f"objectives.{objective.name}.{use.task}",
                )


def _check_runtime(runtime: Runtime) -> None:
    if runtime.kv_type == "q8_0" and not runtime.flash_attention:
        raise ObjectivesError(
            "llama.cpp quantizes the KV cache only with flash attention",
            where="runtime.kv_type",
            fix="set flash_attention: true beside kv_type: q8_0",
        )


def _task_folder(named: str | None, folder: Path) -> Path | None:
    if named is None:
        return None
    path = folder / named
    if not os.path.isdir(path):  # which, unlike Path's, takes a name that no file can have
        raise ObjectivesError(f"no folder {path}", where="task_folder")
    return path.resolve()


# -- what is wrong with a document -----------------------------------------------------------------

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def _explained(problems: Sequence[ErrorDetails]) -> ObjectivesError:
    """The error of a document's first problem; an unknown key comes before what it leaves open."""
    problem = min(problems, key=lambda problem: problem["type"] not in _UNKNOWN)
    path = problem["loc"]
    if problem["type"] in _UNKNOWN:
        return _unknown_key(str(path[-1]), path[:-1])
    found = described(problem)
    return ObjectivesError(found.what, where=found.place or _FILE, expected=found.expected)


def _unknown_key(key: str, path: tuple[str | int, ...]) -> ObjectivesError:
    known = _keys_at(path)
    return ObjectivesError(
        f"unknown key {key!r}",
        where=joined(path) or _FILE,
        expected=", ".join(known),
        fix=did_you_mean(key, known),
    )


def _keys_at(path: tuple[str | int, ...]) -> list[str]:
    match path:
        case ():
            return list(get_type_hints(_Document))
        case ("runtime",):
            return [field.name for field in fields(Runtime)]
        case ("thinking",):
            return [field.name for field in fields(Thinking)]
        case ("objectives", _):
            return list(get_type_hints(_Entry))
        case _:
            return [field.name for field in fields(TaskUse)]
