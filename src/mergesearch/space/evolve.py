"""A file for `mergekit-evolve` as a space and as objectives.

What its genome searches (mergekit `evo/genome.py`): a weight per model, group of layers and filter,
a density for ties and dare_ties, `t` for slerp. Where it has a value for each group of layers we
have a curve over depth, since a search of some dozens of trials cannot learn dozens of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mergesearch.errors import SpaceError
from mergesearch.methods import METHODS
from mergesearch.space.holes import GROUP_FILTERS

PARAMETERS = {
    "linear": ("weight",),
    "task_arithmetic": ("weight",),
    "ties": ("weight", "density"),
    "dare_ties": ("weight", "density"),
    "slerp": ("t",),
}
CURVE = 4
_NORMALIZED = ("linear", "ties", "dare_ties")
_GENOME_KEYS = (
    "models",
    "merge_method",
    "base_model",
    "tokenizer_source",
    "layer_granularity",
    "normalize",
    "allow_negative_weights",
    "filters",
    "smooth",
)


def space_of(document: Mapping[str, Any], where: str | Path) -> dict[str, Any]:
    """Return the space that searches what a genome does.

    Raises:
        SpaceError: an unknown key, a method that mergekit-evolve does not search, or a filter
            that names no group of tensors.
    """
    genome = document.get("genome")
    if not isinstance(genome, dict) or not isinstance(genome.get("models"), list):
        raise SpaceError("`genome` has no list of models", where=where)
    for key in genome:
        if key not in _GENOME_KEYS:
            raise SpaceError(
                f"unknown key {key!r}", where=f"{where}: genome", expected=", ".join(_GENOME_KEYS)
            )
    method = genome.get("merge_method")
    if method not in PARAMETERS:
        raise SpaceError(
            f"merge_method {method!r}", where=f"{where}: genome", expected=", ".join(PARAMETERS)
        )
    holes = {one: _hole(one, genome, where) for one in PARAMETERS[method]}
    space: dict[str, Any] = {"merge_method": method}
    if genome.get("base_model") is not None:
        space["base_model"] = genome["base_model"]
    elif method == "slerp":
        space["base_model"] = genome["models"][0]
    of_merge: dict[str, Any] = {} if method != "slerp" else {"t": holes.pop("t")}
    space["models"] = [
        {"model": str(model)} | ({"parameters": dict(holes)} if holes else {})
        for model in genome["models"]
    ]
    if method != "slerp":
        normalize = genome.get("normalize")
        of_merge["normalize"] = method in _NORMALIZED if normalize is None else normalize
    space["parameters"] = of_merge
    if genome.get("tokenizer_source") is not None:
        space["tokenizer_source"] = genome["tokenizer_source"]
    return space


def _hole(parameter: str, genome: Mapping[str, Any], where: str | Path) -> dict[str, Any]:
    declared = METHODS[genome["merge_method"]].by_name[parameter]
    assert declared.search is not None
    low, high = declared.search
    if parameter == "weight" and genome.get("allow_negative_weights"):
        low = -high
    hole: dict[str, Any] = {"search": [low, high]}
    if genome.get("layer_granularity"):
        hole["curve"] = CURVE
    names = {substring: group for group, substring in GROUP_FILTERS.items()}
    filters = genome.get("filters") or []
    unknown = [one for one in filters if one not in names]
    if unknown:
        raise SpaceError(
            f"the filter {unknown[0]!r} is no group of tensors",
            where=f"{where}: genome",
            expected=", ".join(names),
        )
    if filters:
        hole["per"] = [names[one] for one in filters]
    return hole


def objectives_of(document: Mapping[str, Any], where: str | Path) -> dict[str, Any]:
    """Return objectives with one axis for each of the file's tasks.

    mergekit-evolve adds the tasks up with weights; here they are traded against each other, so
    that the weights have no place. Reference points are 0, to be raised to chance level where
    answers are picked.

    Raises:
        SpaceError: no tasks.
    """
    tasks = document.get("tasks")
    if not isinstance(tasks, list) or not tasks:
        raise SpaceError("`tasks` is no list of tasks", where=where)
    objectives: dict[str, Any] = {}
    for task in tasks:
        entry = {"name": task} if isinstance(task, str) else task
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise SpaceError(f"{task!r} is no task", where=where, expected="a name, or {name: ...}")
        use = {
            "task": entry["name"],
            "metric": str(entry.get("metric", "acc,none")).removesuffix(",none"),
        }
        if document.get("limit"):
            use["search_items"] = document["limit"]
        if document.get("num_fewshot") is not None:
            use["num_fewshot"] = document["num_fewshot"]
        objectives[entry["name"]] = {"tasks": [use], "reference": 0.0}
    return {
        "objectives": objectives,
        "apply_chat_template": bool(document.get("apply_chat_template", True)),
    }
