"""`search check`: everything that would fail in the night fails now, with what the night takes."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mergesearch._system.terminal import say
from mergesearch.cli.options import (
    AsJson,
    Memory,
    Parents,
    TemplateFile,
    Threads,
    TrustTasks,
    parse_parents,
)
from mergesearch.report.check import render_check
from mergesearch.report.progress import steps
from mergesearch.runs.check import check


def command(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A space, recipe or objectives file (YAML).")
    ],
    objectives: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Objectives to check beside a space or recipe."),
    ] = None,
    parent: Parents = [],  # noqa: B006
    threads: Threads = None,
    template: TemplateFile = None,
    memory: Memory = None,
    trust_tasks: TrustTasks = False,
    as_json: AsJson = False,
) -> None:
    """Check a space, recipe or objectives; estimate what it takes.

    Parents are opened (those of the hub are downloaded first), every method and choice is planned,
    and the tasks are loaded; one layer is built and a few items are scored to measure this machine.

    Example: search check space.yaml --objectives objectives.yaml
    """
    with steps() as on_step:
        report = check(
            file,
            objectives,
            parents=parse_parents(parent),
            template=template,
            threads=threads,
            memory=memory,
            trust_tasks=trust_tasks,
            on_step=on_step,
        )
    say(json.dumps(report.to_dict(), indent=2) if as_json else render_check(report))
