"""Objectives: which tasks are scored on which items, and how results become scores.

An objective is a weighted mean of task metrics. Its standard error is that of the weighted mean of
independent means: sqrt(sum((w_i / W)^2 * se_i^2)).
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from mergesearch.errors import ObjectivesError, ScoringError

Direction = Literal["maximize", "minimize"]
RUNGS = ("search", "validate")
"""The named sets of items: what the search sees, and what confirms its front."""

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


@dataclass(frozen=True)
class TaskUse:
    """One metric of one task inside an objective.

    Attributes:
        task: name of an installed lm-eval task, or of a YAML in the task folder.
        metric: one of the task's metrics; `name,filter` where the task has several filters.
        weight: of this metric in the objective's mean.
        search_items: how many items the search scores.
        validate_items: how many other items confirm the front.
        num_fewshot: examples before each item; None: the task's own number.
    """

    task: str
    metric: str
    weight: float = 1.0
    search_items: int = 128
    validate_items: int = 320
    num_fewshot: int | None = None


@dataclass(frozen=True)
class Objective:
    """One axis of the front; `reference` is its coordinate of the hypervolume's reference point."""

    name: str
    uses: tuple[TaskUse, ...]
    direction: Direction
    reference: float


@dataclass(frozen=True)
class Runtime:
    """How llama.cpp is run; part of the scoring fingerprint, since results depend on it.

    Attributes:
        n_ctx: tokens a sequence may have, prompt and answer together.
        n_parallel: sequences decoded together.
        n_batch: tokens of one call to llama.cpp.
        chunk_items: items scored between two clearings of the KV cache.
        threads: of llama.cpp; None: one per core. Results do not depend on it.
        n_gpu_layers: layers kept on a GPU; 0: none.
        flash_attention: on or off, never automatic.
        kv_type: of the KV cache: f16, f32 or q8_0.
    """

    n_ctx: int = 1024
    n_parallel: int = 32
    n_batch: int = 2048
    chunk_items: int = 64
    threads: int | None = None
    n_gpu_layers: int = 0
    flash_attention: bool = False
    kv_type: str = "f16"


@dataclass(frozen=True)
class ItemResult:
    """What one item gave.

    Attributes:
        task: the item's task.
        item: index of the item in the task's own order.
        metrics: value of each metric, empty where the item is unscored.
        unscored: why the item could not be scored, else None.
        tokens_in: prompt and choice tokens that were read.
        tokens_out: tokens that were generated.
        seconds: the item's part of its chunk's time.
        text: what was generated, None for log-likelihoods.
        cut: tokens cut from the left of the prompt because it exceeded the context.
    """

    task: str
    item: int
    metrics: Mapping[str, float]
    unscored: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    text: str | None = None
    cut: int = 0


@dataclass(frozen=True)
class MetricValue:
    """A task metric over the scored items, with its standard error."""

    value: float
    stderr: float


@dataclass(frozen=True)
class TaskResult:
    """All metrics and items of one task on one rung; `n` counts scored items."""

    task: str
    metrics: Mapping[str, MetricValue]
    n: int
    n_unscored: int
    items: tuple[ItemResult, ...] = ()


@dataclass(frozen=True)
class Score:
    """A measured objective: value, standard error, scored items, items that could not be scored."""

    value: float
    stderr: float
    n: int
    n_unscored: int


@dataclass(frozen=True)
class Objectives:
    """An objectives file.

    Attributes:
        objectives: the axes, in the order of the file.
        runtime: how llama.cpp is run.
        apply_chat_template: whether prompts go through the candidate's chat template.
        system_instruction: system message before each prompt.
        task_folder: absolute folder with task YAMLs of our own, None where all are lm-eval's.
        split_seed: seed of the division into search and validate items.
        max_unscored: share of a task's items that may be unscored before the trial fails.
    """

    objectives: tuple[Objective, ...]
    runtime: Runtime = field(default_factory=Runtime)
    apply_chat_template: bool = True
    system_instruction: str | None = None
    task_folder: Path | None = None
    split_seed: int = 0
    max_unscored: float = 0.05

    @classmethod
    def from_yaml(cls, text: str, folder: Path) -> Objectives:
        """Parse an objectives file; a relative `task_folder` starts at `folder`.

        Raises:
            ObjectivesError: not YAML, an unknown key, a missing or impossible value.
        """
        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ObjectivesError(f"not valid YAML: {error}", where="objectives") from error
        return _parse(document, folder)

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `from_yaml` reads back; the task folder is absolute."""
        document: dict[str, Any] = {
            "objectives": {one.name: _objective_to_dict(one) for one in self.objectives},
            "apply_chat_template": self.apply_chat_template,
            "split_seed": self.split_seed,
            "max_unscored": self.max_unscored,
            "runtime": asdict(self.runtime),
        }
        if self.system_instruction is not None:
            document["system_instruction"] = self.system_instruction
        if self.task_folder is not None:
            document["task_folder"] = str(self.task_folder)
        return document

    def to_yaml(self) -> str:
        """Return the file as YAML that `from_yaml` reads back to equal objectives."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def fingerprint(self) -> str:
        """Return a SHA-256 (hex) of everything in the file that scores depend on.

        The number of threads and where the task folder stands are left out, the contents of the
        task folder are not.
        """
        document = self.to_dict()
        document.pop("task_folder", None)
        document["runtime"].pop("threads")
        digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
        if self.task_folder is not None:
            for file in sorted(path for path in self.task_folder.rglob("*") if path.is_file()):
                digest.update(file.relative_to(self.task_folder).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def tasks(self) -> tuple[TaskUse, ...]:
        """Return one use of each distinct task, in order of appearance."""
        uses = (use for one in self.objectives for use in one.uses)
        return tuple({use.task: use for use in reversed(list(uses))}.values())[::-1]

    def directions(self) -> list[Direction]:
        """Return the direction of each objective."""
        return [one.direction for one in self.objectives]

    def differences(
        self, first: Mapping[str, TaskResult], second: Mapping[str, TaskResult]
    ) -> dict[str, Score]:
        """Return each objective's paired difference, first minus second, on their common items.

        The standard error is that of the mean of per-item differences; unscored items of either
        side are left out.

        Raises:
            ScoringError: a task has fewer than two common items.
        """
        return {one.name: _score(one, _paired(one, first, second)) for one in self.objectives}

    def scores(self, results: Mapping[str, TaskResult]) -> dict[str, Score]:
        """Return each objective's score from the results of all its tasks.

        Raises:
            ScoringError: more than `max_unscored` of a task's items could not be scored.
        """
        for result in results.values():
            _check_unscored(result, self.max_unscored)
        return {one.name: _score(one, results) for one in self.objectives}


def split_items(
    contents: Sequence[str], n_search: int, n_validate: int, seed: int
) -> tuple[list[int], list[int]]:
    """Divide items into disjoint search and validate sets by a seeded hash of their content.

    Items are ordered by SHA-256 of seed and content; the first `n_search` are search items, the
    next `n_validate` validate items. Of items with the same content only the first takes part, so
    that no validate item was seen in the search. A smaller `n_search` gives a subset.

    Args:
        contents: one text per item, in the task's order.
        n_search: number of search items.
        n_validate: number of validate items.
        seed: of the hash.

    Returns:
        Indices of both sets, each in the order of the hash.

    Raises:
        ObjectivesError: there are fewer distinct items than asked for.
    """
    distinct = {content: index for index, content in reversed(list(enumerate(contents)))}
    order = sorted(distinct, key=lambda one: hashlib.sha256(f"{seed}\0{one}".encode()).digest())
    wanted = n_search + n_validate
    if len(order) < wanted:
        raise ObjectivesError(
            f"{wanted} items are asked for, the task has {len(order)} distinct ones",
            fix="lower search_items or validate_items",
        )
    chosen = [distinct[one] for one in order[:wanted]]
    return chosen[:n_search], chosen[n_search:]


def _score(objective: Objective, results: Mapping[str, TaskResult]) -> Score:
    total = sum(use.weight for use in objective.uses)
    value, variance = 0.0, 0.0
    for use in objective.uses:
        metrics = results[use.task].metrics
        if use.metric not in metrics:
            raise ScoringError(
                f"no metric {use.metric!r}", where=use.task, expected=", ".join(sorted(metrics))
            )
        share = use.weight / total
        value += share * metrics[use.metric].value
        variance += (share * metrics[use.metric].stderr) ** 2
    used = [results[name] for name in dict.fromkeys(use.task for use in objective.uses)]
    return Score(
        value,
        math.sqrt(variance),
        sum(one.n for one in used),
        sum(one.n_unscored for one in used),
    )


def _paired(
    objective: Objective, first: Mapping[str, TaskResult], second: Mapping[str, TaskResult]
) -> dict[str, TaskResult]:
    """Task results whose values are mean per-item differences."""
    paired: dict[str, TaskResult] = {}
    for task in dict.fromkeys(use.task for use in objective.uses):
        other = {item.item: item for item in second[task].items if not item.unscored}
        pairs = [
            (item, other[item.item])
            for item in first[task].items
            if not item.unscored and item.item in other
        ]
        if len(pairs) < 2:
            raise ScoringError("fewer than two items that both scored", where=task)
        metrics: dict[str, MetricValue] = {}
        for name in pairs[0][0].metrics:
            gaps = [a.metrics[name] - b.metrics[name] for a, b in pairs]
            error = statistics.stdev(gaps) / math.sqrt(len(gaps))
            metrics[name] = MetricValue(statistics.fmean(gaps), error)
        lost = len(first[task].items) - len(pairs)
        paired[task] = TaskResult(task, metrics, len(pairs), lost)
    return paired


def _check_unscored(result: TaskResult, limit: float) -> None:
    total = result.n + result.n_unscored
    if total == 0 or result.n_unscored > limit * total:
        reasons = [one.unscored for one in result.items if one.unscored]
        raise ScoringError(
            f"{result.n_unscored} of {total} items could not be scored",
            where=result.task,
            expected=f"at most {limit:.0%}; the first reason: {(reasons or ['none given'])[0]}",
        )


_TOP_KEYS = {
    "objectives",
    "runtime",
    "apply_chat_template",
    "system_instruction",
    "task_folder",
    "split_seed",
    "max_unscored",
}
_OBJECTIVE_KEYS = {"tasks", "direction", "reference"}


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


def _parse(document: Any, folder: Path) -> Objectives:
    top = _mapping(document, _TOP_KEYS, "objectives file")
    named = top.get("objectives")
    if not isinstance(named, dict) or not named:
        raise ObjectivesError("needs `objectives`, at least one by name", where="objectives file")
    scalars = {
        key: top[key]
        for key in ("apply_chat_template", "system_instruction", "split_seed", "max_unscored")
        if key in top
    }
    annotations = {one.name: str(one.type) for one in fields(Objectives)}
    for key, value in scalars.items():
        _check_type(value, annotations[key], key)
    runtime = _typed(Runtime, top.get("runtime", {}), "runtime")
    _check_runtime(runtime)
    return Objectives(
        objectives=tuple(_parse_objective(str(name), one) for name, one in named.items()),
        runtime=runtime,
        task_folder=_task_folder(top.get("task_folder"), folder),
        **scalars,
    )


def _check_runtime(runtime: Runtime) -> None:
    for name in ("n_ctx", "n_parallel", "n_batch", "chunk_items"):
        if getattr(runtime, name) < 1:
            raise ObjectivesError("must be at least 1", where=f"runtime.{name}")
    if runtime.kv_type not in ("f16", "f32", "q8_0"):
        raise ObjectivesError(
            f"unknown kv_type {runtime.kv_type!r}", where="runtime", expected="f16, f32 or q8_0"
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
        if use.weight <= 0 or use.search_items < 2 or use.validate_items < 2:
            raise ObjectivesError(
                "weight must be positive and both numbers of items at least 2",
                where=f"{name}.{use.task}",
            )
    direction = keys.get("direction", "maximize")
    if direction not in ("maximize", "minimize"):
        raise ObjectivesError(
            f"unknown direction {direction!r}", where=name, expected="maximize or minimize"
        )
    return Objective(name, uses, direction, _reference(name, keys, uses, direction))


def _reference(
    name: str, keys: Mapping[str, Any], uses: Sequence[TaskUse], direction: str
) -> float:
    """The written reference, else chance level, which only produced answers have without it."""
    if "reference" in keys:
        _check_type(keys["reference"], "float", f"{name}.reference")
        return float(keys["reference"])
    if direction == "maximize" and all(use.metric.split(",")[0] in _PRODUCED for use in uses):
        return 0.0
    raise ObjectivesError(
        "needs `reference`, the worst value that still counts for the hypervolume", where=name
    )


def _objective_to_dict(objective: Objective) -> dict[str, Any]:
    return {
        "direction": objective.direction,
        "reference": objective.reference,
        "tasks": [asdict(use) for use in objective.uses],
    }
