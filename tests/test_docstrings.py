"""Every line about an argument or an attribute can be read alone."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    *(ROOT / "src").rglob("*.py"),
    *(ROOT / "src").rglob("*.pyi"),
    *(ROOT / "tools").rglob("*.py"),
]
DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
SECTIONS = ("Args", "Attributes", "Raises")
ENTRY = re.compile(r" {4}(\w[\w, ]*): (.*)")
TELEGRAMS = {"At", "By", "For", "From", "In", "Of", "On", "That", "To", "Whose", "With"}
VERBS = {"Asks", "Called", "Chooses", "Gives", "Measures", "Returns", "Takes", "Told"}
BY_NAME = ("llama.cpp",)  # names that are written small where a sentence begins, too


def entries(docstring: str) -> Iterator[str]:
    """Yield what follows each name in the sections of a docstring."""
    section = ""
    for line in docstring.splitlines():
        if not line.startswith(" ") and line:
            section = line.removesuffix(":")
        elif section in SECTIONS and (entry := ENTRY.fullmatch(line)):
            yield entry[2]


def stands_alone(text: str) -> bool:
    """Whether a description begins like a sentence of its own."""
    small = text[0].islower() and not text.startswith(BY_NAME)
    return not small and text.split()[0] not in TELEGRAMS | VERBS


def test_a_telegram_is_told_from_a_phrase() -> None:
    docstring = (
        "Build.\n\nArgs:\n    threads: that build.\n    rows: Of the tensor.\n"
        "    cols: Number of columns,\n        as: it were.\n\nReturns:\n    x: what comes out.\n"
    )
    found = list(entries(docstring))
    assert found == ["that build.", "Of the tensor.", "Number of columns,"]
    assert [stands_alone(text) for text in found] == [False, False, True]


def test_every_line_about_an_argument_can_be_read_alone() -> None:
    telegrams = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in FILES
        for docstring in DOCSTRING.findall(path.read_text(encoding="utf-8"))
        for text in entries(inspect.cleandoc(docstring))
        if not stands_alone(text)
    ]
    assert telegrams == []
