"""The rooms of the package in docs/architecture.md: what each is, and who imports whom.

Example: python -m tools.rooms
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "src" / "mergesearch"
_BEGIN, _END = "<!-- rooms: made by tools/rooms.py -->\n", "<!-- end of rooms -->\n"
_EVERYWHERE = ("_system", "errors")
"""Rooms that nearly all others import; the picture leaves them out."""

Imports = Mapping[str, set[str]]


def rooms() -> list[str]:
    """Return the rooms in the order of the import contract: each imports only later ones."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "importlinter"
    ]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [
        name.strip().removeprefix("mergesearch.") for layer in layers for name in layer.split("|")
    ]


def room_imports() -> dict[str, set[str]]:
    """Return which other rooms each room imports."""
    graph = grimp.build_graph("mergesearch")
    imports: dict[str, set[str]] = {room: set() for room in rooms()}
    for module in graph.modules - {"mergesearch", "mergesearch.__main__"}:
        room = module.split(".")[1]
        for imported in graph.find_modules_directly_imported_by(module) - {"mergesearch"}:
            imports[room].add(imported.split(".")[1])
    return {room: found - {room} for room, found in imports.items()}


def reduced(imports: Imports) -> dict[str, set[str]]:
    """Return the imports of a graph without circles that do not follow from others."""
    reached: dict[str, set[str]] = {}

    def reach(room: str) -> set[str]:
        if room not in reached:
            reached[room] = set().union(*({other} | reach(other) for other in imports[room]))
        return reached[room]

    return {
        room: {other for other in found if not any(other in reach(via) for via in found)}
        for room, found in imports.items()
    }


def purpose(room: str) -> str:
    """Return the first sentence of a room's docstring."""
    folder = PACKAGE / room
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).rstrip(".")


def described(names: Sequence[str], imports: Imports) -> str:
    """Return the rooms as a Mermaid graph and a table."""
    shown = [name for name in names if name not in _EVERYWHERE]
    arrows = reduced({room: imports[room].intersection(shown) for room in shown})
    lines = ["```mermaid", "graph TD"]
    lines += [
        f"    {room} --> {other}" for room in shown for other in shown if other in arrows[room]
    ]
    lines += ["```", "", "| room | what it is |", "|---|---|"]
    lines += [f"| `{name}` | {purpose(name)} |" for name in names]
    return "\n".join(lines) + "\n"


def with_rooms(document: str) -> str:
    """Return the document with the rooms as they are now."""
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{described(rooms(), room_imports())}{_END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_rooms(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
