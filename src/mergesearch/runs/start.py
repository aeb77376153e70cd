"""Starting a run, or going on with one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from mergesearch._system import resources
from mergesearch._system.files import write_json, write_text
from mergesearch.build import Workshop
from mergesearch.errors import InputError, RunFolderError
from mergesearch.objectives import Objectives
from mergesearch.parents import pin_parents
from mergesearch.recipe import Recipe
from mergesearch.report import log_events
from mergesearch.runs.budget import builds_ahead, largest_workload, refuse_beyond, spare_memory
from mergesearch.runs.fingerprints import fingerprints
from mergesearch.runs.folder import RunFolder
from mergesearch.runs.goal import DEFAULT_TRIALS, Goal
from mergesearch.runs.inputs import (
    Place,
    cut_space,
    notes,
    open_workshop,
    parent_places,
    read_objectives,
    read_space,
    text_of,
)
from mergesearch.runs.report import write_report
from mergesearch.runs.run import Run
from mergesearch.runs.warm_start import digest_of, notes_of, read_warm_start
from mergesearch.scoring import ScoringProcess
from mergesearch.space import Space
from mergesearch.study.events import Event, Noted, RunOpened
from mergesearch.study.identity import identify
from mergesearch.study.loop import run_study
from mergesearch.study.samplers import check_sampler
from mergesearch.study.settings import Search, StudySettings
from mergesearch.study.warm_start import WarmStart

Observer = Callable[[Event], None]

_LARGEST_SHARE = 0.9


def search(
    space: Space | Place | None = None,
    objectives: Objectives | Place | None = None,
    folder: Place | None = None,
    *,
    trials: int | None = None,
    hours: float | None = None,
    until: datetime | None = None,
    seed: int | None = None,
    sampler: str | None = None,
    confirm: float = 0.2,
    warm_start: Place | None = None,
    parents: Mapping[str, Place] | None = None,
    template: Place | None = None,
    threads: int | None = None,
    memory: int | None = None,
    trust_tasks: bool = False,
    on_event: Observer = lambda event: None,
) -> Run:
    """Search a space for its best merges, or go on with the run in a folder.

    The search ends with whichever of `trials`, `hours` and `until` comes first; where none is
    named, with what was named when the run was started last, else after 60 trials. Then the front
    is confirmed on items that the search never saw. An
    interrupted run goes on when it is started again in its folder, and proposes what an unbroken
    one would have proposed.

    Args:
        space: Space, its file, or the name of a built-in one; None for the run's own in a folder
            that holds a run, else for the demo.
        objectives: Objectives, their file, or the name of built-in ones; None for the run's own,
            else for the built-in ones with the space's name.
        folder: Folder of the run; None for `results/SPACE-TIME`.
        trials: Number of finished trials to reach, those of earlier starts included.
        hours: Hours from now after which no trial is started.
        until: Moment after which no trial is started.
        seed: Seed of the proposals; None for the run's own, else 0.
        sampler: Name of a sampler; None for the run's own, else `auto`.
        confirm: Share of the budget, 0 to 0.9, that confirms the front where trials are scored on
            parts of the items; elsewhere its members are scored on all validate items. 0 confirms
            nothing.
        warm_start: Folder of another run with some of the same dimensions, of a smaller sibling of
            the models for example: its front is tried first, and its trials count until they have
            faded.
        parents: Folders or GGUF files in the place of parents' ids.
        template: GGUF of one parent, for an architecture that is not built in.
        threads: Number of threads that build; None for one per processor.
        memory: Bytes that the run may take; None for all that is free.
        trust_tasks: Whether task YAMLs of the task folder may run Python code of their own.
        on_event: Called with every event of the run; see `mergesearch.events`.

    Returns:
        The run, to be read.

    Raises:
        InputError: Something that was named is wrong; nothing was started.
        RunFolderError: The folder belongs to another run, or another process is at work in it.
        Interrupted: Someone stopped it; what is finished is kept.
        MergeSearchError: Too many trials in a row failed.
    """
    named = Goal.named(trials, hours, until, datetime.now())
    inputs = _Inputs.read(space, objectives, folder)
    goal = named or inputs.folder.read_goal() or Goal(DEFAULT_TRIALS)
    settings = StudySettings(
        trials=goal.trials,
        until=goal.until,
        seed=seed,
        sampler=None if sampler is None else check_sampler(sampler),
        confirm=_share(confirm),
    )
    warm = read_warm_start(inputs.folder, warm_start, inputs.space, inputs.objectives)
    places = parent_places(parents, inputs.space.parents())
    pins = _pins(inputs, places)
    workshop = open_workshop(inputs.space, places, template, threads, pins, inputs.folder.path)
    inputs = inputs.cut(workshop)
    work = largest_workload(workshop, inputs.space.examples("high"), inputs.objectives.runtime)
    budget = refuse_beyond(memory, work)
    workshop.spare.memory = spare_memory(work, budget)
    run_folder = inputs.folder
    with (
        run_folder.made(),
        ScoringProcess(
            inputs.objectives,
            log=run_folder.log,
            trust_tasks=trust_tasks,
            partial=run_folder.partial,
        ) as scorer,
    ):
        study = _study(inputs, workshop, scorer, warm, build_ahead=builds_ahead(work, budget))
        identify(run_folder.study, study, settings)  # before anything is written beside it
        with log_events(run_folder.log) as log:
            observe = _both(log, on_event)
            observe(inputs.opened())
            scorer.start()
            _write_inputs(inputs, pins, warm)
            run_folder.write_goal(goal)
            for note in notes(inputs.space, workshop, inputs.space.examples("high")[0]):
                observe(Noted(note))
            for note in notes_of(warm) if warm else []:
                observe(Noted(note))
            run_study(run_folder.study, study, settings, observe)
        run = Run(run_folder.path)
        run.write_recipes()
        write_report(run, read_items=scorer.item_texts)
    return run


def _share(confirm: float) -> float:
    if not 0.0 <= confirm <= _LARGEST_SHARE:  # NaN neither
        raise InputError(
            f"{confirm:g} is not a share of the budget that confirms the front",
            where="confirm",
            expected=f"0 (nothing is confirmed) to {_LARGEST_SHARE} (the search gets the rest)",
        )
    return confirm


def _both(first: Observer, second: Observer) -> Observer:
    def tell(event: Event) -> None:
        first(event)
        second(event)

    return tell


@dataclass(frozen=True)
class _Inputs:
    """What a run is made from, and where it goes."""

    space: Space
    space_text: str
    space_name: str
    objectives: Objectives
    objectives_name: str
    folder: RunFolder

    @classmethod
    def read(
        cls,
        space: Space | Place | None,
        objectives: Objectives | Place | None,
        folder: Place | None,
    ) -> _Inputs:
        """Read what is named; a folder that holds a run brings its own where nothing is named."""
        if folder is None:
            space = "demo" if space is None else space
            path = _new_folder(space)
        else:
            path = Path(folder)
        run_folder = RunFolder(path)
        run_folder.refuse_foreign()
        if run_folder.holds_run():
            space = run_folder.space if space is None else space
            objectives = run_folder.objectives if objectives is None else objectives
        elif space is None:
            raise RunFolderError(
                "no run there to go on with",
                where=path,
                fix="name a space to start one, such as: search run demo --out " + str(path),
            )
        parsed, text = read_space(space)
        if objectives is None:
            objectives = objectives_of(space)
        return cls(
            parsed,
            text,
            "as before" if space == run_folder.space else _name(space),
            read_objectives(objectives),
            "as before" if objectives == run_folder.objectives else _name(objectives),
            run_folder,
        )

    def cut(self, workshop: Workshop) -> _Inputs:
        """Return the inputs with a space whose depth is cut, and its text where that is another."""
        space = cut_space(self.space, workshop)
        if space is self.space:
            return self
        return replace(self, space=space, space_text=text_of(space))

    def opened(self) -> RunOpened:
        """Return the event that tells what is searched, and where."""
        names = tuple(objective.name for objective in self.objectives.objectives)
        return RunOpened(
            self.space_name,
            len(self.space.dimensions),
            self.objectives_name,
            names,
            self.folder.path,
        )


def _name(given: Space | Objectives | Place) -> str:
    """What a space or objectives are called in a message."""
    return str(given) if isinstance(given, str | Path) else "of the caller"


def _new_folder(space: Space | Place) -> Path:
    """A folder for a new run, named after its space and the time."""
    name = "space" if isinstance(space, Space) else resources.space_file(str(space)).stem
    return Path("results") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"


def objectives_of(space: Space | Place) -> str:
    """Return the built-in objectives that carry the name of a built-in space.

    Raises:
        InputError: It is no built-in space, or has none.
    """
    if isinstance(space, str) and (resources.objectives_folder() / f"{space}.yaml").is_file():
        return space
    raise InputError("a space of your own needs objectives", fix="name them: --objectives FILE")


def _pins(inputs: _Inputs, places: Mapping[str, Path]) -> dict[str, str]:
    """The parents' ids with the commits that they stand for.

    An existing run keeps its own, and a sweep in the folder of a run has those of the run.
    """
    around = RunFolder(inputs.folder.path.parent)
    pins = around.read_pins() if around.sweep == inputs.folder.path else {}
    pins |= inputs.folder.read_pins()
    new = [ref for ref in inputs.space.parents() if ref not in pins]
    return pin_parents(new, places) | pins


def _study(
    inputs: _Inputs,
    workshop: Workshop,
    scorer: ScoringProcess,
    warm: WarmStart | None,
    *,
    build_ahead: bool,
) -> Search:
    depth = next(iter(workshop.parents.values())).layout.n_layers
    return Search(
        space=inputs.space,
        objectives=inputs.objectives,
        build=workshop.candidate,
        build_ahead=build_ahead,
        score=scorer.score,
        order=lambda: scorer.tasks().order,
        parents={ref: parent_alone_recipe(ref) for ref in workshop.parents},
        use_references=scorer.use_references,
        shares=lambda recipe: recipe.shares(depth),
        words=lambda recipe: recipe.in_words(depth),
        space_text=inputs.space_text,
        warm_start=warm,
        fingerprints=fingerprints(workshop, inputs.objectives)
        | ({"warm start": digest_of(warm)} if warm else {}),
    )


def parent_alone_recipe(ref: str) -> Recipe:
    """Return the recipe of a parent as it is."""
    models = [{"model": ref, "parameters": {"weight": 1.0}}]
    return Recipe.from_dict({"merge_method": "linear", "models": models})


def _write_inputs(inputs: _Inputs, pins: Mapping[str, str], warm: WarmStart | None) -> None:
    """Put the space, the objectives, the pins and a warm start beside a new run's database."""
    folder = inputs.folder
    if not folder.space.exists():
        write_text(folder.space, inputs.space_text)
    if not folder.objectives.exists():
        write_text(folder.objectives, inputs.objectives.to_yaml())
    if not folder.pins.exists():
        folder.write_pins(pins)
    if warm is not None and not folder.warm_start.exists():
        write_json(folder.warm_start, warm.to_dict())
