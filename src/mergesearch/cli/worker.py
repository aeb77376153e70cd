"""`search worker`: one more process on a run whose study is in a database on a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.terminal import say
from mergesearch.cli.options import (
    Memory,
    Parents,
    StorageUrl,
    TemplateFile,
    Threads,
    TrustTasks,
    parse_parents,
)
from mergesearch.cli.output import out_option
from mergesearch.errors import InputError
from mergesearch.report import text
from mergesearch.report.live import watch
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.worker import join

StudyName = Annotated[
    str | None, typer.Option(metavar="NAME", help="Name of the study, as `search run` prints it.")
]
Out = Annotated[
    Path | None,
    out_option("DIR", "Folder for the log; default: a new one in results/workers."),
]
Gpu = Annotated[
    str | None, typer.Option(metavar="N", help="GPU to score on; default: all of them.")
]
TaskFolder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Copy of the objectives' task folder on this machine."),
]
Wait = Annotated[
    bool,
    typer.Option("--wait", help="Wait until the database answers and the study is on record."),
]


def command(
    storage: StorageUrl = None,
    study: StudyName = None,
    out: Out = None,
    gpu: Gpu = None,
    parent: Parents = [],  # noqa: B006
    tasks: TaskFolder = None,
    threads: Threads = None,
    template: TemplateFile = None,
    memory: Memory = None,
    trust_tasks: TrustTasks = False,
    wait: Wait = False,
) -> None:
    """Join a run and work on it until it ends.

    Space, objectives and settings come from the study; parents must be the same files, byte for
    byte. The password may also be in PGPASSWORD or ~/.pgpass.

    Example: search worker --storage postgresql://me@host/studies --study night --gpu 1
    """
    if storage is None or study is None:
        raise InputError(
            "a worker needs a study to work on", fix="name --storage URL and --study NAME"
        )
    with watch(SafeConsole()) as observe:
        front = join(
            storage,
            study,
            out,
            gpu=gpu,
            parents=parse_parents(parent),
            tasks=tasks,
            template=template,
            threads=threads,
            memory=memory,
            trust_tasks=trust_tasks,
            wait=wait,
            on_event=observe,
        )
    say(f"the run has ended with {text.plural(front.trials, 'trial')}")
