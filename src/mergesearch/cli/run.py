"""`search run`: a search space and objectives become a Pareto front in a run folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mergesearch.cli.export import header
from mergesearch.cli.options import (
    PINS_FILE,
    Parents,
    TemplateFile,
    Threads,
    TrustTasks,
    check_overrides,
    parent_folders,
    read_text,
    write_text,
    written_pins,
)
from mergesearch.errors import InputError, RunFolderError
from mergesearch.runs.memory import Memory, largest_workload, memory_budget

if TYPE_CHECKING:
    from rich.console import Console

    from mergesearch.build import Workshop
    from mergesearch.objectives import Objectives
    from mergesearch.parents import Checkpoint
    from mergesearch.recipe import Recipe
    from mergesearch.scoring import ScoringProcess
    from mergesearch.space import Space
    from mergesearch.study.settings import Search

DEFAULT_TRIALS = 60
SPACE_FILE, OBJECTIVES_FILE, LOG_FILE = "space.yaml", "objectives.yaml", "run.log"
_SCORING_PACKAGES = ("mergesearch", "llama-cpp-python", "lm-eval")


def command(
    space: Annotated[
        str | None,
        typer.Argument(metavar="SPACE", help="YAML file, or a built-in one; default: demo."),
    ] = None,
    objectives: Annotated[
        str | None, typer.Option(help="YAML file, or a built-in one; default: the space's name.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder; an existing one goes on. Default: results/<space>-<time>."),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help=f"Trials in all; {DEFAULT_TRIALS} if no end is named."),
    ] = None,
    hours: Annotated[float | None, typer.Option(min=0.0, help="Begin no trial after that.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="HH:MM", help="Begin no trial after that time of day.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the proposals; default 0.")] = None,
    sampler: Annotated[
        str | None, typer.Option(help="gp, tpe, nsga2 or sobol; default: by the space's size.")
    ] = None,
    parent: Parents = [],  # noqa: B006
    threads: Threads = None,
    template: TemplateFile = None,
    memory: Memory = None,
    trust_tasks: TrustTasks = False,
) -> None:
    """Search a space and hand over its Pareto front.

    The front is confirmed on items that the search never saw.

    Stop it with Ctrl-C at any time; the same command with the same --out goes on.

    Example: search run demo --trials 60 --seed 0 --out results/demo
    """
    from mergesearch.build import Workshop
    from mergesearch.report import watch
    from mergesearch.runs.budget import builds_ahead, check_budget
    from mergesearch.scoring import ScoringProcess
    from mergesearch.study.loop import check_run_folder, run_study
    from mergesearch.study.samplers import check_sampler
    from mergesearch.study.settings import StudySettings

    inputs = _inputs(space, objectives, out)
    if trials is None and hours is None and until is None:
        trials = DEFAULT_TRIALS
    settings = StudySettings(
        trials=trials,
        hours=hours,
        until=None if until is None else next_time(until, datetime.now()),
        seed=seed,
        sampler=None if sampler is None else check_sampler(sampler),
    )
    budget = memory_budget(memory)
    overrides = parent_folders(parent)
    check_overrides(overrides, inputs.space.parents())
    pins = _pins(inputs, overrides)
    workshop = Workshop.open(
        inputs.space.parents(),
        stages=inputs.space.stages(),
        overrides=overrides,
        pins=pins,
        template=template,
        threads=threads,
    )
    work = largest_workload(workshop, inputs.space.examples("high"), inputs.objectives.runtime)
    check_budget(work, budget, named=memory is not None)
    with (
        _run_folder(inputs) as log,
        ScoringProcess(
            inputs.objectives, log=log, trust_tasks=trust_tasks, partial=inputs.folder / "partial"
        ) as scorer,
    ):
        search = _search(inputs, workshop, scorer, builds_ahead(work, budget))
        check_run_folder(inputs.folder, search, settings)
        scorer.start()
        _write_inputs(inputs, pins)
        with watch(_console(), log) as observe:
            run_study(inputs.folder, search, settings, observe)
    _write_recipes(inputs.folder)
    print(f"run folder: {inputs.folder}")


@dataclass(frozen=True)
class Inputs:
    """What a run is made from: the two files as written and parsed, and where it goes."""

    space_text: str
    space: Space
    objectives: Objectives
    folder: Path


def _inputs(space: str | None, objectives: str | None, out: Path | None) -> Inputs:
    """Read the inputs; an existing run folder brings its own where none are named."""
    from mergesearch._system import resources
    from mergesearch.objectives import Objectives
    from mergesearch.space import Space
    from mergesearch.study.ledger import DATABASE

    resumed = out is not None and (out / DATABASE).is_file()
    if resumed and out is not None:
        space_path = resources.space_file(space) if space else out / SPACE_FILE
        scored = resources.objectives_file(objectives) if objectives else out / OBJECTIVES_FILE
    else:
        space_path = resources.space_file(space or "demo")
        scored = resources.objectives_file(objectives or _objectives_of(space or "demo"))
    text = read_text(space_path)
    folder = out or Path("results") / f"{space_path.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    if folder.exists() and not folder.is_dir():
        raise RunFolderError("it is a file", where=folder, fix="name another --out")
    if folder.exists() and not resumed and any(folder.iterdir()):
        raise RunFolderError(
            "it is not empty and holds no run", where=folder, fix="name another --out"
        )
    wanted = Objectives.from_yaml(read_text(scored), scored.parent)
    return Inputs(text, Space.from_yaml(text, space_path), wanted, folder)


def _objectives_of(space: str) -> str:
    """The built-in objectives that carry the built-in space's name."""
    from mergesearch._system import resources

    if (resources.objectives_folder() / f"{space}.yaml").is_file():
        return space
    raise InputError("a space of your own needs objectives", fix="name them: --objectives FILE")


def _pins(inputs: Inputs, overrides: Mapping[str, Path]) -> dict[str, str]:
    """The parents' ids with the commits that they stand for; an existing run keeps its own."""
    from mergesearch.parents import pin_parents

    before = written_pins(inputs.folder)
    return (
        pin_parents([ref for ref in inputs.space.parents() if ref not in before], overrides)
        | before
    )


@contextmanager
def _run_folder(inputs: Inputs) -> Iterator[Path]:
    """Make the run folder and yield the path of its log; a run that never began leaves nothing."""
    from mergesearch.study.ledger import DATABASE

    folder = inputs.folder
    existed = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOG_FILE).touch()
    except OSError as error:
        raise RunFolderError(f"cannot be written: {error.strerror}", where=folder) from error
    try:
        yield folder / LOG_FILE
    finally:
        if not (folder / DATABASE).is_file():
            for name in (LOG_FILE, SPACE_FILE, OBJECTIVES_FILE, PINS_FILE):
                (folder / name).unlink(missing_ok=True)
            if not existed:
                folder.rmdir()


def _search(
    inputs: Inputs, workshop: Workshop, scorer: ScoringProcess, build_ahead: bool
) -> Search:
    from mergesearch.scoring.task_files import outside_data
    from mergesearch.study.settings import Search

    data = outside_data(inputs.objectives.task_folder)
    parents, blueprint = workshop.parents, workshop.blueprint
    depth = next(iter(parents.values())).layout.n_layers
    return Search(
        space=inputs.space,
        objectives=inputs.objectives,
        build=workshop.candidate,
        build_ahead=build_ahead,
        score=scorer.score,
        parents={ref: _alone(ref) for ref in parents},
        use_references=scorer.use_references,
        shares=lambda recipe: recipe.shares(depth),
        space_text=inputs.space_text,
        fingerprints={
            "parents": _parents_digest(parents),
            "scoring": _scoring_versions(),
            **({} if blueprint is None else {"template": _file_digest(blueprint.path)}),
            **({} if data is None else {"data": data}),
        },
    )


def _alone(parent: str) -> Recipe:
    """The recipe of a parent as it is."""
    from mergesearch.recipe import Recipe

    models = [{"model": parent, "parameters": {"weight": 1.0}}]
    return Recipe.from_dict({"merge_method": "linear", "models": models})


def _parents_digest(parents: Mapping[str, Checkpoint]) -> str:
    """SHA-256 (hex) of every tensor's name, shape and first row: tells other weights apart."""
    digest = hashlib.sha256()
    for ref, parent in parents.items():
        digest.update(ref.encode())
        for name, info in sorted(parent.tensors.items()):
            digest.update(f"{name} {info.shape} {info.dtype}".encode())
            digest.update(parent.rows(name, 0, 1).tobytes())
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _scoring_versions() -> str:
    from mergesearch.study.settings import package_versions

    versions = package_versions()
    return ", ".join(f"{name} {versions[name]}" for name in _SCORING_PACKAGES)


def _write_inputs(inputs: Inputs, pins: Mapping[str, str]) -> None:
    """Put the space, the objectives and the pinned parents beside a new run's database."""
    texts = {SPACE_FILE: inputs.space_text, OBJECTIVES_FILE: inputs.objectives.to_yaml()}
    pinned = {ref: one for ref, one in pins.items() if ref != one}
    if pinned:
        texts[PINS_FILE] = json.dumps(pinned, indent=2) + "\n"
    for name, text in texts.items():
        if not (inputs.folder / name).exists():
            write_text(inputs.folder / name, text)


def _write_recipes(folder: Path) -> None:
    """Write the recipe of each member of the front."""
    from mergesearch.recipe import Recipe
    from mergesearch.study.front import Front
    from mergesearch.study.ledger import Ledger

    pins = written_pins(folder)
    with Ledger.open(folder) as ledger:
        trials = ledger.trials()
        for member in Front.of(ledger.run().axes, trials).members:
            recipe = Recipe.from_dict(dict(member.recipe)).renamed(pins)
            path = folder / "recipes" / f"trial-{member.trial}.yaml"
            write_text(path, header(trials[member.trial]) + recipe.to_yaml())


def _console() -> Console:
    from rich.console import Console

    return Console()


def next_time(text: str, now: datetime) -> datetime:
    """Return the next moment at which the clock shows `HH:MM`.

    Raises:
        InputError: the text is no time of day.
    """
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text)
    if match is None:
        raise InputError(f"{text!r} is not a time of day", where="--until", expected="HH:MM")
    moment = now.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
    return moment if moment > now else moment + timedelta(days=1)
