"""What a shell is offered beside commands, options and files.

Every command imports this module: what reads runs is imported where a shell asks.
"""

from __future__ import annotations

from pathlib import Path

import typer

from mergesearch.errors import MergeSearchError


def spaces(incomplete: str) -> list[str]:
    """Return the built-in spaces; the shell adds files."""
    from mergesearch.runs.listing import built_in_spaces

    return [name for name in built_in_spaces() if name.startswith(incomplete)]


def objectives(incomplete: str) -> list[str]:
    """Return the built-in objectives; the shell adds files."""
    from mergesearch.runs.listing import built_in_objectives

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
