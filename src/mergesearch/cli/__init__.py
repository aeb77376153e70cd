"""The command line: one module per command; this one puts them together and catches once."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import typer

from mergesearch.cli.build import build
from mergesearch.cli.check import check
from mergesearch.cli.doctor import doctor
from mergesearch.cli.export import export
from mergesearch.cli.front import front
from mergesearch.cli.init import init
from mergesearch.cli.run import run
from mergesearch.cli.score import score
from mergesearch.cli.show import show
from mergesearch.cli.status import status
from mergesearch.errors import InputError, Interrupted, MergeSearchError

app = typer.Typer(
    name="search",
    help="Search for the best merges of your fine-tunes, each scored as the Q4 GGUF that ships.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _command in (run, status, front, show, export, build, score, init, check, doctor):
    app.command()(_command)


def main() -> None:
    """Run the command line; a known error becomes its message and its exit code."""
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except MergeSearchError as error:
        print(str(error) if isinstance(error, Interrupted) else f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(InputError.exit_code)
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Typer would turn a KeyboardInterrupt into exit code 1.
    raise Interrupted("stopped")
