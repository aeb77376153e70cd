"""Text on its way to a terminal: names and answers that others wrote must not steer it."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

# C0 but for tab and line feed, DEL, C1, marks and overrides of writing direction, lone surrogates.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Return a text with control characters written as `\\u001b`, as JSON does."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def say(text: str, *, end: str = "\n", error: bool = False) -> None:
    """Print a text, to standard error where `error`; every command prints by this or a console."""
    print(printable(text), end=end, file=sys.stderr if error else sys.stdout)


def say_sentence(sentence: str, *, error: bool = False) -> None:
    """Print a sentence; a terminal shows it broken between words, the rest of it indented."""
    stream = sys.stderr if error else sys.stdout
    if stream.isatty():
        indent = len(sentence) - len(sentence.lstrip()) + 2
        columns = shutil.get_terminal_size().columns
        sentence = "\n".join(
            textwrap.wrap(
                sentence,
                max(20, columns),
                subsequent_indent=" " * indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    say(sentence, error=error)


def page(text: str) -> None:
    """Print a text, by a pager where a terminal shows less than all of it."""
    if sys.stdout.isatty() and text.count("\n") >= shutil.get_terminal_size().lines:
        from pydoc import pager

        pager(printable(text))
    else:
        say(text)
