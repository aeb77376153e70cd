"""What an objectives file holds, and what scoring gives: frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Direction = Literal["maximize", "minimize"]
PROXY_METRIC = "proxy"
"""Name of a proxy among the metrics of its task."""
References = Mapping[str, Mapping[int, str]]
"""Correct answers of specialists, by task and item."""


class Rung(StrEnum):
    """One of the measurements that a candidate can go through, in this order."""

    PROXY = "proxy"
    """Likelihoods on the search items, for the objectives that have a proxy."""
    SEARCH = "search"
    """Metrics on the items that the search sees."""
    VALIDATE = "validate"
    """Metrics on the items that confirm the front."""


ITEM_RUNGS = (Rung.SEARCH, Rung.VALIDATE)
"""Rungs with items of their own."""


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
        chance: value that guessing reaches; the metric counts as (value - chance) / (1 - chance).
    """

    task: str
    metric: str
    weight: float = 1.0
    search_items: int = 128
    validate_items: int = 320
    num_fewshot: int | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Objective:
    """One axis of the front.

    Attributes:
        name: of the axis.
        uses: the metrics whose weighted mean it is.
        direction: `maximize` or `minimize`.
        reference: its coordinate of the hypervolume's reference point.
        proxy: `likelihood`: the search optimizes how likely a candidate finds a specialist's
            correct answers, and measures the metrics of promoted candidates only.
        specialist: the parent whose answers the proxy is made of; None: the best parent.
    """

    name: str
    uses: tuple[TaskUse, ...]
    direction: Direction
    reference: float
    proxy: str | None = None
    specialist: str | None = None


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
        kv_type: of the KV cache: f16, f32, or q8_0, which needs flash attention.
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
