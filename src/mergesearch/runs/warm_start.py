"""Taking a warm start from another run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mergesearch.errors import InputError
from mergesearch.objectives import Objectives
from mergesearch.recipe import load_document
from mergesearch.runs.folder import RunFolder
from mergesearch.runs.run import Run
from mergesearch.space import Space
from mergesearch.study.front import search_values
from mergesearch.study.pareto import signs_of
from mergesearch.study.records import Observation, TrialRecord
from mergesearch.study.warm_start import WarmStart

MOST_STARTS = 8
"""Members of the other run's front that are tried first, at most."""


def read_warm_start(
    folder: RunFolder, source: str | Path | None, space: Space, objectives: Objectives
) -> WarmStart | None:
    """Return what a run takes from another one; one on record keeps what it took.

    Args:
        source: Folder of the other run, None where none is named.

    Raises:
        RunFolderError: There is no other run, or the record is damaged.
        InputError: The other run shares no dimension, has no front, or is not what the run on
            record started from.
    """
    if not folder.holds_run():
        return None if source is None else take(Run(source), space, objectives)
    kept = folder.read_warm_start()
    if source is not None and (kept is None or kept.source != str(source)):
        raise InputError(
            f"the run was started {'without one' if kept is None else f'from {kept.source}'}",
            where="--warm-start",
            fix="leave the option out, or name another --out",
        )
    return kept


def take(other: Run, space: Space, objectives: Objectives) -> WarmStart:
    """Return what a space can take from another run.

    Raises:
        InputError: It shares no dimension with the space, or has no front yet.
    """
    theirs = Space(load_document(other.record.space, other.folder.space), other.folder.space)
    matching = space.matching(theirs)
    if not matching.matched():
        raise InputError(
            "its space shares no dimension with this one",
            where=other.folder.path,
            expected=f"some of: {', '.join(matching.unmatched())}",
            fix="leave --warm-start out, or name a run whose space has holes of these names, or at"
            " the same places",
        )
    members = [member.trial for member in other.front().members]
    if not members:
        raise InputError("no trial is complete, so there is no front", where=other.folder.path)
    trials = other.trials()
    starts = [matching.translate(trials[number].parameters) for number in _spread(members)]
    prior = []
    if _same_objectives(other, objectives):
        names = [axis.name for axis in other.record.axes]
        for trial in _by_dominance(other, trials):
            scores = [trial.scores()[name] for name in names]
            prior.append(Observation.of(matching.translate(trial.parameters), scores))
    return WarmStart(
        str(other.folder.path),
        tuple(matching.matched()),
        matching.by_place(),
        tuple(matching.unmatched()),
        tuple(start for index, start in enumerate(starts) if start not in starts[:index]),
        tuple(prior),
    )


def notes_of(warm: WarmStart) -> list[str]:
    """Return what was taken and what did not match, one sentence each."""
    notes = [
        f"warm start from {warm.source}: {len(warm.starts)} members of its front come first, and"
        f" {len(warm.trials)} of its trials count until they have faded"
        if warm.trials
        else f"warm start from {warm.source}: {len(warm.starts)} members of its front come first;"
        " its objectives are others, so its data do not count"
    ]
    if warm.by_place:
        pairs = (f"{ours} is {theirs} there" for ours, theirs in warm.by_place.items())
        notes.append(f"the same by their place alone: {', '.join(pairs)}")
    if warm.unmatched:
        notes.append(f"the warm start knows nothing of {', '.join(warm.unmatched)}")
    return notes


def _same_objectives(other: Run, objectives: Objectives) -> bool:
    ours = [(objective.name, objective.direction) for objective in objectives.objectives]
    return ours == [(axis.name, axis.direction) for axis in other.record.axes]


def _spread(members: Sequence[int]) -> list[int]:
    """Members that are evenly spread over the front, at most `MOST_STARTS`."""
    count = min(MOST_STARTS, len(members))
    return [members[round(place)] for place in np.linspace(0, len(members) - 1, count)]


def _by_dominance(other: Run, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Trials with scores, those before that fewest others dominate."""
    own = [trial for trial in trials if trial.scores() and trial.reused_from is None]
    axes = other.record.axes
    signs = signs_of([axis.direction for axis in axes])
    gains = np.array([search_values(axes, trial) for trial in own]) * signs
    dominating = [
        int(((gains >= row).all(axis=1) & (gains > row).any(axis=1)).sum()) for row in gains
    ]
    return [own[index] for index in np.argsort(dominating, kind="stable")]
