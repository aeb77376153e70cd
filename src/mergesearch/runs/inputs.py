"""What a command or a call names: spaces, objectives, recipes and places of parents, read once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from mergesearch._system import resources
from mergesearch._system.files import read_text
from mergesearch._system.yaml_text import line_of
from mergesearch.build import Workshop
from mergesearch.errors import (
    InputError,
    MissingParent,
    ObjectivesError,
    RecipeError,
    SpaceError,
)
from mergesearch.merge.masses import layer_masses
from mergesearch.objectives import Objectives
from mergesearch.parents import ids_in
from mergesearch.recipe import Recipe, to_yaml
from mergesearch.recipe.reading import IN_STAGE
from mergesearch.runs.kinds import Kind, refuse_other
from mergesearch.space import Space
from mergesearch.space.holes import GROUP_FILTERS

Place = str | Path
"""A path, or the name of something built in."""


def read_space(space: Space | Place) -> tuple[Space, str]:
    """Return a space and its text: given as an object, a file, or the name of a built-in one.

    Raises:
        InputError: There is neither a file nor a built-in space of that name.
        SpaceError, RecipeError: The file is not a space.
    """
    if isinstance(space, Space):
        return space, space_yaml(space)
    refuse_other(Path(space), Kind.SPACE)
    path = resources.space_file(str(space))
    text = read_text(path)
    with errors_with_lines(text, path):
        return Space.from_yaml(text, path), text


def space_yaml(space: Space) -> str:
    """Return a space as YAML."""
    document = space.to_dict()
    return to_yaml([*document.pop("stages", []), document])


def read_objectives(objectives: Objectives | Place) -> Objectives:
    """Return objectives, given as an object, a file, or the name of built-in ones.

    Raises:
        InputError: There is neither a file nor built-in objectives of that name.
        ObjectivesError: The file is malformed.
    """
    if isinstance(objectives, Objectives):
        return objectives
    refuse_other(Path(objectives), Kind.OBJECTIVES)
    path = resources.objectives_file(str(objectives))
    text = read_text(path)
    with errors_with_lines(text, path, "objectives file"):
        return Objectives.from_yaml(text, path.parent)


def own_objectives(space: Space | Place) -> str | None:
    """Return the name of the built-in objectives of a built-in space, None where it has none."""
    if isinstance(space, str) and (resources.objectives_folder() / f"{space}.yaml").is_file():
        return space
    return None


def read_recipe(recipe: Recipe | Place) -> Recipe:
    """Return a recipe, given as an object or a file.

    Raises:
        InputError: There is no such file.
        RecipeError: The file is not a recipe.
    """
    if isinstance(recipe, Recipe):
        return recipe
    path = Path(recipe)
    refuse_other(path, Kind.RECIPE)
    text = read_text(path)
    with errors_with_lines(text, path):
        return Recipe.from_yaml(text, path)


@contextmanager
def errors_with_lines(text: str, path: Path, name: str | None = None) -> Iterator[None]:
    """Let an error of a file say which file it is in, and in which line as far as that is known.

    Args:
        text: Text of the file.
        path: Path of the file.
        name: What errors call the file; None for its path.
    """
    try:
        yield
    except (RecipeError, SpaceError, ObjectivesError) as error:
        error.where = _with_line(error, text, path, name or str(path))
        raise


@contextmanager
def errors_of_objectives(objectives: Objectives | Place) -> Iterator[None]:
    """Let what is found wrong with objectives while they are used say the file and the line.

    Args:
        objectives: Objectives as they were given: an object has no file.
    """
    try:
        yield
    except ObjectivesError as error:
        in_file = (error.where or "").startswith(("objectives.", "runtime."))
        if in_file and not isinstance(objectives, Objectives):
            path = resources.objectives_file(str(objectives))
            error.where = _with_line(error, read_text(path), path, "")
        raise


def _with_line(error: InputError, text: str, path: Path, name: str) -> str:
    """Where an error is: the path, the line, the stage where it is in one, and the keys."""
    place = (error.where or "").removeprefix(name)
    if place.startswith(", line"):  # the text is not valid YAML
        return f"{path}{place}"
    stage, keys = "", place.removeprefix(": ")
    if place.startswith(IN_STAGE):
        stage, _, keys = place.removeprefix(IN_STAGE).partition(": ")
    named = re.search("['`]([^'`]+)['`]", error.what)
    line = line_of(text, keys, "" if named is None else named[1], stage)
    where = str(path) if line is None else f"{path}, line {line}"
    return ": ".join(filter(None, (where, f"stage {stage}" if stage else "", keys)))


def parent_places(places: Mapping[str, Place] | None, refs: Iterable[str]) -> dict[str, Path]:
    """Return the places of parents' copies; an id may also be one side of `PARENT+ADAPTER`.

    Raises:
        InputError: No parent has the id, or there is nothing in its place.
    """
    known = list(dict.fromkeys(part for ref in refs for part in ids_in(ref)))
    found = {ref: resources.expanded(place) for ref, place in (places or {}).items()}
    for ref, place in found.items():
        if ref not in known:
            raise InputError(f"no parent {ref!r}", where="--parent", expected=", ".join(known))
        if not place.exists():
            raise InputError(f"no such folder or file for {ref!r}", where=place)
    return found


def open_workshop(
    model: Recipe | Space,
    parents: Mapping[str, Place] | None = None,
    template: Place | None = None,
    threads: int | None = None,
    pins: Mapping[str, str] | None = None,
    scratch: Path | None = None,
    file: Place | None = None,
) -> Workshop:
    """Open the parents of a recipe or of a whole space, for building.

    Args:
        model: Recipe or space that names the parents.
        parents: Folders or GGUF files in place of parents' ids.
        template: GGUF of one parent, for an architecture that is not built in.
        threads: Number of threads that build; None for one per processor.
        pins: Commits that ids of the hub stand for: id -> `ID@COMMIT`.
        scratch: Folder for what is needed again and does not fit in memory; None for the system's
            temporary one.
        file: File that the recipe was read from, for messages; a space knows its own.

    Raises:
        InputError: No parent has an id in `parents`, or there is nothing in its place.
        RecipeError, CheckpointError: A parent cannot be opened, or none explains the template.
    """
    refs = model.parents()
    try:
        return Workshop.open(
            refs,
            stages=model.stages(),
            overrides=parent_places(parents, refs),
            pins=pins,
            template=None if template is None else Path(template),
            threads=threads,
            scratch=scratch,
        )
    except (MissingParent, RecipeError) as error:
        path = Path(model.where if isinstance(model, Space) else file or "")
        if error.where is None and path.is_file():
            error.where = _with_line(error, read_text(path), path, "")
        raise


def notes(model: Recipe | Space, workshop: Workshop, example: Recipe) -> list[str]:
    """Return what a person should know of the parents and of the starts, one sentence each.

    Args:
        example: Recipe of the space, or the recipe itself.
    """
    found = list(workshop.notes(example))
    if isinstance(model, Space):
        n_layers = max(parent.layout.n_layers for parent in workshop.parents.values())
        found += [
            f"{name} has {points} points over {n_layers} layers: more than one a layer adds nothing"
            for name, points in model.curves().items()
            if points > n_layers
        ]
        found += [
            f"{name}: {'points at' if cut.kind == 'curve' else 'blocks up to'} the layers"
            f" {', '.join(map(str, cut.layers))}"
            for name, cut in model.cuts().items()
        ]
    if isinstance(model, Space) and (missing := model.left_out()):
        found.append(f"not among the starts, since the space lacks it: {'; '.join(missing)}")
    return found


def fitted_space(space: Space, workshop: Workshop) -> Space:
    """Return a space as its parents need it, the space itself where that changes nothing.

    The depth is cut, where the space asks for that, by how much the parents differ; and what it
    says of the MLP holds for the experts of parents that call theirs `block_sparse_moe`.

    Raises:
        SpaceError: There are more blocks than layers.
    """
    first = next(iter(workshop.parents.values()))
    if any(GROUP_FILTERS["moe"] in name for name in first.tensors):
        space = space.of_experts()
    if not space.needs_cut():
        return space
    masses, path = layer_masses(workshop.parents, space.base()), Path(space.where)
    with errors_with_lines(read_text(path), path) if path.is_file() else nullcontext():
        return space.cut(masses)
