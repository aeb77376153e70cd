"""Comparing candidates on the items of a run: its trials, those of other runs, and model files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mergesearch.objectives import ItemResult, PairedDifference, Rung, paired_difference
from mergesearch.runs.inputs import read_objectives
from mergesearch.runs.kinds import Kind, refuse_all_but
from mergesearch.runs.run import Run, shared_rung
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
    rung: str | None = None,
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Compare two candidates item by item on what a run scores.

    Each is a trial of the run (`17`, `knee`, `best:OBJECTIVE`, the name of a parent), a trial of
    another run with the same objectives (`DIR:17`, `DIR:knee`), or a GGUF or recipe file, which is
    scored first.

    Args:
        first: Candidate, in one of these forms.
        second: Candidate that the first is compared with, likewise.
        rung: `search` or `validate`; None: the one on which two trials have more items in common.
        on_progress: Function that is called with the number of items that are scored.

    Raises:
        InputError: There is no such candidate, or it was scored otherwise.
        ScoringError: They have fewer than two scored items of a task in common.
    """
    trials = {which: _trial(run, which) for which in (first, second) if not is_scored_first(which)}
    chosen = _shared_rung(*trials.values()) if rung is None else Rung(rung)

    def items(which: str) -> Sequence[ItemResult]:
        if which in trials:
            return trials[which].run.items(trials[which].number, chosen)
        objectives = read_objectives(run.folder.objectives)
        return score(which, objectives, rung=chosen, on_progress=on_progress).items()

    ours, theirs = items(first), items(second)
    differences = {
        objective.name: paired_difference(objective, ours, theirs)
        for objective in run.objectives().objectives
    }
    names = {which: trial.name for which, trial in trials.items()}
    return Comparison(names.get(first, first), names.get(second, second), chosen, differences)


@dataclass(frozen=True)
class _Trial:
    """A trial, as it is called here."""

    name: str
    run: Run
    number: int


def _shared_rung(*trials: _Trial) -> Rung:
    """The rung to compare on; files are scored on the search items."""
    results = [partial(trial.run.results, trial.number) for trial in trials]
    return shared_rung(*results) if len(results) == 2 else Rung.SEARCH


def _trial(run: Run, which: str) -> _Trial:
    if run.parent_called(which) is None:
        colons = (index for index, character in enumerate(which) if character == ":")
        splits = ((which[:index], which[index + 1 :]) for index in colons)
        folder, pick = next((split for split in splits if Path(split[0]).is_dir()), ("", which))
        if folder:
            other = Run(folder)
            run.refuse_scored_otherwise(other)
            number = other.pick(pick).number
            return _Trial(f"trial {number} of {folder}", other, number)
        if Path(which).exists():
            refuse_all_but(Path(which), Kind.GGUF, Kind.RECIPE)
    number = run.pick(which).number
    return _Trial(f"trial {number}", run, number)
