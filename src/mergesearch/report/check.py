"""What `search check` found, as a person reads it: a pure function of its facts."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from mergesearch.report import text

_LABEL = 24  # columns of a label


def render_check(facts: Mapping[str, Any]) -> str:
    """Return the facts of `search check --json` as lines of at most 80 columns, paths apart."""
    return "\n".join(_lines(facts))


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    if "parents" in facts:
        yield f"{facts['file']}: a valid {facts['kind']}"
        fit = " fit each other" if facts["parents"] > 1 else ""
        shape = f"{facts['layers']} layers of {facts['hidden']}"
        yield _line("parents", f"{facts['parents']}{fit}, {shape}")
        yield _line("recipes planned", str(facts["recipes_planned"]))
        yield _line("model", f"{_parameters(facts['parameters'])} parameters")
    if "items_of_a_trial" in facts:
        yield f"{facts.get('objectives', facts['file'])}: all tasks load"
        yield _line("items", f"{facts['items_of_a_trial']} in the search")
        yield _line("", f"{facts['items_of_validation']} others to confirm a member of the front")
    if "parents" in facts:
        yield from _times(facts)
        yield from _memory(facts["memory"])
        yield from _disk(facts["disk"])


def _times(facts: Mapping[str, Any]) -> Iterator[str]:
    yield "time on this machine"
    yield _line("building", _seconds(facts["build_seconds"]))
    if "scoring_seconds" not in facts:
        return
    if facts["scoring_seconds"] is None:
        reason = f"unknown: {facts['scoring_unknown']}"
        indent = " " * (2 + _LABEL)
        yield textwrap.fill(_line("scoring", reason), 80, subsequent_indent=indent)
        return
    limit = "at most " if facts["scoring_at_most"] else ""
    for rung, seconds in facts["scoring_seconds"].items():
        yield _line(f"scoring, {rung}", limit + _seconds(seconds))
    yield _line("a trial", limit + _seconds(facts["trial_seconds"]))
    but = ""
    if "promoted_trial_seconds" in facts:
        yield _line("a promoted trial", limit + _seconds(facts["promoted_trial_seconds"]))
        but = ", without promoted ones"
    more = "at least " if facts["scoring_at_most"] else ""
    yield _line("trials in an hour", f"{more}{_count(facts['trials_per_hour'])}{but}")
    yield _line("trials in 8 hours", f"{more}{_count(facts['trials_in_8_hours'])}{but}")


def _memory(memory: Mapping[str, Any]) -> Iterator[str]:
    yield "memory, at most"
    for name, size in memory["parts"].items():
        yield _line(name, text.size(size), wide=True)
    yield _line("together", text.size(memory["total"]), wide=True)
    budget = memory["budget"]
    yield _line("budget", "unknown" if budget is None else text.size(budget), wide=True)
    if memory["builds_ahead"]:
        yield "  the next candidate is built while one is scored"


def _disk(disk: Mapping[str, int]) -> Iterator[str]:
    yield "disk"
    yield _line("a GGUF of the winner", text.size(disk["gguf"]))
    yield _line("its safetensors", text.size(disk["safetensors"]))
    yield _line("free here", text.size(disk["free"]))


def _line(label: str, value: str, *, wide: bool = False) -> str:
    return f"  {label:<{_LABEL + 10 * wide}}{value}"


def _seconds(seconds: float) -> str:
    return text.duration(seconds) if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _count(trials: float) -> str:
    return f"{trials:.0f}" if trials >= 10 else f"{trials:.1f}"


def _parameters(count: int) -> str:
    return f"{count / 1e9:.3g} billion" if count >= 1e9 else f"{count / 1e6:.3g} million"
