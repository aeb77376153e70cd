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
from mergesearch.recipe.reading import Location, checked_keys, choice_of
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
        SpaceError: An unknown key, a method that mergekit-evolve does not search, or a filter
            that names no group of tensors.
    """
    location = Location(str(where), SpaceError) / "genome"
    genome = checked_keys(document["genome"], _GENOME_KEYS, location)
    if not isinstance(genome.get("models"), list):
        raise location.error("no list of `models`")
    method = choice_of(genome, "merge_method", tuple(PARAMETERS), None, location)
    holes = {name: _hole(method, name, genome, location) for name in PARAMETERS[method]}
    space: dict[str, Any] = {"merge_method": method}
    if genome.get("base_model") is not None:
        space["base_model"] = genome["base_model"]
    elif method == "slerp":
        space["base_model"] = genome["models"][0]
    shared: dict[str, Any] = {} if "t" not in holes else {"t": holes.pop("t")}
    space["models"] = [
        {"model": str(model)} | ({"parameters": dict(holes)} if holes else {})
        for model in genome["models"]
    ]
    if holes:
        normalize = genome.get("normalize")
        shared["normalize"] = method in _NORMALIZED if normalize is None else normalize
    space["parameters"] = shared
    if genome.get("tokenizer_source") is not None:
        space["tokenizer_source"] = genome["tokenizer_source"]
    return space


def _hole(method: str, name: str, genome: Mapping[str, Any], location: Location) -> dict[str, Any]:
    usual = METHODS[method].by_name[name].search
    assert usual is not None
    low, high = usual
    if name == "weight" and genome.get("allow_negative_weights"):
        low = -high
    hole: dict[str, Any] = {"search": [low, high]}
    if genome.get("layer_granularity"):
        hole["curve"] = CURVE
    groups = {substring: group for group, substring in GROUP_FILTERS.items()}
    filters = genome.get("filters") or []
    for substring in filters:
        if substring not in groups:
            raise location.error(
                f"the filter {substring!r} is not a group of tensors", expected=", ".join(groups)
            )
    if filters:
        hole["per"] = [groups[substring] for substring in filters]
    return hole


def objectives_of(document: Mapping[str, Any], where: str | Path) -> dict[str, Any]:
    """Return objectives with one axis for each of the file's tasks.

    mergekit-evolve adds the tasks up with weights; here they are traded against each other, so
    that the weights have no place. Reference points are 0, to be raised to chance level where
    answers are picked.

    Raises:
        SpaceError: No tasks.
    """
    tasks = document.get("tasks")
    if not isinstance(tasks, list) or not tasks:
        raise SpaceError("`tasks` is not a list of tasks", where=where)
    objectives: dict[str, Any] = {}
    for task in tasks:
        entry = {"name": task} if isinstance(task, str) else task
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise SpaceError(
                f"{task!r} is not a task", where=where, expected="a name, or {name: ...}"
            )
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
