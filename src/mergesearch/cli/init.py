"""`search init`: a space to begin with, made from a recipe or a file for mergekit-evolve."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.machine import available_memory
from mergesearch._system.terminal import say
from mergesearch.cli.output import STANDARD_OUTPUT, Force, deliver, out_option, refuse_existing
from mergesearch.errors import InputError
from mergesearch.runs.asked_space import Answers, interview, objectives_text, space_text
from mergesearch.runs.new_space import NewSpace, demo_space, named, space_from
from mergesearch.space.from_recipe import SearchableValue


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
            help="Parameters to search, such as weight,density or a.weight; default: ask for them.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        out_option(
            "FILE", "Space to write, - for standard output; default: NAME-space.yaml for NAME.yaml."
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Write a search space: from a recipe, or by asking questions.

    The recipe's own numbers are tried first. A mergekit-evolve file gives objectives too. Without
    --from, a few questions on a terminal lead to a space and objectives; elsewhere the demo's space
    is copied.

    Example: search init --from merge.yaml --open weight,density
    """
    if source is None:
        if open_ is not None:
            raise InputError("--open only works with --from")
        target = out or Path("space.yaml")
        answers = _interview(target, force) if sys.stdin.isatty() else None
        if answers is not None:
            _write_asked(answers, target, force)
            return
        space = demo_space()
        objectives = "demo"
    else:
        choose = _asked if open_ is None else lambda found, default: named(found, open_)
        space = space_from(source, choose)
        target = out or source.with_name(f"{source.stem}-space.yaml")
        objectives = "FILE"
    if space.objectives and source is not None:
        objectives = str(target.with_name(f"{source.stem}-objectives.yaml"))
        deliver(space.objectives, Path(objectives), force, f"objectives -> {objectives}")
    deliver(space.text, target, force, f"space -> {target}")
    if target != STANDARD_OUTPUT:
        _say_what_next(space, target, objectives)


def _say_what_next(space: NewSpace, target: Path, objectives: str) -> None:
    if space.searched or space.tied:
        names = ", ".join((*space.searched, *space.tied))
        say(f"searched: {names} ({space.dimensions} dimensions)")
    for name, values in space.tied.items():
        what = "all numbers of one value" if values == 1 else f"{values} values together"
        say(f"{name} multiplies {what}: few dimensions; --open searches each number")
    say(f"next: search check {target} --objectives {objectives}")
    say(f"then: search run {target} --objectives {objectives}")


def _interview(target: Path, force: bool) -> Answers | None:
    """Ask a few questions, where the defaults are what this machine offers.

    Raises:
        InputError: A file that the answers would go into is there already.
    """
    from mergesearch.scoring.engine.features import features

    for file in (target, _objectives_of(target)):
        refuse_existing(file, force)
    return interview(_ask, available_memory(), gpu=features().gpu)


def _ask(question: str, default: str) -> str:
    return str(typer.prompt(question, default=default, show_default=bool(default))).strip()


def _objectives_of(space: Path) -> Path:
    return space.with_name("objectives.yaml")


def _write_asked(answers: Answers, target: Path, force: bool) -> None:
    objectives = _objectives_of(target)
    deliver(space_text(answers), target, force, f"space -> {target}")
    deliver(objectives_text(answers), objectives, force, f"objectives -> {objectives}")
    both = f"{target} --objectives {objectives}"
    memory = "" if answers.memory is None else f" --memory {answers.memory:g}GB"
    check = f"search check {both}{memory}"
    say(f"next, once with a network: HF_HUB_OFFLINE=0 HF_DATASETS_OFFLINE=0 {check}")
    say(f"then: search run {both} --hours {answers.hours:g}{memory}")


def _asked(
    found: Sequence[SearchableValue], default: Sequence[SearchableValue]
) -> Sequence[SearchableValue]:
    """Let the person at a terminal choose by numbers; elsewhere the default is taken."""
    if not sys.stdin.isatty():
        return default
    say("What shall be searched?")
    marked = {value.path for value in default}
    for number, value in enumerate(found, 1):
        low, high = value.range
        mark = "*" if value.path in marked else " "
        now = _shortened(str(value.value))
        say(f" {mark} {number}. {value.name}: now {now}, then {low:g} to {high:g}")
    answer = typer.prompt("Numbers by commas", default="the marked ones").strip()
    if answer == "the marked ones":
        return default
    numbers = [number.strip() for number in answer.split(",")]
    if not all(number.isdecimal() and 1 <= int(number) <= len(found) for number in numbers):
        raise InputError(
            f"{answer!r} is not one of the choices", expected=f"numbers from 1 to {len(found)}"
        )
    return [found[int(number) - 1] for number in dict.fromkeys(numbers)]


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
