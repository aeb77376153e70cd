"""The adversary of a search: a sweep of the line between two parents, at the same cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mergesearch.errors import InputError
from mergesearch.objectives import Objectives
from mergesearch.runs.folder import RunFolder
from mergesearch.runs.goal import DEFAULT_TRIALS
from mergesearch.runs.inputs import Place, read_space
from mergesearch.runs.run import Run
from mergesearch.runs.start import built_in_objectives, search
from mergesearch.space import Space
from mergesearch.study.events import Observer
from mergesearch.study.standing import HypervolumeDifference

FEWEST = 3
"""Least number of trials of a sweep: both ends and the two rounds."""


def sweep(
    space: Space | Place = "demo",
    objectives: Objectives | Place | None = None,
    folder: Place | None = None,
    *,
    between: tuple[str, str] | None = None,
    trials: int | None = None,
    parents: Mapping[str, Place] | None = None,
    template: Place | None = None,
    threads: int | None = None,
    memory: int | None = None,
    trust_tasks: bool = False,
    on_event: Observer = lambda event: None,
) -> Run:
    """Score the straight line between two parents and the two rounds 1:1 and 3:1, as a run.

    Args:
        space: Space, its file, the name of a built-in one, or the folder of a run: then its space,
            objectives and cost are the run's, and the sweep is kept in its folder.
        objectives: Objectives, their file, or the name of built-in ones.
        folder: Folder of the sweep, which is a run folder.
        between: Two parents; None for the first two of the space.
        trials: Number of trials; None for what the run's items pay for, else as for a search.
        parents: Folders or GGUF files in place of parents' ids.
        template: GGUF of one parent, for an architecture that is not built in.
        threads: Number of threads that build; None for one per processor.
        memory: Bytes that the run may take; None for all that is free.
        trust_tasks: Whether task YAMLs of the task folder may run Python code of their own.
        on_event: Function that is called with every event of the run.

    Raises:
        SpaceError: The space does not have the line.
        InputError, RunFolderError, Interrupted, MergeSearchError: As for a search.
    """
    searched = None if isinstance(space, Space) else RunFolder(Path(space))
    if searched is not None and searched.holds_run():
        space, objectives = searched.space, objectives or searched.objectives
        folder = folder or searched.sweep
        trials = trials or paid_for(Run(searched.path))
    trials = DEFAULT_TRIALS if trials is None else trials
    if trials < FEWEST:
        raise InputError(f"{trials} trials are too few for a sweep", expected=f"{FEWEST} or more")
    swept = read_space(space)[0].sweep(between, trials - 1)
    return search(
        swept,
        built_in_objectives(space) if objectives is None else objectives,
        folder or Path("results") / f"sweep-{datetime.now():%Y%m%d-%H%M%S}",
        trials=len(swept.starts()),
        sampler="sobol",  # which proposes the starts first, and there is nothing else
        parents=parents,
        template=template,
        threads=threads,
        memory=memory,
        trust_tasks=trust_tasks,
        on_event=on_event,
    )


def paid_for(run: Run) -> int:
    """Return the number of trials on all items that the item scores of a run's search pay for."""
    items = [
        sum(score.n + score.n_unscored for score in trial.scores().values())
        for trial in run.trials()
        if trial.reused_from is None
    ]
    return max(FEWEST, round(sum(items) / max(1, *items, 0)))


@dataclass(frozen=True)
class AgainstSweep:
    """A run's front against that of a sweep.

    Attributes:
        sweep: The sweep.
        difference: Difference of the hypervolumes, the run's minus the sweep's.
    """

    sweep: Run
    difference: HypervolumeDifference

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as `search front --json` has it."""
        return {
            "folder": str(self.sweep.folder.path),
            "rung": str(self.difference.rung),
            "hypervolume": self.difference.theirs,
            "hypervolume_of_search": self.difference.ours,
            "difference": self.difference.value,
            "interval": list(self.difference.interval()),
            "front": self.sweep.front().to_dict()["front"],
        }


def against_sweep(run: Run, folder: Path | None = None) -> AgainstSweep | None:
    """Return how a run's front compares with that of a sweep; None where there is nothing to.

    Args:
        folder: Folder of the sweep; None for the one in the run's own folder.

    Raises:
        RunFolderError: The folder holds no run.
        InputError: It was scored otherwise.
    """
    if folder is None and not RunFolder(run.folder.sweep).holds_run():
        return None
    sweep = Run(run.folder.sweep if folder is None else folder)
    difference = run.against(sweep)
    return None if difference is None else AgainstSweep(sweep, difference)
