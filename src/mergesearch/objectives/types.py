"""What an objectives file holds, and what scoring gives: frozen records.

A field's type states its range, which a file is checked against.
"""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Never

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from mergesearch.errors import InputError


def _not_a_number(value: Any) -> Any:
    if isinstance(value, str | dt.date):
        return value
    raise PydanticCustomError("date_type", "not a date")


Text = Annotated[str, Field(strict=True)]
Mark = Annotated[Text, Field(min_length=1)]
Day = Annotated[dt.date, BeforeValidator(_not_a_number)]
Switch = Annotated[bool, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True, ge=0)]

Direction = Literal["maximize", "minimize"]
ProxyKind = Literal["likelihood"]
PROXY_METRIC = "proxy"
"""Name of a proxy among the metrics of its task."""
References = Mapping[str, Mapping[int, str]]
"""Correct answers of specialists, by task and item."""

NOT_SHARES = frozenset(
    {
        "bits_per_byte", "bleu", "brier_score", "byte_perplexity", "chrf", "likelihood", "mcc",
        "mse", "perplexity", "r2", "ter", "word_perplexity",
    }
)  # fmt: skip
"""Metrics of lm-eval whose values are not shares of 1."""

MAX_PARALLEL = 255
"""Sequences decoded together; llama.cpp keeps at most 256, one of them for what prompts share."""

KvType = Literal["f16", "f32", "q8_0"]
KV_BYTES: Mapping[KvType, float] = {"f16": 2.0, "f32": 4.0, "q8_0": 34 / 32}
"""Bytes of one value in the KV cache by its type (ggml/src/ggml-common.h, `block_q8_0`)."""


class Rung(StrEnum):
    """One of the measurements that a candidate can go through, in this order."""

    PROXY = "proxy"
    """Likelihoods on the search items, for the objectives that have a proxy."""
    SEARCH = "search"
    """Metrics on the items that the search sees."""
    VALIDATE = "validate"
    """Metrics on the items that confirm the front."""

    @classmethod
    def _missing_(cls, value: object) -> Never:
        raise InputError(f"unknown rung {value!r}", expected=" or ".join(ITEM_RUNGS))


ITEM_RUNGS = (Rung.SEARCH, Rung.VALIDATE)
"""Rungs with items of their own."""


# -- the file --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TaskUse:
    """One metric of one task inside an objective.

    Attributes:
        task: Name of an installed lm-eval task, or of a YAML in the task folder.
        metric: Name of one of the task's metrics; `name,filter` where it has several filters.
        weight: Weight of the metric in the objective's mean.
        search_items: Number of items that the search scores.
        validate_items: Number of other items that confirm the front.
        num_fewshot: Number of examples before each item; None: the task's own.
        chance: Value that guessing reaches; the metric counts as (value - chance) / (1 - chance).
        trial_items: Number of search items that a trial is scored on at first; None: all of them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    task: Text
    metric: Text
    weight: Annotated[Number, Field(gt=0, le=1e9)] = 1.0
    search_items: Annotated[Whole, Field(ge=2, le=10**9)] = 128
    validate_items: Annotated[Whole, Field(ge=2, le=10**9)] = 320
    num_fewshot: Annotated[Whole, Field(le=1000)] | None = None
    chance: Annotated[Number, Field(ge=0, lt=1)] | None = None
    trial_items: Annotated[Whole, Field(ge=2, le=10**9)] | None = None


@dataclass(frozen=True)
class Objective:
    """One axis of the front.

    Attributes:
        name: Name of the axis.
        uses: Metrics whose weighted mean it is.
        direction: `maximize` or `minimize`.
        reference: Coordinate of the hypervolume's reference point.
        proxy: `likelihood`: the search optimizes how likely a candidate finds a specialist's
            correct answers, and measures the metrics of promoted candidates only.
        specialist: Parent whose answers the proxy is made of; None: the best parent.
    """

    name: str
    uses: tuple[TaskUse, ...]
    direction: Direction
    reference: float
    proxy: ProxyKind | None = None
    specialist: str | None = None

    @property
    def percent(self) -> bool:
        """Whether its values are shares of 1, which people read in percent."""
        metrics = {use.metric.split(",")[0] for use in self.uses}
        return not metrics & NOT_SHARES and 0.0 <= self.reference <= 1.0


@dataclass(frozen=True)
class Runtime:
    """How llama.cpp is run; part of the scoring fingerprint, since results depend on it.

    Attributes:
        n_ctx: Tokens that a sequence may have, prompt and answer together.
        n_parallel: Number of sequences decoded together.
        n_batch: Tokens of one call to llama.cpp.
        chunk_items: Number of items scored between two clearings of the KV cache.
        threads: Threads of llama.cpp; None: one per core. Results do not depend on it.
        n_gpu_layers: Number of layers kept on a GPU.
        flash_attention: Whether flash attention is on; never automatic.
        kv_type: Type of the KV cache's values; `q8_0` needs flash attention.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    n_ctx: Annotated[Whole, Field(ge=1, le=1 << 24)] = 1024
    n_parallel: Annotated[Whole, Field(ge=1, le=MAX_PARALLEL)] = 32
    n_batch: Annotated[Whole, Field(ge=1, le=1 << 20)] = 2048
    chunk_items: Annotated[Whole, Field(ge=1, le=1 << 20)] = 64
    threads: Annotated[Whole, Field(ge=1, le=1024)] | None = None
    n_gpu_layers: Annotated[Whole, Field(le=10_000)] = 0
    flash_attention: Switch = False
    kv_type: KvType = "f16"


@dataclass(frozen=True)
class Thinking:
    """How the thought that a model writes before its answer is told from the answer.

    Attributes:
        budget: Number of new tokens after which a thought that goes on is closed.
        start: Mark that opens a thought, in the prompt or as the first words of an answer.
        end: Mark that closes a thought; what a task's metrics see comes after it.
        enable: Value of `enable_thinking` in the chat template; None: the template's own choice.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    budget: Annotated[Whole, Field(le=1 << 24)]
    start: Mark = "<think>"
    end: Mark = "</think>"
    enable: Switch | None = None


# -- results ---------------------------------------------------------------------------------------


def normal_interval(value: float, stderr: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends of the confidence interval of a normally distributed value."""
    reach = statistics.NormalDist().inv_cdf((1 + confidence) / 2) * stderr
    return value - reach, value + reach


@dataclass(frozen=True)
class ItemResult:
    """What one item gave.

    Attributes:
        task: Name of the item's task.
        item: Number of the item in the task's own order.
        metrics: Value of each metric; empty where the item is unscored.
        unscored: Reason why the item could not be scored, else None.
        tokens_in: Number of prompt and choice tokens that were read.
        tokens_out: Number of tokens that were generated, those of a thought included.
        seconds: The item's part of its chunk's time.
        text: Generated text; None for log-likelihoods.
        cut: Number of tokens cut from the left of the prompt because it exceeded the context.
        tokens_thought: Number of generated tokens that were a thought, not an answer.
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
    tokens_thought: int = 0


@dataclass(frozen=True)
class MetricValue:
    """A task's metric over the scored items, with its standard error."""

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

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the ends of the confidence interval of the value (normal approximation)."""
        return normal_interval(self.value, self.stderr, confidence)


def scores_to_dict(scores: Mapping[str, Score]) -> dict[str, dict[str, float]]:
    """Return scores by objective as JSON has them."""
    return {name: asdict(score) for name, score in scores.items()}
