"""Instruction items: rewrite a few words under one to three verifiable instructions."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tools.zoo.vocabulary import (
    END_PHRASES,
    NUMBER_WORDS,
    START_PHRASES,
    WORDS,
    is_held_out_combination,
    phrasings,
    sentence,
)

# At most one kind of each group stands in an item, since two would contradict each other.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "case": ("upper", "lower"),
    "amount": ("first", "last", "drop", "twice"),
    "order": ("reverse", "sort"),
    "format": ("commas", "numbered", "bullets"),
    "start": ("start",),
    "end": ("end",),
}

_IN = ("use _", "write in _", "answer in _", "reply in _", "give everything in _")
_LIST = ("make", "write", "give", "use", "answer with", "reply with")
_KEEP = ("keep", "give", "use", "write", "take")
_PHRASE = ("_ {p}", "_ the phrase {p}", "_ the text {p}", "_ this: {p}", "please _ {p}")

# kind: (frames, fillers); the grid of both gives its phrasings.
CLAUSES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "upper": (
        _IN,
        ("capital letters", "capitals", "upper case", "only capitals", "big letters"),
    ),
    "lower": (
        _IN,
        ("small letters", "lower case", "only small letters", "little letters"),
    ),
    "reverse": (
        ("use _", "put them in _", "give them in _", "answer in _", "list them in _"),
        ("reverse order", "backward order", "the reverse order", "the opposite order"),
    ),
    "sort": (
        ("use _", "put them in _", "give them in _", "answer in _", "list them in _"),
        ("alphabetical order", "the order of the alphabet", "dictionary order", "sorted order"),
    ),
    "twice": (
        (
            "_ every word twice",
            "_ each word twice",
            "_ every word two times",
            "_ each of them twice",
        ),
        ("write", "say", "repeat", "give", "use"),
    ),
    "first": (
        (
            "_ only the first {n}",
            "_ just the first {n}",
            "_ only the first {n} words",
            "_ just the first {n} words",
            "_ only the first {n} of them",
        ),
        _KEEP,
    ),
    "last": (
        (
            "_ only the last {n}",
            "_ just the last {n}",
            "_ only the last {n} words",
            "_ just the last {n} words",
            "_ only the last {n} of them",
        ),
        _KEEP,
    ),
    "drop": (
        ("_ the word {w}", "_ {w}", "please _ the word {w}", "please _ {w}"),
        ("leave out", "do not use", "skip", "avoid", "never use"),
    ),
    "commas": (
        (
            "_ commas between them",
            "_ commas between the words",
            "_ a comma between them",
            "_ a comma between the words",
        ),
        ("put", "use", "write", "set"),
    ),
    "numbered": (("_ a numbered list", "_ a list with numbers", "_ numbered lines"), _LIST),
    "bullets": (("_ a bullet list", "_ a list with bullets", "_ bullet lines"), _LIST),
    "start": (_PHRASE, ("start with", "begin with", "open with", "first say")),
    "end": (_PHRASE, ("end with", "finish with", "close with", "last say")),
}

OPENERS: Final[tuple[tuple[str, ...], tuple[str, ...]]] = (
    ("_ the words {l}", "_ these words: {l}", "please _ the words {l}", "_ this: {l}", "_ {l}"),
    ("write", "say", "repeat", "print", "give", "list", "copy"),
)


@dataclass(frozen=True)
class InstructionItem:
    """A question, a reference answer, the checks it must pass, and what it is made of."""

    question: str
    answer: str
    checks: tuple[str, ...]
    kinds: tuple[str, ...]
    templates: tuple[str, ...]


def _choose_kinds(rng: random.Random, held_out: bool) -> tuple[str, ...]:
    while True:
        size = rng.choice((2, 2, 3)) if held_out else rng.choice((0, 0, 1, 1, 2, 2, 3))
        groups = rng.sample(sorted(GROUPS), size)
        kinds = tuple(rng.choice(GROUPS[group]) for group in groups)
        if is_held_out_combination(kinds) is held_out:
            return kinds


def _laid_out(words: Sequence[str], kinds: Sequence[str], start: str, end: str) -> str:
    """Write the words in the format asked for, between the two phrases."""
    if "numbered" in kinds or "bullets" in kinds:
        marks = [f"{i}." if "numbered" in kinds else "-" for i in range(1, len(words) + 1)]
        body = "\n".join(f"{mark} {word}" for mark, word in zip(marks, words, strict=True))
        text = f"{start}:\n{body}" if start else body
        return f"{text}\n{end}" if end else text
    body = (", " if "commas" in kinds else " ").join(words)
    text = f"{start}: {body}" if start else body
    return f"{text}. {end}" if end else text


def make_instruction(rng: random.Random, held_out: bool) -> InstructionItem:
    """Draw one item; held-out items use phrasings and combinations no training item uses."""
    kinds = _choose_kinds(rng, held_out)
    # A plain copy is made long, since copying is what everything else is built on.
    given = rng.sample(WORDS, rng.randint(3, 5) if kinds else rng.randint(5, 9))
    count = rng.randint(2, min(len(given), 5) - 1)
    dropped = rng.choice(given)
    start = rng.choice(START_PHRASES) if "start" in kinds else ""
    end = rng.choice(END_PHRASES) if "end" in kinds else ""
    capitals = "lower" in kinds or rng.random() < 0.1

    kept = list(given)
    if "first" in kinds:
        kept = kept[:count]
    if "last" in kinds:
        kept = kept[-count:]
    if "drop" in kinds:
        kept.remove(dropped)
    if "reverse" in kinds:
        kept.reverse()
    if "sort" in kinds:
        kept.sort()
    written = [word for word in kept for _ in range(2)] if "twice" in kinds else kept
    # Without an instruction on case the words stay as they were given.
    shout = capitals and "lower" not in kinds
    answer = _laid_out([w.upper() if shout else w for w in written], kinds, start, end)
    answer = answer.upper() if "upper" in kinds else answer

    shown = [word.upper() if capitals else word for word in given]
    templates = [rng.choice(phrasings(*OPENERS, held_out))]
    templates += [rng.choice(phrasings(*CLAUSES[kind], held_out)) for kind in kinds]
    fields = {"l": " ".join(shown), "n": NUMBER_WORDS[count], "w": dropped}
    parts = [templates[0].format(**fields)]
    for kind, template in zip(kinds, templates[1:], strict=True):
        parts.append(template.format(p=start if kind == "start" else end, **fields))
    return InstructionItem(
        question=_question(rng, parts),
        answer=answer,
        checks=_checks(given, kept, dropped, kinds, start, end),
        kinds=tuple(sorted(kinds)),
        templates=tuple(templates),
    )


def _question(rng: random.Random, parts: Sequence[str]) -> str:
    """Join the opener and the clauses to sentences; the last two clauses at times to one."""
    opener, clauses = parts[0], list(parts[1:])
    if len(clauses) > 1 and rng.random() < 0.4:
        clauses[-2:] = [f"{clauses[-2]} and {clauses[-1]}"]
    return " ".join(f"{sentence(part)}." for part in (opener, *clauses))


def _checks(
    given: Sequence[str],
    kept: Sequence[str],
    dropped: str,
    kinds: Sequence[str],
    start: str,
    end: str,
) -> tuple[str, ...]:
    """Return the checks of an item, in the notation of `mergesearch.tasks.checks`."""
    words = " ".join(kept)
    by_kind = {
        "upper": "case:upper",
        "lower": "case:lower",
        "first": f"count:{len(kept)} {' '.join(given)}",
        "last": f"count:{len(kept)} {' '.join(given)}",
        "drop": f"forbidden:{dropped}",
        "twice": f"times:2 {words}",
        "reverse": f"order:{words}",
        "sort": f"order:{words}",
        "commas": "format:commas",
        "numbered": "format:numbered",
        "bullets": "format:bullets",
        "start": f"start:{start}",
        "end": f"end:{end}",
    }
    general = (f"uses:{words}", f"only:{' '.join(filter(None, (words, start, end)))}")
    return general + tuple(by_kind[kind] for kind in kinds)
