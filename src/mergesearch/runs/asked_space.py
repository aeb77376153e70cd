"""A space and objectives from what a person at a terminal answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from mergesearch._system import resources
from mergesearch._system.files import read_text
from mergesearch.errors import InputError
from mergesearch.quantize import MIXES

Ask = Callable[[str, str], str]
"""Question and default answer -> answer."""
SHORT_HOURS = 3.0
"""Hours up to which a space has one number a parent, and the objectives have few items."""
_MANY = 3  # fine-tunes from which each has one number only


@dataclass(frozen=True)
class Answers:
    """What a person answered.

    Attributes:
        instruct: Fine-tune that follows instructions.
        reason: Fine-tune that reasons.
        others: Further fine-tunes.
        base: Model that they were tuned from; empty where it is not known.
        hours: Hours that the search may take.
        mix: Key of `quantize.MIXES`.
    """

    instruct: str
    reason: str
    others: tuple[str, ...] = ()
    base: str = ""
    hours: float = 8.0
    mix: str = "Q4_K_M"

    @property
    def short(self) -> bool:
        """Whether there is little time."""
        return self.hours <= SHORT_HOURS


def interview(ask: Ask) -> Answers | None:
    """Ask for what a space needs; None where the person wants the demo's.

    Raises:
        InputError: An answer cannot be used.
    """
    instruct = ask(
        "Fine-tune that follows instructions (folder, GGUF or ORG/NAME; - for demo)", "-"
    )
    if instruct in ("", "-"):
        return None
    reason = ask("Fine-tune that reasons", "")
    if not reason:
        raise InputError("a merge takes two parents", fix="name a second fine-tune")
    others = ask("More fine-tunes, by commas (- for none)", "-")
    base = ask("Model that they were all tuned from (- if you do not know)", "-")
    hours = _hours(ask("Hours that the search may take", "8"))
    mix = ask("Quantization that ships (Q4_0 for a phone)", "Q4_K_M")
    if mix not in MIXES:
        raise InputError(f"unknown mix {mix!r}", expected=", ".join(MIXES))
    names = tuple(name.strip() for name in others.split(",") if name.strip(" -"))
    return Answers(instruct, reason, names, base.strip(" -"), hours, mix)


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0 < hours < 1000:
        raise InputError(f"{text!r} is not a number of hours", expected="such as 8")
    return hours


def space_text(answers: Answers) -> str:
    """Return the space that fits the answers, with comments."""
    parents = [answers.instruct, answers.reason, *answers.others]
    detailed = not answers.short and len(parents) < _MANY and bool(answers.base)
    weight = "{search: [0, 1.5], curve: 2, per: [attn, mlp]}" if detailed else "{search: [0, 1.5]}"
    lines = ["# A search space: a recipe of mergekit's kind with ranges where numbers stand."]
    if answers.base:
        lines += [
            "# task_arithmetic adds what each fine-tune changed; ties drops what they disagree on.",
            "merge_method: {search: [task_arithmetic, ties]}",
            f"base_model: {_quoted(answers.base)}",
        ]
    else:
        lines += [
            "# Without the model that they were tuned from there is only their weighted mean.",
            "merge_method: linear",
        ]
    lines.append("models:")
    for parent in parents:
        lines += [f"  - model: {_quoted(parent)}", "    parameters:", f"      weight: {weight}"]
        if answers.base:
            lines.append("      density: 0.8  # share of its changes that ties keeps")
    if detailed:
        lines.append(
            "# curve: 2 has a weight at the first and at the last layer, per attention and MLP."
        )
    one, two = _quoted(answers.instruct), _quoted(answers.reason)
    lines += [
        "# What is tried first: each parent alone, then mixtures that people would try.",
        "start_from:",
        "  - parents",
        f"  - ratio: {{{one}: 1, {two}: 1}}",
        f"  - ratio: {{{one}: 3, {two}: 1}}",
        "# Candidates are built and scored in the mix that ships.",
        f"quantize: {answers.mix}",
    ]
    return "\n".join(lines) + "\n"


def objectives_text(answers: Answers) -> str:
    """Return objectives that fit the time: built-in ones, to be changed at will."""
    name = "quick" if answers.short else "balance"
    return read_text(resources.objectives_file(name))


def _quoted(text: str) -> str:
    """A name as YAML and JSON write it."""
    return json.dumps(text, ensure_ascii=False)
