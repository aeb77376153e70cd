"""Checkers that the bundled tasks name with `!function mergesearch.tasks.checks...`.

An instruction item lists its checks as strings `name:argument`; each is looked up in
`CHECKS`, a table of pure functions of the response and the argument. Answers to reasoning
items are compared without regard to case, punctuation and format.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

# fmt: off
_NUMBER_WORDS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty",
)
# fmt: on
_DIGITS: Final = {word: str(number) for number, word in enumerate(_NUMBER_WORDS)}
_ARTICLES: Final = frozenset(("a", "an", "the"))
_EDGES: Final = " \t\r\n.,:;!?'\"*-"


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without digits and punctuation."""
    return re.findall(r"[a-z]+", text.lower())


def _listed(text: str, words: str) -> list[str]:
    """Return the words of a text that are among `words`, in the text's order."""
    allowed = frozenset(words.split())
    return [word for word in words_of(text) if word in allowed]


def check_case(text: str, case: str) -> bool:
    """Whether every letter has the case named: `upper` or `lower`."""
    return {"upper": text.isupper, "lower": text.islower}[case]()


def check_uses(text: str, words: str) -> bool:
    """Whether each of the words occurs."""
    return frozenset(words.split()) <= frozenset(words_of(text))


def check_only(text: str, words: str) -> bool:
    """Whether the text has words, all of them among those given."""
    found = frozenset(words_of(text))
    return bool(found) and found <= frozenset(words.split())


def check_forbidden(text: str, words: str) -> bool:
    """Whether the text says something, and none of the words."""
    return bool(words_of(text)) and not _listed(text, words)


def check_count(text: str, argument: str) -> bool:
    """Whether exactly N of the listed words occur (argument: `N word word ...`)."""
    count, _, words = argument.partition(" ")
    return len(frozenset(_listed(text, words))) == int(count)


def check_times(text: str, argument: str) -> bool:
    """Whether each listed word occurs exactly N times (argument: `N word word ...`)."""
    count, _, words = argument.partition(" ")
    found = _listed(text, words)
    return all(found.count(word) == int(count) for word in words.split())


def check_order(text: str, words: str) -> bool:
    """Whether the listed words stand in this order; repeats of one word count once."""
    found = _listed(text, words)
    distinct = [word for i, word in enumerate(found) if i == 0 or word != found[i - 1]]
    return distinct == words.split()


def check_start(text: str, phrase: str) -> bool:
    """Whether the text starts with the phrase, whatever its case."""
    wanted = words_of(phrase)
    return words_of(text)[: len(wanted)] == wanted


def check_end(text: str, phrase: str) -> bool:
    """Whether the text ends with the phrase, whatever its case and closing mark."""
    wanted = words_of(phrase)
    return words_of(text)[-len(wanted) :] == wanted


def _lines_marked(text: str, marks: Callable[[int], str]) -> bool:
    """Whether the lines marked in turn by `marks(1)`, `marks(2)`... hold one word each.

    A line without a mark may stand before and after the list: there the phrases go.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    listed = [i for i, line in enumerate(lines) if re.match(r"(\d+\.|-) ", line)]
    if not listed or listed != list(range(listed[0], listed[-1] + 1)):
        return False
    if listed[0] > 1 or len(lines) - 1 - listed[-1] > 1:
        return False
    return all(
        re.fullmatch(re.escape(marks(number)) + r" [A-Za-z]+", lines[i]) is not None
        for number, i in enumerate(listed, start=1)
    )


def _comma_separated(text: str) -> bool:
    """Whether words stand one between commas, with at most a phrase before and after."""
    body = re.sub(r"^[^,:]*:", "", text.strip())
    body = re.split(r"[.\n]", body.strip(), maxsplit=1)[0]
    parts = [part.strip() for part in body.split(",")]
    return len(parts) > 1 and all(re.fullmatch(r"[A-Za-z]+", part) for part in parts)


FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {
    "commas": _comma_separated,
    "numbered": lambda text: _lines_marked(text, lambda number: f"{number}."),
    "bullets": lambda text: _lines_marked(text, lambda _: "-"),
}


def check_format(text: str, name: str) -> bool:
    """Whether the text has the format named: `commas`, `numbered` or `bullets`."""
    return FORMATS[name](text)


CHECKS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "case": check_case,
    "uses": check_uses,
    "only": check_only,
    "forbidden": check_forbidden,
    "count": check_count,
    "times": check_times,
    "order": check_order,
    "start": check_start,
    "end": check_end,
    "format": check_format,
}


def run_check(text: str, check: str) -> bool:
    """Run one check written `name:argument` on a response.

    Raises:
        KeyError: There is no check of that name.
    """
    name, _, argument = check.partition(":")
    return CHECKS[name](text.strip(), argument)


def instruct_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score an instruction item: all its checks passed (0 or 1), and the share that passed."""
    passed = [run_check(results[0], check) for check in doc["checks"]]
    return {
        "prompt_strict": float(all(passed)),
        "instruction_strict": sum(passed) / len(passed),
    }


def normalized_answer(text: str, candidates: Sequence[str] = ()) -> str:
    """Return the answer a text gives, in lower case, numbers in digits.

    That is the last of the candidates that it names; without candidates, the last number, or else
    all its words but articles.
    """
    tokens = [_DIGITS.get(token, token) for token in re.findall(r"[a-z]+|\d+", text.lower())]
    wanted = frozenset(candidate.lower() for candidate in candidates)
    named = [token for token in tokens if (token in wanted if wanted else token.isdigit())]
    if named:
        return named[-1]
    return "" if wanted else " ".join(token for token in tokens if token not in _ARTICLES)


def answer_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score a reasoning item with a free answer: 1 where the answer named last is right.

    A text that names several of the possible answers is judged by the last one, so that neither a
    sentence around the answer nor a restatement of the question decides.
    """
    target = str(doc["answer"]).lower()
    candidates = () if target.isdigit() else doc["candidates"]
    return {"exact": float(normalized_answer(results[0].strip(_EDGES), candidates) == target)}


def last_number_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score a worked answer: 1 where its last number is that of the solution."""
    found = [_last_number(text) for text in (results[0], str(doc["answer"]))]
    return {"exact": float(found[0] is not None and found[0] == found[1])}


def _last_number(text: str) -> float | None:
    numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    return float(numbers[-1].replace(",", "")) if numbers else None


def likelihood_results(
    doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]
) -> dict[str, float]:
    """Score how likely the text `answer` of an item is, in nat per character."""
    return {"nat_per_character": results[0][0] / max(1, len(doc["answer"]))}
