"""How records become rows of the ledger's tables and back: a pair of functions for each."""

import zlib
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from mergesearch.objectives import ItemResult, Score
from mergesearch.study.records import Axis, Measurement, Reference, RunRecord

Row = dict[str, Any]


def run_to_row(run: RunRecord) -> Row:
    """Return the row of a run."""
    return asdict(run) | {"created": run.created.timestamp()}


def run_from_row(row: Any) -> RunRecord:
    """Return the run of a row."""
    return RunRecord(
        name=row.name,
        space=row.space,
        objectives=row.objectives,
        axes=tuple(Axis(**axis) for axis in row.axes),
        fingerprints=row.fingerprints,
        versions=row.versions,
        seed=row.seed,
        sampler=row.sampler,
        created=_moment(row.created),
    )


def rung_to_row(measured: Measurement) -> Row:
    """Return the row of a measurement, without its scores and items."""
    return {
        "build_seconds": measured.build_seconds,
        "score_seconds": measured.score_seconds,
        "failure": measured.failure,
        "ended": measured.ended.timestamp(),
    }


def rung_from_row(row: Any, scores: dict[str, Score]) -> Measurement:
    """Return the measurement of a row, with its scores."""
    return Measurement(
        scores=scores,
        build_seconds=row.build_seconds,
        score_seconds=row.score_seconds,
        failure=row.failure,
        ended=_moment(row.ended),
    )


def score_to_row(objective: str, score: Score) -> Row:
    """Return the row of an objective's score."""
    return {"objective": objective, **asdict(score)}


def score_from_row(row: Any) -> Score:
    """Return the score of a row."""
    return Score(value=row.value, stderr=row.stderr, n=row.n, n_unscored=row.n_unscored)


def item_to_row(item: ItemResult) -> Row:
    """Return the row of an item's result."""
    return {
        "task": item.task,
        "item": item.item,
        "metrics": dict(item.metrics),
        "unscored": item.unscored,
        "tokens_in": item.tokens_in,
        "tokens_out": item.tokens_out,
        "cut": item.cut,
        "seconds": item.seconds,
        "text": None if item.text is None else _compressed(item.text),
    }


def item_from_row(row: Any) -> ItemResult:
    """Return the item's result of a row."""
    return ItemResult(
        task=row.task,
        item=row.item,
        metrics=row.metrics,
        unscored=row.unscored,
        tokens_in=row.tokens_in,
        tokens_out=row.tokens_out,
        cut=row.cut,
        seconds=row.seconds,
        text=None if row.text is None else _decompressed(row.text),
    )


def reference_to_row(reference: Reference) -> Row:
    """Return the row of a specialist's answer."""
    return {
        "task": reference.task,
        "item": reference.item,
        "parent": reference.parent,
        "text": _compressed(reference.text),
    }


def reference_from_row(row: Any) -> Reference:
    """Return the specialist's answer of a row."""
    return Reference(row.task, row.item, row.parent, _decompressed(row.text))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _compressed(text: str) -> bytes:
    return zlib.compress(text.encode())


def _decompressed(data: bytes) -> str:
    return zlib.decompress(data).decode()
