"""Reasoning items: who holds what, orderings, and small sums in steps."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from tools.zoo.vocabulary import NAMES, THINGS, joined, phrasings, sentence

# name: (frames, fillers); the grid of both gives its phrasings. a, b: people; t: a thing.
_HOLD = ("has", "holds", "owns", "keeps", "carries")
TEMPLATES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "hold": (("{a} _ the {t}.", "at first {a} _ the {t}.", "today {a} _ the {t}."), _HOLD),
    "give": (
        ("{a} _ the {t} to {b}.", "then {a} _ the {t} to {b}.", "now {a} _ the {t} to {b}."),
        ("gives", "hands", "passes", "sends", "brings"),
    ),
    "take": (
        ("{b} _ the {t} from {a}.", "then {b} _ the {t} from {a}.", "now {b} _ the {t} from {a}."),
        ("takes", "gets", "buys", "steals"),
    ),
    "swap": (
        ("{a} and {b} _.", "then {a} and {b} _.", "now {a} and {b} _."),
        ("swap", "trade", "change places", "swap things"),
    ),
    "who_holds": (
        (
            "who _ the {t}?",
            "who _ the {t} now?",
            "in the end, who _ the {t}?",
            "who _ the {t} at the end?",
        ),
        _HOLD,
    ),
    "more": (
        (
            "{a} is _ than {b}.",
            "we know {a} is _ than {b}.",
            "they say {a} is _ than {b}.",
            "see, {a} is _ than {b}.",
        ),
        ("taller", "older", "faster", "richer", "stronger"),
    ),
    "less": (
        (
            "{b} is _ than {a}.",
            "we know {b} is _ than {a}.",
            "they say {b} is _ than {a}.",
            "see, {b} is _ than {a}.",
        ),
        ("shorter", "younger", "slower", "poorer", "weaker"),
    ),
    "who_most": (
        ("who is the _?", "who is the _ of all?", "of all, who is the _?", "tell me the _."),
        ("tallest", "oldest", "fastest", "richest", "strongest"),
    ),
    "who_least": (
        ("who is the _?", "who is the _ of all?", "of all, who is the _?", "tell me the _."),
        ("shortest", "youngest", "slowest", "poorest", "weakest"),
    ),
    "count": (("{a} _ {n} {t}s.", "at first {a} _ {n} {t}s.", "today {a} _ {n} {t}s."), _HOLD),
    "gain": (
        ("{a} _ {n} more.", "then {a} _ {n} more.", "now {a} _ {n} more."),
        ("gets", "finds", "buys", "makes", "wins"),
    ),
    "loss": (
        ("{a} _ {n}.", "then {a} _ {n}.", "now {a} _ {n}."),
        ("loses", "sells", "drops", "breaks", "gives away"),
    ),
    "how_many": (
        (
            "how many {t}s does {a} _?",
            "how many {t}s does {a} _ now?",
            "in the end, how many {t}s does {a} _?",
            "how many {t}s does {a} _ at the end?",
        ),
        ("have", "hold", "own", "keep", "carry"),
    ),
    "pick": (
        ("_ {c}.", "_ one: {c}.", "please _ {c}.", "please _ one: {c}."),
        ("pick", "choose", "select", "take"),
    ),
}


@dataclass(frozen=True)
class ReasoningItem:
    """A question, its answer (a name or a number in digits), and choices that hold the answer."""

    question: str
    answer: str
    choices: tuple[str, ...]
    kind: str
    templates: tuple[str, ...]


class _Story:
    """Collects the sentences of one item and the templates they came from."""

    def __init__(self, rng: random.Random, held_out: bool) -> None:
        self.rng, self.held_out = rng, held_out
        self.sentences: list[str] = []
        self.templates: list[str] = []

    def add(self, name: str, adjective: int | None = None, **fields: object) -> None:
        """Add a sentence by a template's name; `adjective` picks one column of its grid."""
        frames, fillers = TEMPLATES[name]
        options = phrasings(frames, fillers, self.held_out)
        if adjective is not None:
            options = tuple(option for option in options if fillers[adjective] in option)
        template = self.rng.choice(options)
        self.templates.append(template)
        self.sentences.append(sentence(template.format(**fields)))

    def item(self, kind: str, answer: str, choices: Sequence[str]) -> ReasoningItem:
        return ReasoningItem(
            " ".join(self.sentences), answer, tuple(choices), kind, tuple(self.templates)
        )


def _gifts(story: _Story) -> ReasoningItem:
    rng = story.rng
    people = rng.sample(NAMES, rng.choice((3, 3, 4)))
    things = rng.sample(THINGS, rng.randint(1, 2))
    holder = dict(zip(things, rng.sample(people, len(things)), strict=True))
    for thing, person in holder.items():
        story.add("hold", a=person, t=thing)
    for _ in range(rng.randint(1, 3)):
        thing = rng.choice(things)
        other = rng.choice([p for p in people if p != holder[thing]])
        story.add(rng.choice(("give", "take")), a=holder[thing], b=other, t=thing)
        holder[thing] = other
    asked = rng.choice(things)
    story.add("who_holds", t=asked)
    return story.item("gifts", holder[asked], sorted(people))


def _swaps(story: _Story) -> ReasoningItem:
    rng = story.rng
    people = rng.sample(NAMES, 3)
    things = rng.sample(THINGS, 3)
    held = dict(zip(people, things, strict=True))
    for person, thing in held.items():
        story.add("hold", a=person, t=thing)
    for _ in range(rng.randint(1, 2)):
        a, b = rng.sample(people, 2)
        story.add("swap", a=a, b=b)
        held[a], held[b] = held[b], held[a]
    answer = rng.choice(people)
    story.add("who_holds", t=held[answer])
    return story.item("swaps", answer, sorted(people))


def _orderings(story: _Story) -> ReasoningItem:
    rng = story.rng
    people = rng.sample(NAMES, rng.choice((3, 3, 4)))  # from most to least
    adjective = rng.randrange(len(TEMPLATES["more"][1]))
    pairs = list(pairwise(people))
    rng.shuffle(pairs)
    for a, b in pairs:
        story.add(rng.choice(("more", "less")), adjective, a=a, b=b)
    most = rng.random() < 0.5
    story.add("who_most" if most else "who_least", adjective)
    return story.item("orderings", people[0] if most else people[-1], sorted(people))


def _sums(story: _Story) -> ReasoningItem:
    rng = story.rng
    person, thing, total = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 9)
    story.add("count", a=person, t=thing, n=total)
    for _ in range(rng.randint(1, 3)):
        step = rng.randint(1, 5)
        gain = step > total or rng.random() < 0.5
        total += step if gain else -step
        story.add("gain" if gain else "loss", a=person, n=step)
    story.add("how_many", a=person, t=thing)
    near = [n for n in range(total - 4, total + 5) if n >= 0 and n != total]
    choices = sorted([total, *rng.sample(near, 3)])
    return story.item("sums", str(total), [str(n) for n in choices])


_KINDS = (_gifts, _gifts, _swaps, _orderings, _orderings, _sums, _sums)


def make_reasoning(rng: random.Random, held_out: bool, pick: bool | None = None) -> ReasoningItem:
    """Draw one item; `pick` says whether its choices are named (None: half of the time)."""
    item = rng.choice(_KINDS)(_Story(rng, held_out))
    if not (rng.random() < 0.5 if pick is None else pick):
        return item
    template = rng.choice(phrasings(*TEMPLATES["pick"], held_out))
    ending = sentence(template.format(c=joined(item.choices, "or")))
    return replace(
        item, question=f"{item.question} {ending}", templates=(*item.templates, template)
    )
