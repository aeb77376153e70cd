"""A space to begin with, made from a recipe or from a file for mergekit-evolve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mergesearch._system import resources
from mergesearch._system.files import read_text
from mergesearch.errors import InputError
from mergesearch.recipe import load_document, to_yaml
from mergesearch.runs.inputs import errors_with_lines, read_recipe
from mergesearch.runs.kinds import Kind, kind_of, refuse_other
from mergesearch.space import Space
from mergesearch.space.evolve import objectives_from_tasks, space_of
from mergesearch.space.from_recipe import SearchableValue, opened, openings
from mergesearch.space.ties import by_default

_EVOLVE_NOTE = (
    "# One axis for each task. Raise a reference to chance level where answers are picked.\n"
)

Choose = Callable[[Sequence[SearchableValue], Sequence[SearchableValue]], Sequence[SearchableValue]]
"""What can be searched, and what would be by default -> what is searched."""


@dataclass(frozen=True)
class NewSpace:
    """A space file, to be written.

    Attributes:
        text: YAML of the space.
        objectives: YAML of objectives that come with it, None where there are none.
        searched: Names of the values whose numbers are searched.
        tied: Number of values that one dimension multiplies, by the name of the dimension.
        dimensions: Number of dimensions.
    """

    text: str
    objectives: str | None = None
    searched: tuple[str, ...] = ()
    tied: Mapping[str, int] = field(default_factory=dict)
    dimensions: int = 0


def demo_space() -> NewSpace:
    """Return the space of the demo."""
    return NewSpace(read_text(resources.space_file("demo")))


def space_from(source: Path, choose: Choose = lambda found, default: default) -> NewSpace:
    """Return a space made from a recipe, or space and objectives from a file for mergekit-evolve.

    The recipe's own numbers are tried first.

    Args:
        source: Recipe or file for mergekit-evolve.
        choose: Function that chooses what is searched of a recipe.

    Raises:
        InputError: The file holds neither, or nothing that can be searched.
    """
    refuse_other(source, Kind.RECIPE, Kind.EVOLVE)
    if kind_of(source) is not Kind.EVOLVE:
        return _from_recipe(source, choose)
    text = read_text(source)
    with errors_with_lines(text, source):
        document = load_document(text, source)
        space = space_of(document, source)
        names = [dimension.name for dimension in Space(space, source).dimensions]
        objectives = _EVOLVE_NOTE + to_yaml([objectives_from_tasks(document, source)])
    searched = tuple(dict.fromkeys(name.partition("[")[0] for name in names))
    return NewSpace(to_yaml([space]), objectives, searched, dimensions=len(names))


def _from_recipe(source: Path, choose: Choose) -> NewSpace:
    document = read_recipe(source).to_dict()
    found = openings(document)
    if not found:
        raise InputError(
            "the recipe has no number that can be searched",
            where=source,
            fix="give its parents a `weight`, or write {search: [low, high]} by hand",
        )
    chosen = choose(found, by_default(found))
    space = opened(document, chosen)
    dimensions = Space(space, source).dimensions
    stages = space.pop("stages", [])
    return NewSpace(
        to_yaml([*stages, space]),
        searched=tuple(value.name for value in chosen if value.tie is None),
        tied=Counter(value.tie for value in chosen if value.tie is not None),
        dimensions=len(dimensions),
    )


def named(found: Sequence[SearchableValue], names: str) -> list[SearchableValue]:
    """Return what a list of names by commas opens: parameters, or one parent's parameter.

    Raises:
        InputError: Nothing has one of the names.
    """
    chosen: list[SearchableValue] = []
    for name in (name.strip() for name in names.split(",")):
        fitting = [value for value in found if name in (value.parameter.name, value.name)]
        if not fitting:
            parameters = [value.parameter.name for value in found]
            known = dict.fromkeys(parameters + [value.name for value in found])
            raise InputError(
                f"there is nothing to search called {name!r}",
                where="--open",
                expected=", ".join(known),
            )
        chosen += [value for value in fitting if value not in chosen]
    return chosen
