"""The console that reports are printed on."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from mergesearch._system.terminal import printable

_LEAST_COLUMNS = 40  # of fewer, tables lose columns, then everything

_OF_NOTEBOOK = "JPY_PARENT_PID"  # set by Jupyter for its kernels, and so for what they start


class SafeConsole(Console):
    """A console that writes control characters in what it shows as `\\u001b`; see `printable`.

    Nor are names taken for markup (`[red]`) or emoji (`:x:`). A terminal that says it has next to
    no columns, or none, gets lines that it has to break.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, markup=False, emoji=False)
        if self.width < _LEAST_COLUMNS:
            self.width = _LEAST_COLUMNS

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render something to segments whose texts are printable."""
        for segment in super().render(renderable, options):
            if segment.control is None:
                segment = Segment(printable(segment.text), segment.style)
            yield segment


def redraws(console: Console) -> bool:
    """Return whether what a console shows can be drawn anew in its place.

    A notebook has a terminal for the commands that it starts, but the cursor cannot move up there;
    nor can it where `TERM` is `dumb`, or in a file that is to have colors.
    """
    return console.is_interactive and console.file.isatty() and _OF_NOTEBOOK not in os.environ
