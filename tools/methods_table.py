"""The table of merge methods in docs/recipes.md, made from their declarations.

Example: python -m tools.methods_table
"""

from __future__ import annotations

from pathlib import Path

from mergesearch.methods import METHODS, Base, Method, Parameter

DOCUMENT = Path(__file__).parents[1] / "docs" / "recipes.md"
_BEGIN, _END = "<!-- methods: made by tools/methods_table.py -->\n", "<!-- end of methods -->\n"
_HEAD = """\
| method | base | parents | formula | parameters (default) |
|---|---|---|---|---|
"""
BASES = {
    Base.REQUIRED: "needed",
    Base.OPTIONAL: "optional",
    Base.COUNTED: "one more parent",
    Base.UNUSED: "",
}


def with_table(document: str) -> str:
    """Return the document with the table as it is now."""
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    rows = "".join(_row(method) for method in METHODS.values())
    return f"{before}{_BEGIN}{_HEAD}{rows}{_END}{after}"


def _row(method: Method) -> str:
    formula = method.formula + ("" if method.in_mergekit else "; not in mergekit")
    parameters = ", ".join(
        f"`{parameter.name}` ({default(parameter)})"
        for parameter in method.parameters
        if not parameter.only_in_mergekit
    )
    cells = (f"`{method.name}`", BASES[method.base], parents(method), formula, parameters)
    return "| " + " | ".join(cells) + " |\n"


def parents(method: Method) -> str:
    """Return how many parents a method takes beside the base."""
    if method.least == method.most:
        return str(method.least)
    return f"{method.least} or more" if method.most is None else f"{method.least} to {method.most}"


def default(parameter: Parameter) -> str:
    """Return the default of a parameter as a recipe has it."""
    if parameter.default is None:
        return "none"
    if parameter.kind is bool:
        return str(parameter.default).lower()
    return f"{parameter.default:g}".replace("e-0", "e-")


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
