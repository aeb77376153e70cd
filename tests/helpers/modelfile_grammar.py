"""A parser of Ollama's published grammar of Modelfiles (docs/modelfile.mdx in its repository)."""

from __future__ import annotations

import re

INSTRUCTIONS = {"FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "MESSAGE"}
PARAMETERS = {
    "num_ctx": int, "repeat_penalty": float, "temperature": float, "stop": str, "top_k": int,
    "top_p": float, "min_p": float,
}  # fmt: skip


def parsed(text: str) -> list[tuple[str, str]]:
    """Instructions with their arguments: one a line, `#` for comments, and strings in `"` or, over
    several lines, in three of them; the value of a parameter has its type."""
    found, rest = [], text
    while rest:
        if match := re.match(r"#[^\n]*\n|\s+", rest):
            rest = rest[match.end() :]
            continue
        argument = r'("""(.*?)"""|"([^"\n]*)"|[^\n]*)\n'
        match = re.match(rf"(PARAMETER\s+\w+|MESSAGE\s+\w+|\w+)[ \t]+{argument}", rest, re.S)
        assert match is not None, rest[:80]
        assert match[1].split()[0] in INSTRUCTIONS, match[1]
        value = next(part for part in (match[3], match[4], match[2]) if part is not None)
        found.append((match[1], value))
        rest = rest[match.end() :]
    assert sum(name == "FROM" for name, _ in found) == 1
    for name, value in found:
        kind, _, parameter = name.partition(" ")
        if kind == "PARAMETER":
            PARAMETERS[parameter](value)
    return found
