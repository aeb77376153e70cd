"""Comparing candidates on the items of a run: its trials, those of other runs, and model files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mergesearch.objectives import ItemResult, PairedDifference, Rung, paired_difference
from mergesearch.runs.inputs import read_objectives
from mergesearch.runs.kinds import Kind, refuse_all_but
from mergesearch.runs.run import Run
from mergesearch.runs.score import score
from mergesearch.scoring import OnProgress

_MODEL_SUFFIXES = (".gguf", ".yaml", ".yml")


@dataclass(frozen=True)
class Comparison:
    """Two candidates on the same items.

    Attributes:
        first: Name of the first candidate.
        second: Name of the second candidate.
        rung: Rung whose items were compared.
        differences: Difference of each objective, first minus second.
    """

    first: str
    second: str
    rung: Rung
    differences: dict[str, PairedDifference]


def is_scored_first(which: str) -> bool:
    """Whether a candidate is a file, which has to be scored before it can be compared."""
    return Path(which).suffix in _MODEL_SUFFIXES


def compare(
    run: Run,
    first: str,
    second: str,
    rung: str = Rung.SEARCH,
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Compare two candidates item by item on what a run scores.

    Each is a trial of the run (`17`, `knee`, `best:OBJECTIVE`, the name of a parent), a trial of
    another run with the same objectives (`DIR:17`, `DIR:knee`), or a GGUF or recipe file, which is
    scored first.

    Args:
        first: Candidate, in one of these forms.
        second: Candidate that the first is compared with, likewise.
        rung: `search` or `validate`.
        on_progress: Function that is called with the number of items that are scored.

    Raises:
        InputError: There is no such candidate, or it was scored otherwise.
        ScoringError: They have fewer than two scored items of a task in common.
    """
    (first_name, ours), (second_name, theirs) = (
        _items(run, which, rung, on_progress) for which in (first, second)
    )
    differences = {
        objective.name: paired_difference(objective, ours, theirs)
        for objective in run.objectives().objectives
    }
    return Comparison(first_name, second_name, Rung(rung), differences)


def _items(
    run: Run, which: str, rung: str, on_progress: OnProgress | None
) -> tuple[str, Sequence[ItemResult]]:
    if is_scored_first(which):
        objectives = read_objectives(run.folder.objectives)
        return which, score(which, objectives, rung=rung, on_progress=on_progress).items()
    if run.parent_called(which) is None:
        colons = (index for index, character in enumerate(which) if character == ":")
        splits = ((which[:index], which[index + 1 :]) for index in colons)
        folder, pick = next((split for split in splits if Path(split[0]).is_dir()), ("", which))
        if folder:
            other = Run(folder)
            run.refuse_scored_otherwise(other)
            trial = other.pick(pick)
            return f"trial {trial.number} of {folder}", other.items(trial.number, rung)
        if Path(which).exists():
            refuse_all_but(Path(which), Kind.GGUF, Kind.RECIPE)
    trial = run.pick(which)
    return f"trial {trial.number}", run.items(trial.number, rung)
