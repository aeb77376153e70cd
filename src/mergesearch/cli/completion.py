"""What a shell is offered beside commands, options and files."""

from __future__ import annotations

from pathlib import Path

import typer

from mergesearch.errors import MergeSearchError
from mergesearch.runs.listing import built_in_objectives, built_in_spaces


def spaces(incomplete: str) -> list[str]:
    """Return the built-in spaces; the shell adds files."""
    return [name for name in built_in_spaces() if name.startswith(incomplete)]


def objectives(incomplete: str) -> list[str]:
    """Return the built-in objectives; the shell adds files."""
    return [name for name in built_in_objectives() if name.startswith(incomplete)]


def picks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return what a trial of the run on the command line can be named by."""
    from mergesearch.runs.run import Run

    try:
        front = Run(Path(ctx.params["folder"])).front()
    except (KeyError, TypeError, MergeSearchError):
        return []
    named = ["knee", *(f"best:{axis.name}" for axis in front.axes)]
    named += [str(member.trial) for member in front.members]
    return [name for name in named if name.startswith(incomplete)]
