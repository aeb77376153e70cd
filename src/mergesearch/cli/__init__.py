"""The command line: one module a command, imported when it is called; errors are caught here."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mergesearch import __version__
from mergesearch._system.files import in_words
from mergesearch._system.terminal import say
from mergesearch.errors import Ending, InputError, Interrupted, MergeSearchError

COMMANDS = {
    "run": "Search a space for its Pareto front.",
    "worker": "Join a run and work on it until it ends.",
    "sweep": "Score the line between two parents: what a search has to beat.",
    "status": "Show how far a run has got.",
    "front": "Show the Pareto front of a run.",
    "trials": "Show all trials of a run as a table.",
    "show": "Show one trial of a run, alone or against another.",
    "compare": "Compare two candidates item by item.",
    "report": "Write a report of a run: one page for a browser.",
    "dashboard": "Show a run in Optuna's dashboard.",
    "export": "Export a trial of a run: its recipe, a card or a Modelfile.",
    "build": "Build the model that a recipe describes, or a trial of a run.",
    "upload": "Upload a finished folder to the Hugging Face Hub.",
    "score": "Score a model as a run does.",
    "check": "Check a space, recipe or objectives; estimate what it takes.",
    "init": "Write a search space: from a recipe, or by asking questions.",
    "list": "List built-in spaces and objectives, and the runs in a folder.",
    "doctor": "Show what this machine offers.",
}
"""Every command with its summary; the module of that name holds it as `command`."""

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SETTINGS = {"help_option_names": ["-h", "--help"]}


class _LazyCommand(TyperCommand):
    """A command whose module is imported when it is called, not when it is listed."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:
        from mergesearch.report.progress import working

        with working("loading"):
            module = importlib.import_module(f"mergesearch.cli.{self.name}")
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(self.name, context_settings=_SETTINGS)(module.command)
        return typer.main.get_command(single).make_context(info_name, args, *rest, **extra)


class _Commands(TyperGroup):
    """The group of all commands in the order of `COMMANDS`."""

    def __init__(self, **attributes: Any) -> None:
        commands = [_LazyCommand(name, help=summary) for name, summary in COMMANDS.items()]
        super().__init__(**attributes | {"commands": commands})

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS]  # `list` here is the module of that command


app = typer.Typer(
    cls=_Commands,
    name="search",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=_SETTINGS,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"mergesearch {__version__}")
        raise typer.Exit


@app.callback()
def _search(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Search for the best merges of your fine-tunes, each scored as the Q4 GGUF that ships."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a known error becomes its message and its exit code."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an ASCII terminal shows \xb1 for ±
    before = {number: signal.signal(number, _interrupt) for number in _STOPPING}
    try:
        app(arguments, prog_name="search")
    except Ending as error:
        say(str(error) if isinstance(error, Interrupted) else f"error: {error}", error=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            say("error: the disk is full: make room, then run the same command again", error=True)
            sys.exit(MergeSearchError.exit_code)
        if error.filename is None and not isinstance(error, FileNotFoundError):
            raise
        where = error.filename or "the current folder"  # its removal alone is told without a name
        say(f"error: {where}: {in_words(error)}", error=True)
        sys.exit(InputError.exit_code)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_closed_streams() -> None:
    """Let no file of ours get the number of a standard stream that is closed (`>&-`).

    What libraries write there would go into that file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Typer would turn a KeyboardInterrupt into exit code 1.
    raise Interrupted("stopped")
