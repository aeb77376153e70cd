"""What the end of a run brings: the command that resumes it, and the one that the person named."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mergesearch._system.terminal import say
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
def ending(options: Sequence[str], notify: str | None = None) -> Iterator[Observer]:
    """Let an interruption name the command that resumes, and run a command however a run ends.

    The command learns how by `MERGESEARCH_STATE` (`finished`, `stopped` or `failed`), and where by
    `MERGESEARCH_FOLDER`, which is "" where the run never had a folder. Yields the run's observer.

    Args:
        options: Options that the run does not remember.
        notify: Command for the shell; None for none.
    """
    folder, started, state = "", False, "finished"

    def note(event: Event) -> None:
        nonlocal folder, started
        match event:
            case RunOpened():
                folder = str(event.folder)
            case RunStarted():
                started = True

    try:
        yield note
    except Interrupted as error:
        state = "stopped"
        if started:  # else nothing stays of it
            error.fix = "resume: " + shlex.join(["search", "run", "--out", folder, *options])
        raise
    except BaseException:
        state = "failed"
        raise
    finally:
        if notify is not None:
            outcome = {"MERGESEARCH_STATE": state, "MERGESEARCH_FOLDER": folder}
            ended = subprocess.run(notify, shell=True, env=os.environ | outcome, check=False)
            if ended.returncode:
                say(f"note: the command of --notify ended with {ended.returncode}", error=True)
