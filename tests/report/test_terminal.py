"""The console of reports lets styles through, and no control character of what is shown."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from mergesearch.report.terminal import SafeConsole


def test_control_characters_in_texts_and_cells_are_written_out() -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, width=40, force_terminal=True, color_system="standard")
    console.print(Text("\x1b[2Jgone", style="bold"))
    table = Table()
    table.add_column("name", min_width=24)
    table.add_row(Text("exe\u202efdp.\x9b"))
    console.print(table)
    shown = file.getvalue()
    assert "\x1b[1m\\u001b[2Jgone\x1b[0m" in shown
    assert "exe\\u202efdp.\\u009b" in shown
    assert "\x1b[2J" not in shown


def test_names_are_not_markup() -> None:
    console = SafeConsole(file=io.StringIO(), width=40)
    table = Table()
    table.add_column("math [hard] [/x]")
    table.add_row(":smile: [red]a")
    with console.capture() as shown:
        console.print(table, "[bold]b")
    assert all(name in shown.get() for name in ("math [hard] [/x]", ":smile: [red]a", "[bold]b"))


@pytest.mark.parametrize("columns", ["0", "1"])
def test_a_terminal_without_columns_gets_what_is_there(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    console = SafeConsole(file=io.StringIO())
    table = Table("trial", "instruction")
    table.add_row("12", "0.25")
    with console.capture() as shown:
        console.print(table)
    assert "12" in shown.get()
    assert "0.25" in shown.get()
