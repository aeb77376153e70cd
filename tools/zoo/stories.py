"""Short plain stories from a small grammar: the language part of the base's training."""

import random
from typing import Final

from tools.zoo.vocabulary import NAMES, THINGS, WORDS, sentence

_PLACES: Final = ("lake", "hill", "road", "sea", "door", "tree", "boat", "rock")
_LOOKS: Final = ("big", "small", "old", "new", "red", "blue", "green", "white", "good", "little")
_FEELS: Final = ("happy", "sad", "tired", "glad", "quiet", "hungry", "cold", "warm")
_DAYS: Final = ("one day", "in the morning", "at night", "after the rain", "today", "last year")
_DOES: Final = ("saw", "found", "liked", "wanted", "lost", "took", "looked at", "asked for")
_GOES: Final = ("went to", "walked to", "ran to", "slept near", "sat by", "came from", "stayed at")


def make_story(rng: random.Random) -> str:
    """Draw a story of three to five sentences about one or two people."""
    hero, friend = rng.sample(NAMES, 2)
    word, thing, place = rng.choice(WORDS), rng.choice(THINGS), rng.choice(_PLACES)
    look, feel = rng.choice(_LOOKS), rng.choice(_FEELS)
    lines = [f"{rng.choice(_DAYS)} {hero} {rng.choice(_DOES)} a {look} {thing}."]
    lines += rng.sample(
        (
            f"the {thing} was very {look}.",
            f"{hero} {rng.choice(_GOES)} the {place} with {friend}.",
            f"{friend} was {feel} and {hero} was {feel} too.",
            f"there was a {word} near the {place}.",
            f"{hero} said: I like the {word}, but I want the {thing}.",
            f"{friend} did not have a {thing}, so {hero} gave it away.",
            f"they {rng.choice(_DOES)} the {word} and {rng.choice(_GOES)} the {place}.",
        ),
        rng.randint(2, 4),
    )
    return " ".join(sentence(line) for line in lines)
