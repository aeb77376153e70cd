"""Generated long texts with a fact to find: the bundled task `needle`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

# fmt: off
_PEOPLE: Final = ("The gardener", "A sailor", "The baker", "An old teacher", "The painter",
                  "A young farmer", "The clerk", "My neighbour", "The miller", "A visitor")
_VERBS: Final = ("carried", "found", "repaired", "forgot", "painted", "sold", "borrowed", "hid",
                 "counted", "described")
_THINGS: Final = ("a wooden chair", "the copper kettle", "an empty basket", "the blue ladder",
                  "a torn map", "the silver bell", "a heavy rope", "the garden gate",
                  "an apple cake", "the broken clock")
_PLACES: Final = ("near the river", "behind the mill", "in the market", "on the hill",
                  "under the bridge", "beside the church", "at the harbour", "in the orchard")
_TIMES: Final = ("before sunrise", "on a rainy morning", "late in the evening", "after the harvest",
                 "in early spring", "during the fair", "while it snowed", "at noon")
_KEEPERS: Final = ("Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Irene",
                   "Jonas", "Karla", "Leon", "Mara", "Nils", "Olga", "Paul")
# fmt: on
_DISTRACTORS = 3


def dataset(
    words: Sequence[int], depths: Sequence[float], repeats: int, **_: Any
) -> dict[str, list[dict[str, Any]]]:
    """Return the task's rows, `repeats` of each length and depth; always the same ones.

    Args:
        words: Lengths of the texts.
        depths: Places of the fact, from 0 (first sentence) to 1 (last).
        repeats: Number of texts of each length and depth.
    """
    rows = [
        _row(length, depth, repeat)
        for length in words
        for depth in depths
        for repeat in range(repeats)
    ]
    return {"test": rows}


def _row(words: int, depth: float, repeat: int) -> dict[str, Any]:
    """One text: plain sentences, the fact at its depth, others of its kind anywhere."""
    drawing = random.Random(f"{words} {depth} {repeat}")
    keepers = drawing.sample(_KEEPERS, 1 + _DISTRACTORS)
    numbers = drawing.sample(range(10_000, 100_000), 1 + _DISTRACTORS)
    facts = [
        f"The number on {keeper}'s locker is {number}."
        for keeper, number in zip(keepers, numbers, strict=True)
    ]
    sentences: list[str] = []
    left = words - sum(len(fact.split()) for fact in facts)
    while left > 0:
        sentences.append(_sentence(drawing))
        left -= len(sentences[-1].split())
    for fact in facts[1:]:
        sentences.insert(drawing.randrange(len(sentences) + 1), fact)
    sentences.insert(round(depth * len(sentences)), facts[0])
    return {
        "text": " ".join(sentences),
        "question": f"What is the number on {keepers[0]}'s locker? Answer with the number only.",
        "answer": str(numbers[0]),
        "candidates": [],
        "words": words,
        "depth": depth,
    }


def _sentence(drawing: random.Random) -> str:
    parts = [drawing.choice(words) for words in (_PEOPLE, _VERBS, _THINGS, _PLACES, _TIMES)]
    return " ".join(parts) + "."
