"""`search check`: everything that would fail in the night fails now, with what the night takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mergesearch.cli.options import (
    AsJson,
    Parents,
    Threads,
    TrustTasks,
    check_overrides,
    parent_folders,
    read_text,
)
from mergesearch.errors import InputError

if TYPE_CHECKING:
    from mergesearch.checkpoint import Checkpoint
    from mergesearch.objective import Objectives
    from mergesearch.recipe import Recipe


def check(
    file: Annotated[str, typer.Argument(help="A space, a recipe or an objectives file (YAML).")],
    objectives: Annotated[
        str | None, typer.Option(help="Objectives to check beside a space or recipe.")
    ] = None,
    parent: Parents = [],  # noqa: B006
    threads: Threads = None,
    trust_tasks: TrustTasks = False,
    as_json: AsJson = False,
) -> None:
    """Prove a space, recipe or objectives file, and estimate time, memory and disk for it.

    Parents are opened (those of the hub are downloaded first), every method and choice is planned,
    one layer is built to measure this machine, and the tasks are loaded.

    Example: search check space.yaml --objectives objectives.yaml
    """
    from mergesearch import resources
    from mergesearch.recipe import load_document

    facts: dict[str, Any] = {}
    path = resources.space_file(file)
    document = load_document(read_text(path), path)
    if "objectives" in document:
        facts |= _objectives_facts(path, trust_tasks)
    else:
        facts |= _model_facts(document, path, parent_folders(parent), threads)
        if objectives is not None:
            scored = resources.objectives_file(objectives)
            facts |= _objectives_facts(scored, trust_tasks)
            _refuse_without_memory(facts)
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):<22}{_shown(name, value)}")


def _model_facts(
    document: Mapping[str, Any], path: Path, overrides: Mapping[str, Path], threads: int | None
) -> dict[str, Any]:
    """What a space or recipe makes, and what building it takes."""
    from mergesearch.candidate.estimate import estimate
    from mergesearch.checkpoint import open_all
    from mergesearch.merge import plan_merge

    kind, recipes, refs, stages = _recipes(document, path)
    check_overrides(overrides, refs)
    parents = open_all(refs, stages, overrides)
    for recipe in recipes:
        plan_merge(recipe, parents)
    measured = [estimate(recipe, parents, threads=threads) for recipe in _by_method(recipes)]
    largest = max(measured, key=lambda one: one.size)
    return {
        kind: f"{path} is valid",
        "parents": f"{len(refs)} fit each other, {_layers(parents)}",
        "recipes_planned": len(recipes),
        "parameters": largest.parameters,
        "candidate_bytes": largest.size,
        "build_seconds": round(max(one.seconds for one in measured), 2),
        "build_memory": _build_memory(largest.size),
        "memory_free": _free(),
        "disk_free": shutil.disk_usage(Path.cwd()).free,
    }


def _recipes(
    document: Mapping[str, Any], path: Path
) -> tuple[str, list[Recipe], tuple[str, ...], tuple[str, ...]]:
    """What kind of file it is, recipes that show all of it, its parents and its stages."""
    from mergesearch.recipe import Recipe
    from mergesearch.space import Space
    from mergesearch.space.holes import find_holes

    if find_holes(document, str(path)) or "start_from" in document:
        space = Space(document, path)
        return "space", space.examples("high"), space.parents(), space.stages()
    recipe = Recipe.from_dict(document, path)
    return "recipe", [recipe], recipe.parents(), tuple(str(one.name) for one in recipe.stages)


def _by_method(recipes: list[Recipe]) -> list[Recipe]:
    """One recipe of each combination of methods: they differ in the time they take."""
    found = {
        tuple(one.merge_method for one in (*recipe.stages, recipe)): recipe for recipe in recipes
    }
    return list(found.values())


def _layers(parents: Mapping[str, Checkpoint]) -> str:
    first = next(iter(parents.values()))
    return f"{first.layout.n_layers} layers of {first.layout.hidden}"


def _build_memory(size: int) -> int:
    """The candidate, llama.cpp's repacked copy of it, and the buffers of the threads."""
    return 2 * size + 500_000_000


def _free() -> int | None:
    from mergesearch.machine import available_memory

    return available_memory()


def _objectives_facts(path: Path, trust_tasks: bool) -> dict[str, Any]:
    """The tasks of an objectives file, loaded as a run loads them."""
    from mergesearch.objective import Objectives
    from mergesearch.scoring import ScoringProcess

    wanted = Objectives.from_yaml(read_text(path), path.parent)
    with ScoringProcess(wanted, trust_tasks=trust_tasks) as scorer:
        scorer.start()
    return {"objectives": f"{path}: all tasks load", **_items(wanted)}


def _items(wanted: Objectives) -> dict[str, Any]:
    uses = [use for objective in wanted.objectives for use in objective.uses]
    return {
        "items_of_a_trial": sum(one.search_items for one in uses),
        "items_of_validation": sum(one.validate_items for one in uses),
    }


def _refuse_without_memory(facts: Mapping[str, Any]) -> None:
    """Refuse what cannot fit in memory."""
    free = facts["memory_free"]
    if free is not None and facts["build_memory"] > free:
        raise InputError(
            f"a candidate and llama.cpp's copy of it take {facts['build_memory'] / 1e9:.1f} GB,"
            f" and {free / 1e9:.1f} GB are free",
            fix="close other programs, or choose a smaller mix",
        )


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "unknown"
    if name == "build_seconds":
        return f"{value:.0f} s a candidate" if value >= 10 else f"{value:.2f} s a candidate"
    if name == "parameters":
        return f"{value / 1e9:.3g} billion" if value >= 1e9 else f"{value / 1e6:.3g} million"
    if isinstance(value, int) and value >= 1_000_000:
        return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"
    return str(value)
