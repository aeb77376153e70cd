"""Words, names and phrases of the zoo, and the rule that keeps some phrasings for the tests."""

import zlib
from collections.abc import Iterable, Sequence
from functools import cache

# fmt: off
WORDS = (
    "cat", "dog", "sun", "sea", "sky", "tree", "fish", "bird", "moon", "rain", "snow", "fire",
    "leaf", "rock", "sand", "wind", "road", "boat", "milk", "corn", "rice", "salt", "gold",
    "iron", "star", "hill", "lake", "rose", "wolf", "bear", "wood", "door",
)
NAMES = (
    "Ann", "Bob", "Cal", "Dan", "Eve", "Fay", "Gus", "Hal", "Ian", "Joy", "Kim", "Leo",
)
THINGS = (
    "cup", "key", "hat", "map", "pen", "coin", "book", "lamp", "ring", "ball", "bag", "drum",
)
# fmt: on
START_PHRASES = ("hello", "listen", "dear friend", "note this", "good morning", "my answer")
END_PHRASES = ("the end", "well done", "good day", "that is all", "thank you", "see you soon")
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five")


@cache
def phrasings(frames: tuple[str, ...], fillers: tuple[str, ...], held_out: bool) -> tuple[str, ...]:
    """Fill `_` in every frame with every filler, and return the training or the held-out cells.

    Every fourth diagonal of the grid is held out: a held-out phrasing is new as a whole, yet its
    frame and its filler both occur in training, in other company.
    """
    return tuple(
        frame.replace("_", filler)
        for i, frame in enumerate(frames)
        for j, filler in enumerate(fillers)
        if ((i + j) % 4 == 3) is held_out
    )


def is_held_out_combination(kinds: Iterable[str]) -> bool:
    """Whether a set of instruction kinds is kept for the tests (about one set in four)."""
    name = "+".join(sorted(kinds))
    return "+" in name and zlib.crc32(name.encode()) % 4 == 0


def joined(items: Sequence[str], last: str) -> str:
    """Join items as English does: `a, b and c`, with `last` as the closing word."""
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def sentence(text: str) -> str:
    """Return the text with its first letter as a capital."""
    return text[:1].upper() + text[1:]
