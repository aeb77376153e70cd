"""The reference of files, docs/reference.md, made from the declarations of keys and parameters.

Example: python -m tools.reference_page
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mergesearch.methods import METHODS, Method, Parameter
from mergesearch.objectives import Objective, Objectives, Runtime, TaskUse, Thinking
from mergesearch.objectives.parse import DOCUMENT as OBJECTIVES_FILE
from mergesearch.objectives.parse import ENTRY
from mergesearch.quantize import MIXES
from mergesearch.recipe.parse import KEYS
from mergesearch.space.find import HOLE_KEYS, STRUCTURE
from mergesearch.space.holes import GROUP_FILTERS
from mergesearch.space.starts import FORMS
from mergesearch.vocabulary.chat import BUILT_IN
from tools.methods_table import BASES, default, parents

DOCUMENT = Path(__file__).parents[1] / "docs" / "reference.md"
_TITLE = """\
# Reference of files

Every key of a recipe, a search space and an objectives file, and every parameter of a merge method.
This page is made from the declarations that files are checked against, by
`python -m tools.reference_page`.
[recipes.md](recipes.md) and [objectives.md](objectives.md) explain, with examples.
"""


def page() -> str:
    """Return the page as it is now."""
    return "\n".join((_TITLE, _recipe(), _methods(), _space(), _objectives()))


def _recipe() -> str:
    mixes = _listed(MIXES)
    templates = _listed(BUILT_IN)
    return "\n".join(
        (
            "## Recipe\n",
            _table(("key", "what it holds"), ((f"`{key}`", what) for key, what in KEYS.items())),
            f"Mixes of `quantize`: {mixes}.\nBuilt-in chat templates: {templates}.\n",
        )
    )


def _methods() -> str:
    sections = [
        "## Merge methods\n",
        "A value *of a parent* may stand at each parent, in a slice, or for the whole merge; one"
        " *of the merge* in a slice or for the whole merge. *Opened to* is the range that"
        " `search init --from` opens a value to.\n",
    ]
    for method in METHODS.values():
        sections.append(f"### {method.name}\n\n{_about(method)}\n")
        known = [parameter for parameter in method.parameters if not parameter.only_in_mergekit]
        if known:
            head = ("parameter", "default", "values", "of", "opened to")
            sections.append(_table(head, map(_parameter, known)))
    return "\n".join(sections)


def _about(method: Method) -> str:
    base = f" Base: {BASES[method.base]}." if BASES[method.base] else ""
    other = "" if method.in_mergekit else " mergekit does not have it."
    return f"{method.formula}.\n\nParents: {parents(method)}.{base}{other}"


def _parameter(parameter: Parameter) -> Sequence[str]:
    return (
        f"`{parameter.name}`",
        "needed" if parameter.default is None else default(parameter),
        _range(parameter),
        "a parent" if parameter.per_parent else "the merge",
        _opened(parameter),
    )


def _range(parameter: Parameter) -> str:
    if parameter.kind is bool:
        return "true or false"
    noun = "whole number" if parameter.kind is int else "number"
    limits = (parameter.low, parameter.high)
    return _limited(noun, *(None if math.isinf(limit) else limit for limit in limits))


def _opened(parameter: Parameter) -> str:
    if parameter.search is not None:
        return "{:g} to {:g}".format(*parameter.search)
    if parameter.search_factor is not None:
        return f"its value / {parameter.search_factor:g} to its value x {parameter.search_factor:g}"
    return ""


def _space() -> str:
    keys = _table(("key", "what it holds"), ((f"`{key}`", what) for key, what in HOLE_KEYS.items()))
    places = {"parameters": "the value of a parameter: `[low, high]`, or a list of choices"}
    searched = _table(
        ("key", "what `search` holds there"),
        ((f"`{key}`", what) for key, what in (places | STRUCTURE).items()),
    )
    starts = _table(("entry", "what it means"), ((f"`{key}`", what) for key, what in FORMS.items()))
    groups = ", ".join(f"`{name}` (`{part}`)" for name, part in GROUP_FILTERS.items())
    return "\n".join(
        (
            "## Search space\n",
            "A recipe with holes, and one more key, `start_from`. A hole is a mapping:\n",
            keys,
            f"Groups of `per`, by what the names of their tensors contain: {groups}, and `rest`.\n",
            "What may be searched:\n",
            searched,
            "`start_from` lists what is tried first:\n",
            starts,
        )
    )


def _objectives() -> str:
    file = _attributes(Objectives)
    file["task_folder"] = "Folder with task YAMLs of your own, relative to the file"
    entry = _attributes(Objective) | {"tasks": _attributes(Objective)["uses"]}
    return "\n".join(
        (
            "## Objectives\n",
            _fields(OBJECTIVES_FILE, file, _defaults(Objectives)),
            "### An objective\n",
            _fields(ENTRY, entry, {"direction": "maximize", "proxy": None, "specialist": None}),
            "### A task of an objective\n",
            _fields(TypeAdapter(TaskUse), _attributes(TaskUse)),
            "### Runtime\n",
            _fields(TypeAdapter(Runtime), _attributes(Runtime)),
            "### Thinking\n",
            _fields(TypeAdapter(Thinking), _attributes(Thinking)),
        )
    )


def _fields(
    kind: TypeAdapter[Any], meanings: Mapping[str, str], defaults: Mapping[str, Any] | None = None
) -> str:
    """The fields of a document that pydantic checks."""
    schema = kind.json_schema()
    required = schema.get("required", ())
    rows = []
    for name, field in schema["properties"].items():
        known = (defaults or {}).get(name, field.get("default"))
        shown = "needed" if name in required else _value(known)
        rows.append((f"`{name}`", shown, _values(field), meanings[name]))
    return _table(("key", "default", "values", "what it is"), rows)


def _values(field: Mapping[str, Any]) -> str:
    """What a field of a JSON schema may hold, in words."""
    options = [option for option in field.get("anyOf", (field,)) if option.get("type") != "null"]
    (kind,) = options
    match kind:
        case {"enum": names}:
            return " or ".join(f"`{name}`" for name in names)
        case {"const": name}:
            return f"`{name}`"
        case {"type": "integer" | "number" as name}:
            noun = "whole number" if name == "integer" else "number"
            low = kind.get("minimum", kind.get("exclusiveMinimum"))
            return _limited(noun, low, kind.get("maximum", kind.get("exclusiveMaximum")))
        case {"type": "boolean"}:
            return "true or false"
        case {"format": "date"}:
            return "a date"
        case {"type": "string"}:
            return "text"
        case {"type": "array"}:
            return "a list"
    return "a mapping"


def _limited(noun: str, low: float | None, high: float | None) -> str:
    """A kind of number with its range, as far as that is of use to a person."""
    if high is not None and high < 1e5:
        return f"{noun}, {low or 0:g} to {high:g}"
    return f"{noun}, {low:g} or more" if low and low > -1e5 else noun


def _defaults(kind: type) -> dict[str, Any]:
    return {name: getattr(kind, name, None) for name in kind.__annotations__}


def _value(value: Any) -> str:
    match value:
        case None | {}:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
    return str(value)


def _attributes(kind: type) -> dict[str, str]:
    """What the docstring of a class says of its attributes."""
    text = inspect.getdoc(kind) or ""
    section = text.partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n {6,}.*)*)", section, re.MULTILINE)
    return {
        name: " ".join(words.split()).rstrip(".").replace("None:", "without it:")
        for name, words in found
    }


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    DOCUMENT.write_text(page(), encoding="utf-8")
