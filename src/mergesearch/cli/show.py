"""`search show`: one trial of a run, alone or against another."""

from __future__ import annotations

import json
import shutil
from typing import Annotated

import typer

from mergesearch._system.terminal import page, say, say_sentence
from mergesearch.cli import completion
from mergesearch.cli.options import AsJson, Folder, SharedRungOption, TrustTasks
from mergesearch.errors import InputError, MergeSearchError
from mergesearch.objectives import items_by_task
from mergesearch.report.items import flips, item_notes, render_flips
from mergesearch.report.progress import working
from mergesearch.report.standing import standing_lines
from mergesearch.report.tables import render_trial
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.run import Run
from mergesearch.scoring.texts import Texts


def command(
    folder: Folder,
    trial: Annotated[
        str,
        typer.Argument(
            metavar="TRIAL",
            help="Number, name of a parent, or what else --pick of search export takes.",
            autocompletion=completion.picks,
        ),
    ] = "knee",
    against: Annotated[
        str | None,
        typer.Option(
            metavar="TRIAL",
            help="Another trial: show the items on which they differ.",
            autocompletion=completion.picks,
        ),
    ] = None,
    rung: SharedRungOption = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Only items of this task.", autocompletion=completion.tasks
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Most items to show, of the better and of the worse ones."
        ),
    ] = 20,
    trust_tasks: TrustTasks = False,
    as_json: AsJson = False,
) -> None:
    """Show one trial of a run, alone or against another.

    Alone: everything on record, from its scores to its recipe.

    With --against: the items that one got right and the other wrong, with both answers.

    Example: search show results/demo 17 --against 3
    """
    run = Run(folder)
    if against is None:
        _show(run, trial, as_json)
    elif as_json:
        raise InputError("--json does not work with --against", fix="use search compare --json")
    else:
        page(_difference(run, trial, against, rung, task, limit, trust_tasks))


def _show(run: Run, which: str, as_json: bool) -> None:
    with working("reading the run"):
        record = run.trial(int(which)) if which.isdecimal() else run.pick(which)
        standing = run.standing(record.number) if record.scores() else None
    if as_json:
        document = record.to_dict() | {"standing": standing and standing.to_dict()}
        say(json.dumps(document, indent=2, ensure_ascii=False))
        return
    SafeConsole().print(render_trial(record, run.record))
    if standing is not None:
        say("")
        for line in standing_lines(standing, run.record.axes):
            say_sentence(line)
    for note in item_notes(run.items(record.number) if record.scores() else ()):
        say_sentence(note)


def _difference(
    run: Run,
    which: str,
    against: str,
    rung: str | None,
    task: str | None,
    limit: int,
    trust_tasks: bool,
) -> str:
    """The items on which two trials differ, as text."""
    from mergesearch.runs.questions import questions  # loads what builds

    with working("reading the run"):
        first, second = run.pick(which).number, run.pick(against).number
        rung = rung or run.shared_rung(first, second)
        found = flips(run.objectives(), run.items(first, rung), run.items(second, rung))
    if task is not None:
        found = [flip for flip in found if flip.first.task == task]
        known = [use.task for use in run.objectives().tasks()]
        if task not in known:
            raise InputError(
                f"the run has no task {task!r}", where="--task", expected=", ".join(known)
            )
    texts: Texts = {}
    note = ""
    try:
        asked = items_by_task(flip.key for flip in found)
        with working("loading the tasks"):
            texts = questions(run.folder, asked, trust_tasks=trust_tasks)
    except MergeSearchError as error:
        note = f"\n\nwithout questions: {error.what}"
    width = shutil.get_terminal_size().columns
    names = (f"trial {first}", f"trial {second}")
    return render_flips(names, found, rung, texts=texts, limit=limit, width=width) + note
