"""`search check`: everything that would fail in the night fails now, with what the night takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mergesearch.cli.options import (
    AsJson,
    Parents,
    TemplateFile,
    Threads,
    TrustTasks,
    check_overrides,
    parent_folders,
    read_text,
)
from mergesearch.errors import InputError
from mergesearch.runs.memory import Memory, largest_workload, memory_budget

if TYPE_CHECKING:
    from mergesearch.build import Workshop
    from mergesearch.objectives import Objectives
    from mergesearch.recipe import Recipe
    from mergesearch.runs.budget import Workload
    from mergesearch.scoring import Rehearsal

Facts = dict[str, Any]


def command(
    file: Annotated[str, typer.Argument(help="A space, a recipe or an objectives file (YAML).")],
    objectives: Annotated[
        str | None, typer.Option(help="Objectives to check beside a space or recipe.")
    ] = None,
    parent: Parents = [],  # noqa: B006
    threads: Threads = None,
    template: TemplateFile = None,
    memory: Memory = None,
    trust_tasks: TrustTasks = False,
    as_json: AsJson = False,
) -> None:
    """Prove a space, recipe or objectives file; estimate what it takes.

    Parents are opened (those of the hub are downloaded first), every method and choice is planned,
    and the tasks are loaded; one layer is built and a few items are scored to measure this machine.

    Example: search check space.yaml --objectives objectives.yaml
    """
    from mergesearch._system import resources
    from mergesearch.recipe import load_document
    from mergesearch.report import render_check

    path = resources.space_file(file)
    document = load_document(read_text(path), path)
    wanted = None if objectives is None else _objectives(resources.objectives_file(objectives))
    if "objectives" in document:
        _refuse_beside_objectives(path, objectives, parent, template, memory)
        facts = _objectives_alone(path, trust_tasks)
    else:
        parsed = _File.parsed(document, path)
        workshop = _workshop(parsed, parent, template, threads)
        facts = _building(parsed, workshop, wanted, memory)
        if wanted is not None:
            facts |= _scoring(parsed, workshop, wanted, trust_tasks, facts)
    named = {"file": file} if objectives is None else {"file": file, "objectives": objectives}
    facts = named | facts
    print(json.dumps(facts, indent=2) if as_json else render_check(facts))


@dataclass(frozen=True)
class _File:
    """What a space or a recipe file holds.

    Attributes:
        kind: `space` or `recipe`.
        recipes: that show all of it.
        likely: a recipe whose candidate answers sensibly.
        refs: ids of all parents.
        stages: names of the merges that feed others.
    """

    kind: str
    recipes: Sequence[Recipe]
    likely: Recipe
    refs: tuple[str, ...]
    stages: tuple[str, ...]

    @classmethod
    def parsed(cls, document: Mapping[str, Any], path: Path) -> _File:
        """Read a document: with holes or starts it is a space."""
        from mergesearch.recipe import Recipe
        from mergesearch.space import Space
        from mergesearch.space.holes import find_holes

        if find_holes(document, str(path)) or "start_from" in document:
            space = Space(document, path)
            recipes, starts = space.examples("high"), space.starts()
            likely = space.recipe(starts[0]) if starts else recipes[0]
            return cls("space", recipes, likely, space.parents(), space.stages())
        recipe = Recipe.from_dict(document, path)
        stages = tuple(str(one.name) for one in recipe.stages)
        return cls("recipe", [recipe], recipe, recipe.parents(), stages)

    def of_each_method(self) -> list[Recipe]:
        """Return one recipe of each combination of methods: they differ in the time they take."""
        found = {
            tuple(one.merge_method for one in (*recipe.stages, recipe)): recipe
            for recipe in self.recipes
        }
        return list(found.values())


def _workshop(
    file: _File, parent: list[str], template: Path | None, threads: int | None
) -> Workshop:
    """Open a file's parents, and prove the template on one of them."""
    from mergesearch.build import Workshop

    folders = parent_folders(parent)
    check_overrides(folders, file.refs)
    return Workshop.open(
        file.refs, stages=file.stages, overrides=folders, template=template, threads=threads
    )


def _objectives(path: Path) -> Objectives:
    from mergesearch.objectives import Objectives

    return Objectives.from_yaml(read_text(path), path.parent)


def _refuse_beside_objectives(path: Path, *others: object) -> None:
    if any(others):
        raise InputError(
            "an objectives file is checked alone",
            where=path,
            expected="--objectives, --parent, --template and --memory with a space or a recipe",
        )


def _objectives_alone(path: Path, trust_tasks: bool) -> Facts:
    from mergesearch.scoring import ScoringProcess

    wanted = _objectives(path)
    with ScoringProcess(wanted, trust_tasks=trust_tasks) as scorer:
        scorer.start()
    return {"kind": "objectives", **_items(wanted)}


def _items(wanted: Objectives) -> Facts:
    return {
        "items_of_a_trial": sum(one.search_items for one in wanted.tasks()),
        "items_of_validation": sum(one.validate_items for one in wanted.tasks()),
    }


def _building(
    file: _File, workshop: Workshop, wanted: Objectives | None, memory: str | None
) -> Facts:
    """What building takes, and all of memory and disk; what does not fit is refused."""
    from mergesearch.quantize.formats import FLOAT_TYPES
    from mergesearch.runs.budget import check_budget

    runtime = None if wanted is None else wanted.runtime
    work = largest_workload(workshop, file.recipes, runtime)
    budget = memory_budget(memory)
    check_budget(work, budget, named=memory is not None)
    measured = [workshop.estimate(recipe) for recipe in file.of_each_method()]
    parameters = max(one.parameters for one in measured)
    return {
        "kind": file.kind,
        "parents": len(workshop.parents),
        "layers": work.shape.layers,
        "hidden": work.shape.hidden,
        "recipes_planned": len(file.recipes),
        "parameters": parameters,
        "build_seconds": max(one.seconds for one in measured),
        "memory": _memory(work, budget),
        "disk": {
            "gguf": work.size,
            "safetensors": parameters * FLOAT_TYPES[file.likely.dtype].size,
            "free": shutil.disk_usage(Path.cwd()).free,
        },
    }


def _memory(work: Workload, budget: int | None) -> Facts:
    from mergesearch.runs.budget import builds_ahead

    ahead = builds_ahead(work, budget)
    return {"parts": work.parts(), "total": work.total, "budget": budget, "builds_ahead": ahead}


def _scoring(
    file: _File, workshop: Workshop, wanted: Objectives, trust_tasks: bool, built: Facts
) -> Facts:
    """How long scoring takes, and how many trials that makes of a night."""
    from mergesearch.runs.rehearsing import rehearse
    from mergesearch.scoring import ScoringProcess
    from mergesearch.study.proxies import candidates

    if file.kind == "space":
        candidates(wanted, file.refs)  # refuses a specialist that is no parent
    with ScoringProcess(wanted, trust_tasks=trust_tasks) as scorer:
        scorer.start()
        found = rehearse(workshop, file.likely, scorer)
    facts = _items(wanted)
    if isinstance(found, str):
        return facts | {"scoring_seconds": None, "scoring_unknown": found}
    ahead = built["memory"]["builds_ahead"]
    return facts | scoring_facts(found, wanted, built["build_seconds"], ahead=ahead)


def scoring_facts(
    found: Rehearsal, wanted: Objectives, build_seconds: float, *, ahead: bool
) -> Facts:
    """Return what a rehearsal says of every rung and of a whole trial.

    Args:
        found: for the whole model.
        wanted: the objectives.
        build_seconds: of a candidate.
        ahead: whether it is built while the one before is scored.
    """
    from mergesearch.objectives import ITEM_RUNGS, Rung

    rungs = dict.fromkeys((wanted.first_rung, *ITEM_RUNGS))
    seconds = {rung: found.seconds(rung, wanted.proxied_tasks()) for rung in rungs}

    def trial_of(scoring: float) -> float:
        return max(build_seconds, scoring) if ahead else build_seconds + scoring

    trial = trial_of(seconds[wanted.first_rung])
    promoted = {
        "promoted_trial_seconds": trial_of(seconds[wanted.first_rung] + seconds[Rung.SEARCH])
    }
    return {
        "scoring_seconds": seconds,
        "scoring_at_most": found.at_most,
        "trial_seconds": trial,
        **(promoted if wanted.proxied_tasks() else {}),
        "trials_per_hour": 3600 / trial,
        "trials_in_8_hours": 8 * 3600 / trial,
    }
