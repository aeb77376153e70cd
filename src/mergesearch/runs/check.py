"""Proving files before a run, and what the run will take on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergesearch._system import resources
from mergesearch.build import Workshop
from mergesearch.errors import InputError, RecipeError, ScorerCrashed
from mergesearch.objectives import ITEM_RUNGS, Objectives, Rung
from mergesearch.parents import Checkpoint
from mergesearch.quantize.formats import FLOAT_TYPES
from mergesearch.recipe import Recipe
from mergesearch.report.check import (
    BuildingReport,
    CheckReport,
    DiskReport,
    ItemsReport,
    MemoryReport,
    ScoringReport,
    SpaceReport,
)
from mergesearch.runs.budget import builds_ahead, largest_workload, share_out
from mergesearch.runs.inputs import (
    Place,
    errors_of_objectives,
    fitted_space,
    notes,
    open_workshop,
    own_objectives,
    read_objectives,
    read_recipe,
    read_space,
)
from mergesearch.runs.kinds import Kind, kind_of, refuse_other
from mergesearch.scoring import Rehearsal, ScoringProcess, at_depth
from mergesearch.scoring.memory import SMALL_MODEL_BYTES
from mergesearch.space import Space
from mergesearch.study.proxies import candidates
from mergesearch.study.racing import most_items

_DEPTHS = (1, 4)  # layers of the models that stand for a larger one


def check(
    file: Place,
    objectives: Place | None = None,
    *,
    parents: Mapping[str, Place] | None = None,
    template: Place | None = None,
    threads: int | None = None,
    memory: int | None = None,
    trust_tasks: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
) -> CheckReport:
    """Prove a space, recipe or objectives file, and estimate what it takes on this machine.

    Parents are opened, every method and choice is planned, and the tasks are loaded; one layer is
    built and a few items are scored to measure this machine.

    Args:
        file: Space, recipe or objectives file, or the name of a built-in space.
        objectives: Objectives to check beside a space or recipe; None for those of a built-in
            space, and for none where there are no such ones.
        parents: Folders or GGUF files in place of parents' ids.
        template: GGUF of one parent, for an architecture that is not built in.
        threads: Number of threads that build; None for one per processor.
        memory: Bytes that a run may take; None for all that is free.
        trust_tasks: Whether task YAMLs of the task folder may run Python code of their own.
        on_step: Function that is called with what is done next, in words.

    Raises:
        InputError: What a run would refuse.
        BuildError, ScoringError: What would fail in every trial.
    """
    refuse_other(Path(file), Kind.SPACE, Kind.RECIPE, Kind.OBJECTIVES)
    path = resources.space_file(str(file))
    if kind_of(path) is Kind.OBJECTIVES:
        if any((objectives, parents, template, memory)):
            raise InputError(
                "an objectives file is checked alone",
                where=path,
                expected="objectives, parents, template and memory with a space or a recipe",
            )
        wanted = read_objectives(path)
        on_step("loading the tasks")
        _load_tasks(wanted, path, trust_tasks)
        return CheckReport(str(file), "objectives", items=_items(wanted))
    model = _Model.read(path)
    objectives = objectives or own_objectives(file)
    on_step("opening the parents")
    workshop = open_workshop(model.source, parents, template, threads, file=path)
    model = model.fitted(workshop)
    on_step("planning every choice and building a layer")
    if objectives is None:
        building = _building(model, workshop, None, memory)
        return CheckReport(str(file), model.kind, space=model.report(), building=building)
    wanted = read_objectives(objectives)
    building = _building(model, workshop, wanted, memory)
    on_step("loading the tasks, and building and scoring a candidate in part")
    with errors_of_objectives(objectives):
        scoring = _scoring(model, workshop, wanted, building, trust_tasks)
    return CheckReport(
        str(file),
        model.kind,
        objectives=str(objectives),
        items=_items(wanted),
        space=model.report(),
        building=building,
        scoring=scoring,
    )


@dataclass(frozen=True)
class _Model:
    """What a space or a recipe file describes."""

    kind: str
    source: Space | Recipe
    recipes: Sequence[Recipe]  # that show every choice
    likely: Recipe  # whose candidate answers sensibly

    @classmethod
    def read(cls, path: Path) -> _Model:
        """Read a file: what is not known to be a space is read as a recipe."""
        if kind_of(path) is Kind.SPACE:
            return cls.of(read_space(path)[0])
        recipe = read_recipe(path)
        return cls("recipe", recipe, [recipe], recipe)

    @classmethod
    def of(cls, space: Space) -> _Model:
        """Return what a space describes."""
        recipes, starts = space.examples("high"), space.starts()
        return cls("space", space, recipes, space.recipe(starts[0]) if starts else recipes[0])

    def fitted(self, workshop: Workshop) -> _Model:
        """Return the model with its space as its parents need it."""
        if not isinstance(self.source, Space):
            return self
        space = fitted_space(self.source, workshop)
        return self if space is self.source else self.of(space)

    def report(self) -> SpaceReport | None:
        """Return what a space searches, and what proposes; None for a recipe."""
        if not isinstance(self.source, Space):
            return None
        from mergesearch.study.samplers import chosen_sampler  # loads Optuna

        return SpaceReport(tuple(self.source.dimensions), chosen_sampler("auto"))

    def of_each_method(self) -> list[Recipe]:
        """Return one recipe of each combination of methods: they differ in the time they take."""
        by_methods = {
            tuple(merge.method.name for merge in recipe.merges): recipe for recipe in self.recipes
        }
        return list(by_methods.values())


def _load_tasks(objectives: Objectives, path: Path, trust_tasks: bool) -> None:
    with errors_of_objectives(path), ScoringProcess(objectives, trust_tasks=trust_tasks) as scorer:
        scorer.start()


def _items(objectives: Objectives) -> ItemsReport:
    tasks = objectives.tasks()
    return ItemsReport(
        search=sum(task.search_items for task in tasks),
        trial=most_items(objectives),
        validate=sum(task.validate_items for task in tasks),
    )


def _building(
    model: _Model, workshop: Workshop, objectives: Objectives | None, memory: int | None
) -> BuildingReport:
    """What building takes, and all of memory and disk; what does not fit is refused."""
    runtime = None if objectives is None else objectives.runtime
    work = largest_workload(workshop, model.recipes, runtime)
    budget = share_out(memory, work, workshop)
    estimates = [workshop.estimate(recipe) for recipe in model.of_each_method()]
    parameters = max(estimate.parameters for estimate in estimates)
    return BuildingReport(
        parents=len(workshop.parents),
        layers=work.shape.layers,
        hidden=work.shape.hidden,
        recipes=len(model.recipes),
        parameters=parameters,
        seconds=max(estimate.seconds for estimate in estimates),
        memory=MemoryReport(work.parts(), work.total, budget, builds_ahead(work, budget)),
        disk=DiskReport(
            gguf=work.size,
            safetensors=parameters * FLOAT_TYPES[model.likely.last.dtype].size,
            free=shutil.disk_usage(Path.cwd()).free,
        ),
        notes=tuple(notes(model.source, workshop, model.likely)),
    )


def _scoring(
    model: _Model,
    workshop: Workshop,
    objectives: Objectives,
    building: BuildingReport,
    trust_tasks: bool,
) -> ScoringReport | str:
    """How long scoring takes, and how many trials that makes; or why that cannot be told."""
    if isinstance(model.source, Space):
        candidates(objectives, model.source.parents())  # refuses a specialist that is not a parent
    with ScoringProcess(objectives, trust_tasks=trust_tasks) as scorer:
        scorer.start()
        rehearsal = rehearse(workshop, model.likely, scorer)
    if isinstance(rehearsal, str):
        return rehearsal
    return scoring_report(
        rehearsal, objectives, building.seconds, ahead=building.memory.builds_ahead
    )


def scoring_report(
    rehearsal: Rehearsal, objectives: Objectives, build_seconds: float, *, ahead: bool
) -> ScoringReport:
    """Return what a rehearsal says of every rung and of a whole trial.

    Args:
        rehearsal: Rehearsal of the whole model.
        build_seconds: Seconds that building a candidate takes.
        ahead: Whether a candidate is built while the one before is scored.
    """
    first, proxied = objectives.first_rung, objectives.proxied_tasks()
    rungs = dict.fromkeys((first, *ITEM_RUNGS))
    seconds = {rung: rehearsal.seconds(rung, proxied) for rung in rungs}
    items = _items(objectives)
    seconds[Rung.SEARCH] *= items.trial / items.search

    def trial_of(scoring: float) -> float:
        return max(build_seconds, scoring) if ahead else build_seconds + scoring

    promoted = trial_of(seconds[first] + seconds[Rung.SEARCH]) if proxied else None
    trial_seconds = trial_of(seconds[first])
    return ScoringReport(seconds, rehearsal.at_most, trial_seconds, promoted, rehearsal.notes)


def rehearse(workshop: Workshop, recipe: Recipe, scorer: ScoringProcess) -> Rehearsal | str:
    """Return how fast a recipe's candidate is scored, or the reason why that cannot be told.

    Args:
        recipe: Recipe of a candidate that answers sensibly.

    Raises:
        CheckpointError, BuildError, ScoringError: What fails in the night, too.
    """
    n_layers = workshop.plan(recipe).layout.n_layers
    small = workshop.size(recipe) <= SMALL_MODEL_BYTES
    whole = small or n_layers <= _DEPTHS[-1]
    if workshop.blueprint is not None and not whole:
        return "with a template no layers can be left out"
    measured = {}
    for depth in (n_layers,) if whole else _DEPTHS:
        model = recipe if whole else first_layers(recipe, workshop.parents, depth)
        try:
            with workshop.candidate(model) as built:
                measured[depth] = scorer.rehearse(built, to_the_end=whole)
        except (RecipeError, ScorerCrashed) as error:
            if whole:
                raise
            return f"{depth} of {n_layers} layers cannot be tried: {error.what}"
    return at_depth(measured, n_layers)


def first_layers(recipe: Recipe, parents: Mapping[str, Checkpoint], count: int) -> Recipe:
    """Return the recipe of a parent's first layers, with the tokens and chat template of another.

    Args:
        recipe: Recipe of a whole candidate.
        count: Number of layers.
    """
    last = recipe.last
    refs = (last.tokenizer and last.tokenizer.source, *last.refs, *parents)
    source = {"model": next(ref for ref in refs if ref in parents), "layer_range": [0, count]}
    document: dict[str, Any] = {
        "merge_method": "passthrough",
        "slices": [{"sources": [source]}],
        "quantize": recipe.quantize.mix,
    }
    if last.chat_template is not None:
        document["chat_template"] = last.chat_template
    return Recipe.from_dict(document)
