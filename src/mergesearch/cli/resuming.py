"""What an interruption of a run names: the command that resumes it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mergesearch.errors import Interrupted
from mergesearch.study.events import Event, Observer, RunOpened, RunStarted


def remembered(
    parent: Sequence[str],
    template: Path | None,
    threads: int | None,
    memory: int | None,
    trust_tasks: bool,
    workers: int = 1,
    gpus: Sequence[str] = (),
) -> list[str]:
    """Return the options that a run does not remember, for the command that resumes it."""
    options = {
        "--template": template,
        "--threads": threads,
        "--memory": None if memory is None else f"{memory // 10**6}MB",
        "--workers": None if workers == 1 else workers,
    }
    again = [part for pair in parent for part in ("--parent", pair)]
    again += [part for gpu in gpus for part in ("--gpu", gpu)]
    again += [str(part) for pair in options.items() if pair[1] is not None for part in pair]
    return again + (["--trust-tasks"] if trust_tasks else [])


@contextmanager
def way_on(options: Sequence[str]) -> Iterator[Observer]:
    """Let an interruption name the command that resumes; yields an observer of the folder.

    Args:
        options: Options that the run does not remember.
    """
    folder, started = "", False

    def note_folder(event: Event) -> None:
        nonlocal folder, started
        match event:
            case RunOpened():
                folder = str(event.folder)
            case RunStarted():
                started = True

    try:
        yield note_folder
    except Interrupted as error:
        if started:  # else nothing stays of it
            error.fix = "resume: " + shlex.join(["search", "run", "--out", folder, *options])
        raise
