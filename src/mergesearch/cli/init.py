"""`search init`: a space to begin with, made from a recipe or a file for mergekit-evolve."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mergesearch.cli.options import read_text, write_text
from mergesearch.errors import InputError

if TYPE_CHECKING:
    from mergesearch.space.from_recipe import SearchableValue

SPACE_SUFFIX, OBJECTIVES_SUFFIX = "-space.yaml", "-objectives.yaml"
_EVOLVE_KEY = "genome"


def command(
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="A mergekit recipe, or a file for mergekit-evolve."
        ),
    ] = None,
    open_: Annotated[
        str | None,
        typer.Option(
            "--open",
            metavar="NAMES",
            help="Parameters to search, by commas: weight,density or a.weight; default: asked for.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Space to write; default: FILE's name-space.yaml."),
    ] = None,
) -> None:
    """Make a search space from a recipe, or copy the demo's.

    The recipe's own numbers are tried first. A mergekit-evolve file gives objectives too.

    Example: search init --from merge.yaml --open weight,density
    """
    from mergesearch._system import resources

    target = output or Path("space.yaml")
    if source is None:
        if open_ is not None:
            raise InputError("--open goes with --from")
        text = read_text(resources.space_file("demo"))
        _write_new(target, text, "search run {} --objectives demo")
        return
    document = _document(source)
    target = output or source.with_name(source.stem + SPACE_SUFFIX)
    if _EVOLVE_KEY in document:
        _from_evolve(document, source, target)
    else:
        _from_recipe(source, target, open_)


def _document(source: Path) -> dict[str, Any]:
    from mergesearch.recipe import load_document

    return load_document(read_text(source), source)


def _from_evolve(document: Mapping[str, Any], source: Path, target: Path) -> None:
    from mergesearch.recipe.write import to_yaml
    from mergesearch.space import Space
    from mergesearch.space.evolve import objectives_of, space_of

    objectives = target.with_name(source.stem + OBJECTIVES_SUFFIX)
    space = space_of(document, source)
    Space(space, source)
    scored = objectives_of(document, source)
    note = "# One axis for each task. Raise a reference to chance level where answers are picked.\n"
    _refuse_existing(objectives)
    _write_new(target, to_yaml([space]), f"search run {{}} --objectives {objectives}")
    write_text(objectives, note + to_yaml([scored]))
    print(f"objectives -> {objectives}")


def _from_recipe(source: Path, target: Path, names: str | None) -> None:
    from mergesearch.recipe import Recipe
    from mergesearch.recipe.write import to_yaml
    from mergesearch.space import Space
    from mergesearch.space.from_recipe import by_default, opened, openings, spelled_out

    recipe = Recipe.from_yaml(read_text(source), source)
    document = recipe.to_dict()
    found = openings(document)
    if not found:
        raise InputError(
            "the recipe has no number that can be searched",
            where=source,
            fix="give its parents a `weight`, or write {search: [low, high]} by hand",
        )
    default = by_default(found)
    if names is not None:
        chosen = named(found, names)
    elif sys.stdin.isatty():
        chosen = _asked(found, default)
    else:
        chosen = default
    space = opened(document, chosen)
    tried = Recipe.from_dict(spelled_out(document, chosen), source)
    values = Space(space, source).parameters_of(tried)
    space["start_from"] = [{"values": values}]
    Space(space, source)
    stages = space.pop("stages", [])
    _write_new(target, to_yaml([*stages, space]), "search run {} --objectives FILE")
    print(f"searched: {', '.join(one.name for one in chosen)} ({len(values)} dimensions)")


def named(found: Sequence[SearchableValue], names: str) -> list[SearchableValue]:
    """Return what a list of names by commas opens: parameters, or one parent's parameter.

    Raises:
        InputError: a name that nothing has.
    """
    chosen: list[SearchableValue] = []
    for name in (one.strip() for one in names.split(",")):
        fitting = [one for one in found if name in (one.parameter.name, one.name)]
        if not fitting:
            known = dict.fromkeys(
                [one.parameter.name for one in found] + [one.name for one in found]
            )
            raise InputError(
                f"nothing to open is called {name!r}", where="--open", expected=", ".join(known)
            )
        chosen += [one for one in fitting if one not in chosen]
    return chosen


def _asked(
    found: Sequence[SearchableValue], default: Sequence[SearchableValue]
) -> list[SearchableValue]:
    """Let the person at the terminal choose by numbers."""
    print("What shall be searched?")
    for number, one in enumerate(found, 1):
        low, high = one.hole["search"]
        mark = "*" if one in default else " "
        print(f" {mark} {number}. {one.name}: now {_short(one.value)}, then {low:g} to {high:g}")
    answer = typer.prompt("Numbers by commas", default="the marked ones").strip()
    if answer == "the marked ones":
        return list(default)
    numbers = [one.strip() for one in answer.split(",")]
    if not all(one.isdecimal() and 1 <= int(one) <= len(found) for one in numbers):
        raise InputError(f"{answer!r} is no choice", expected=f"numbers from 1 to {len(found)}")
    return [found[int(one) - 1] for one in dict.fromkeys(numbers)]


def _short(value: Any) -> str:
    text = f"{value}"
    return text if len(text) <= 40 else text[:37] + "..."


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise InputError("it exists already", where=path, fix="name another: -o FILE")


def _write_new(path: Path, text: str, command: str) -> None:
    _refuse_existing(path)
    write_text(path, text)
    print(f"space -> {path}")
    print(f"next: {command.format(path)}")
