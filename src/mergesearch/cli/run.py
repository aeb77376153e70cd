"""`search run`: a search space and objectives become a Pareto front in a run folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.terminal import say_sentence
from mergesearch.cli import completion
from mergesearch.cli.ending import ending, remembered
from mergesearch.cli.options import (
    Memory,
    ObjectivesFile,
    Parents,
    StorageUrl,
    TemplateFile,
    Threads,
    TrustTasks,
    next_time,
    parse_parents,
)
from mergesearch.cli.output import out_option
from mergesearch.errors import MergeSearchError
from mergesearch.report import text
from mergesearch.report.importances import constant_notes
from mergesearch.report.items import item_notes
from mergesearch.report.json_log import json_events
from mergesearch.report.live import watch
from mergesearch.report.standing import standing_lines, sweep_line
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.goal import DEFAULT_TRIALS
from mergesearch.runs.run import Run
from mergesearch.runs.start import search
from mergesearch.runs.sweep import against_sweep
from mergesearch.study.events import broadcast
from mergesearch.study.records import TrialRecord

SpaceFile = Annotated[
    str | None,
    typer.Argument(
        metavar="SPACE",
        help="YAML file, or a built-in one; default: demo.",
        autocompletion=completion.spaces,
    ),
]
Out = Annotated[
    Path | None,
    out_option("DIR", "Run folder; a run in it is resumed; default: results/SPACE-TIME."),
]
Trials = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help=f"Number of trials in total; default: {DEFAULT_TRIALS}, unless another limit is set.",
    ),
]
Hours = Annotated[
    float | None,
    typer.Option(metavar="H", min=0.0, help="Start no new trial after this many hours."),
]
Until = Annotated[
    datetime | None,
    typer.Option(
        metavar="HH:MM", parser=next_time, help="Start no new trial after this time of day."
    ),
]
Tokens = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Stop once scoring has used this many tokens."),
]
TargetHypervolume = Annotated[
    float | None,
    typer.Option(metavar="X", min=0.0, help="Stop once the front reaches this hypervolume."),
]
WithoutMember = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Stop after N trials in a row that add nothing to the front."
    ),
]
Seed = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="Seed of the proposals; default: 0.")
]
SamplerName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="auto, gp, noisy-gp, tpe, nsga2, nsga3, cmaes, sobol or random; default: auto.",
        autocompletion=completion.samplers,
    ),
]
Confirm = Annotated[
    float,
    typer.Option(metavar="SHARE", help="Share of the budget spent on confirming the front."),
]
OtherRun = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Earlier run to start from, which has some of the same dimensions."
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help="Number of processes that run trials at the same time, sharing the cores.",
    ),
]
Gpus = Annotated[
    list[str],
    typer.Option(metavar="N", help="GPU to score on; name several for several workers."),
]
LogJson = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Append every event to this file as a line of JSON."),
]
Notify = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND", help="Shell command to run at the end, such as one that messages you."
    ),
]


def command(
    space: SpaceFile = None,
    objectives: ObjectivesFile = None,
    out: Out = None,
    trials: Trials = None,
    hours: Hours = None,
    until: Until = None,
    tokens: Tokens = None,
    target_hypervolume: TargetHypervolume = None,
    patience: WithoutMember = None,
    seed: Seed = None,
    sampler: SamplerName = None,
    confirm: Confirm = 0.2,
    warm_start: OtherRun = None,
    parent: Parents = [],  # noqa: B006
    threads: Threads = None,
    template: TemplateFile = None,
    memory: Memory = None,
    trust_tasks: TrustTasks = False,
    workers: Workers = 1,
    storage: StorageUrl = None,
    gpu: Gpus = [],  # noqa: B006
    log_json: LogJson = None,
    notify: Notify = None,
) -> None:
    """Search a space for its Pareto front.

    The front is confirmed on items that the search never saw.

    Stop it with Ctrl-C at any time; `search run --out DIR` resumes it.

    Example: search run demo --trials 60 --seed 0 --out results/demo
    """
    again = remembered(parent, template, threads, memory, trust_tasks, workers, gpu)
    with (
        ending(again, notify) as note,
        watch(SafeConsole()) as view,
        nullcontext(broadcast()) if log_json is None else json_events(log_json) as log,
    ):
        run = search(
            space,
            objectives,
            out,
            trials=trials,
            hours=hours,
            until=until,
            tokens=tokens,
            target_hypervolume=target_hypervolume,
            patience=patience,
            seed=seed,
            sampler=sampler,
            confirm=confirm,
            warm_start=warm_start,
            parents=parse_parents(parent),
            template=template,
            threads=threads,
            memory=memory,
            trust_tasks=trust_tasks,
            workers=workers,
            storage=storage,
            gpus=gpu,
            on_event=broadcast(note, log, view),
        )
    knee = _knee(run)
    warnings = (*item_notes(run.items(knee.number)), *constant_notes(run.constant_objectives()))
    for line in (*warnings, *_summary(run, knee)):
        say_sentence(line)


def _knee(run: Run) -> TrialRecord:
    """The knee of a run that has ended; a front without members is refused."""
    front, folder = run.front(), run.folder.path
    if not front.members:
        raise MergeSearchError(
            f"none of {text.plural(front.trials, 'trial')} is complete"
            if front.trials
            else "no trial was finished",
            where=folder,
            fix=f"look at the reasons: search trials {folder}"
            if front.trials
            else f"give it more time: search run --out {folder} --hours 8",
        )
    return run.trial(front.pick("knee"))


def _summary(run: Run, knee: TrialRecord) -> Iterator[str]:
    yield ""
    yield f"the knee is trial {knee.number}:"
    yield from (f"  {words}" for words in knee.words)
    yield from standing_lines(run.standing(knee.number), run.record.axes)
    if (against := against_sweep(run)) is not None:
        yield sweep_line(against.difference)
    path = str(run.folder.path)
    folder = shlex.quote(f"./{path}" if path.startswith("-") else path)
    yield ""
    yield f"look at the run: {run.folder.report}, in a browser"
    yield f"build the knee:  search build {folder} -o knee.gguf"
    yield f"share it:        search build {folder} --to upload -o merged/knee"
