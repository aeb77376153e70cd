"""A space and objectives from what a person at a terminal answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mergesearch._system import resources
from mergesearch._system.files import read_text
from mergesearch.errors import InputError
from mergesearch.parents import is_parent
from mergesearch.quantize import MIXES

Ask = Callable[[str, str], str]
"""Question and default answer -> answer."""
Value = TypeVar("Value")
NONE = "-"
"""Answer that there is none."""
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
        gpu_layers: Layers that a GPU scores; 0 for scoring on the processor.
        memory: Gigabytes that the search may take; None for all that is free.
    """

    instruct: str
    reason: str
    others: tuple[str, ...] = ()
    base: str = ""
    hours: float = 8.0
    mix: str = "Q4_K_M"
    gpu_layers: int = 0
    memory: float | None = None

    @property
    def short(self) -> bool:
        """Whether there is little time."""
        return self.hours <= SHORT_HOURS


def interview(ask: Ask, free_memory: int | None = None, *, gpu: bool = False) -> Answers | None:
    """Ask for what a space needs; None where the person wants the demo's.

    A question whose answer cannot be used is asked again, with the reason.

    Args:
        ask: Function that asks one question.
        free_memory: Bytes of memory that are free on this machine; None where it does not tell.
        gpu: Whether llama.cpp can use a GPU here.
    """
    question = "Fine-tune that follows instructions (folder, GGUF or ORG/NAME; - for the demo)"
    instruct = _asked(ask, question, NONE, _parent_or_none)
    if instruct == "":
        return None
    reason = _asked(ask, "Fine-tune that reasons", "", _parent)
    others = _asked(ask, "More fine-tunes, by commas (- for none)", NONE, _parents)
    question = "Model that they were all tuned from (- if you do not know)"
    base = _asked(ask, question, NONE, _parent_or_none)
    hours = _asked(ask, "Hours that the search may take", "8", _number("hours"))
    mix = _asked(ask, "Quantization that ships (Q4_0 for a phone)", "Q4_K_M", _mix)
    memory = None
    if free_memory is not None:
        all_of_it = f"{free_memory / 1e9:.1f}"
        question = "Memory that it may take on this machine, in GB (all that is free by default)"
        answered = _asked(ask, question, all_of_it, _number("gigabytes"))
        memory = None if answered == float(all_of_it) else answered
    layers = 0
    if gpu:
        question = "Layers that the GPU scores (99 for all, 0 for none)"
        layers = int(_asked(ask, question, "99", _number("layers", least=0.0)))
    return Answers(instruct, reason, others, base, hours, mix, layers, memory)


def _asked(ask: Ask, question: str, default: str, read: Callable[[str], Value]) -> Value:
    reason = ""
    while True:
        try:
            return read(ask(reason + question, default).strip())
        except InputError as error:
            expected = f" (expected: {error.expected})" if error.expected else ""
            reason = f"{error.what}{expected}.\n"


def _parent(name: str) -> str:
    if not name:
        raise InputError("A merge takes two parents")
    if not is_parent(name):
        raise InputError(
            f"There is no {name!r} here", expected="a folder, a GGUF, demo:NAME or ORG/NAME"
        )
    return name


def _parent_or_none(name: str) -> str:
    return "" if name in ("", NONE) else _parent(name)


def _parents(names: str) -> tuple[str, ...]:
    stripped = (name.strip() for name in names.split(","))
    return tuple(_parent(name) for name in stripped if name not in ("", NONE))


def _mix(name: str) -> str:
    if name not in MIXES:
        raise InputError(f"Unknown mix {name!r}", expected=", ".join(MIXES))
    return name


def _number(unit: str, least: float = 0.1) -> Callable[[str], float]:

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not least <= number < 1000:
            raise InputError(f"{text!r} is not a number of {unit}", expected="such as 8")
        return number

    return read


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
    instruct, reason = _quoted(answers.instruct), _quoted(answers.reason)
    lines += [
        "# What is tried first: each parent alone, then mixtures that people would try.",
        "start_from:",
        "  - parents",
        f"  - ratio: {{{instruct}: 1, {reason}: 1}}",
        f"  - ratio: {{{instruct}: 3, {reason}: 1}}",
        "# Candidates are built and scored in the mix that ships.",
        f"quantize: {answers.mix}",
    ]
    return "\n".join(lines) + "\n"


def objectives_text(answers: Answers) -> str:
    """Return objectives that fit the time and the machine: built-in ones, to be changed at will."""
    name = "quick" if answers.short else "balance"
    text = read_text(resources.objectives_file(name))
    if not answers.gpu_layers:
        return text
    return text.replace("runtime: {", f"runtime: {{n_gpu_layers: {answers.gpu_layers}, ")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
