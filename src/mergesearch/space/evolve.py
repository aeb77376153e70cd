"""A file for `mergekit-evolve` as a space and as objectives.

What its genome searches (mergekit `evo/genome.py`): a weight per model, group of layers and filter,
a density for ties and dare_ties, `t` for slerp. Where it has a value for each group of layers we
have a curve over depth, since a search of some dozens of trials cannot learn dozens of numbers. For
the same reason, where models are many, curves get shorter, densities one, and filters are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergesearch._system.yaml_text import as_written
from mergesearch.errors import SpaceError
from mergesearch.methods import METHODS, Parameter
from mergesearch.recipe.reading import Location, checked_keys, choice_of
from mergesearch.recipe.references import with_plain_references
from mergesearch.space.holes import GROUP_FILTERS
from mergesearch.space.ties import MOST

PARAMETERS = {
    "linear": ("weight",),
    "task_arithmetic": ("weight",),
    "ties": ("weight", "density"),
    "dare_ties": ("weight", "density"),
    "slerp": ("t",),
}
CURVE = 4
_LARGEST = {
    "bits_per_byte": 8.0,
    "byte_perplexity": 256.0,
    "perplexity": 1000.0,
    "word_perplexity": 1000.0,
    "ter": 100.0,
    "bleu": 100.0,
    "chrf": 100.0,
}
"""Largest values of metrics that are not between 0 and 1; of perplexities what still counts."""
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
        SpaceError: An unknown key, or a method that mergekit-evolve does not search.
    """
    location = Location(str(where), SpaceError) / "genome"
    genome = checked_keys(document["genome"], _GENOME_KEYS, location)
    models = genome.get("models")
    if not isinstance(models, list) or not models:
        raise location.error("no list of `models`")
    entries = with_plain_references([{"model": model} for model in models], location)
    method = choice_of(genome, "merge_method", tuple(PARAMETERS), None, location)
    names = PARAMETERS[method]
    shapes = _shapes(genome, location)
    few = (shape for shape in shapes if shape.dimensions(names, len(models)) <= MOST)
    shape = next(few, shapes[-1])
    space: dict[str, Any] = {"merge_method": method}
    if genome.get("base_model") is not None:
        space["base_model"] = with_plain_references(genome, location)["base_model"]
    elif method == "slerp":
        space["base_model"] = entries[0]["model"]
    for index, entry in enumerate(entries if method != "slerp" else []):
        entry["parameters"] = {
            name: shape.hole(METHODS[method].by_name[name], index, len(entries)) for name in names
        }
    space["models"] = entries
    space["parameters"] = (
        {"t": shape.hole(METHODS[method].by_name["t"], 0, 1)}
        if method == "slerp"
        else {"normalize": _normalize(genome, method)}
    )
    if genome.get("tokenizer_source") is not None:
        space["tokenizer_source"] = genome["tokenizer_source"]
    return space


def _normalize(genome: Mapping[str, Any], method: str) -> Any:
    normalize = genome.get("normalize")
    return method in _NORMALIZED if normalize is None else normalize


@dataclass(frozen=True)
class _Shape:
    """What a genome's parameters are searched by.

    Attributes:
        curve: Number of points over depth.
        filters: Substrings of tensors with values of their own.
        negative: Whether weights may be negative.
        one_density: Whether all models have one density.
        most: Number of weights; models beyond it share theirs.
    """

    curve: int
    filters: tuple[str, ...]
    negative: bool
    one_density: bool = False
    most: int = 1 << 30

    def dimensions(self, names: Sequence[str], models: int) -> int:
        """Return the number of dimensions of some parameters of some models."""
        numbers = self.curve * len(self.filters) + 1 if self.filters else self.curve
        if names == ("t",):
            return numbers
        own = [name for name in names if name == "weight" or not self.one_density]
        return len(own) * numbers * min(models, self.most) + len(names) - len(own)

    def hole(self, parameter: Parameter, model: int, models: int) -> Any:
        """Return what stands for a parameter of one of the models."""
        assert parameter.search is not None
        low, high = parameter.search
        number: dict[str, Any] = {"search": [low, high]}
        if parameter.name == "weight" and self.negative:
            number = {"search": [-high, high]}
        if parameter.name == "density" and self.one_density:
            return number | {"as": "density"}
        if models > self.most:
            return number | {"as": f"weight{model * self.most // models}"}
        curve = number | ({"curve": self.curve} if self.curve > 1 else {})
        groups = {substring: group for group, substring in GROUP_FILTERS.items()}
        if set(self.filters) <= set(groups):
            per = [groups[substring] for substring in self.filters]
            return curve | ({"per": per} if per else {})
        return [*({"filter": name, "value": curve} for name in self.filters), {"value": number}]


def _shapes(genome: Mapping[str, Any], location: Location) -> list[_Shape]:
    """Shapes from the finest to the coarsest."""
    filters = genome.get("filters") or []
    if not isinstance(filters, list) or not all(isinstance(name, str) for name in filters):
        raise location.error(f"`filters` {as_written(filters)} is not a list of strings")
    negative = bool(genome.get("allow_negative_weights"))
    curve = CURVE if genome.get("layer_granularity") else 1
    shapes = [
        _Shape(points, tuple(filters), negative, one_density)
        for points in dict.fromkeys((curve, min(curve, 2), 1))
        for one_density in (False, True)
    ]
    return [*shapes, _Shape(1, (), negative, True), _Shape(1, (), negative, True, MOST - 1)]


def objectives_from_tasks(document: Mapping[str, Any], where: str | Path) -> dict[str, Any]:
    """Return objectives with one axis for each of the file's tasks.

    mergekit-evolve adds the tasks up with weights; here they are traded against each other, and
    the weights count among the metrics of one task. What has a negative weight is minimized.

    Raises:
        SpaceError: No tasks, or something else than a task among them.
    """
    tasks = document.get("tasks")
    if not isinstance(tasks, list) or not tasks:
        raise SpaceError("`tasks` is not a list of tasks", where=where)
    uses = [use for task in tasks if (use := _use(task, document, where))["weight"]]
    opposed = {use["task"] for use in uses if use["weight"] < 0} & {
        use["task"] for use in uses if use["weight"] > 0
    }
    objectives: dict[str, Any] = {}
    for use in uses:
        minimized = use["weight"] < 0
        name = use["task"] + (f" {use['metric']}" if minimized and use["task"] in opposed else "")
        axis = objectives.setdefault(name, {"tasks": []})
        if minimized:
            axis["direction"] = "minimize"
        axis["tasks"].append(use | {"weight": abs(use["weight"])})
    for axis in objectives.values():
        axis["reference"] = _reference(axis["tasks"], axis.get("direction") == "minimize")
    return {
        "objectives": objectives,
        "apply_chat_template": bool(document.get("apply_chat_template", True)),
    }


def _use(task: Any, document: Mapping[str, Any], where: str | Path) -> dict[str, Any]:
    """One task of the file as a metric of an objective."""
    entry = {"name": task} if isinstance(task, str) else task
    name, weight = (
        (entry.get("name"), entry.get("weight", 1.0)) if isinstance(entry, dict) else ("", 1)
    )
    if not isinstance(name, str) or not name or not isinstance(weight, int | float):
        raise SpaceError(
            f"{as_written(task)} is not a task",
            where=where,
            expected="a name, or {name, weight, metric}",
        )
    metric = str(entry.get("metric", "acc,none")).removesuffix(",none")
    use: dict[str, Any] = {"task": name, "metric": metric, "weight": float(weight)}
    if document.get("limit"):
        use["search_items"] = document["limit"]
    if document.get("num_fewshot") is not None:
        use["num_fewshot"] = document["num_fewshot"]
    return use


def _reference(uses: Sequence[Mapping[str, Any]], minimized: bool) -> float:
    """The worst value of metrics that counts: 0 or the largest, as far as a metric has one."""
    if not minimized:
        return 0.0
    total = sum(use["weight"] for use in uses)
    worst = [use["weight"] * _LARGEST.get(use["metric"].partition(",")[0], 1.0) for use in uses]
    return float(sum(worst) / total)
