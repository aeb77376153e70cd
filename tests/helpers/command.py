"""Runs the `search` command inside the test process."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from mergesearch.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command gave: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def search(*arguments: object) -> Outcome:
    """Run `search ARGUMENTS` and return what it gave."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    return Outcome(
        code if isinstance(code, int) else int(code is not None), out.getvalue(), err.getvalue()
    )
