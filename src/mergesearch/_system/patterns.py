"""Regular expressions that others wrote: only those whose search ends soon on any text."""

from __future__ import annotations

import re

_MOST_CHARACTERS = 500
_MOST_REPEATS = 2
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_REPEAT = re.compile(r"[*+{]")
_REFERENCE = re.compile(r"\\[1-9]|\(\?P=")
_ESCAPED = re.compile(r"\\.|\[[^\]]*\]", re.DOTALL)


def check_pattern(pattern: str) -> None:
    """Refuse an expression that is not valid, or might be compared with a text for ever.

    Trying an expression in all possible ways takes exponential time where a group is repeated, and
    otherwise a power of the text's length with as many factors as there are repeats. So groups are
    not repeated, and of other repeats there are two at most.

    Raises:
        ValueError: Says what is wrong with it.
    """
    if len(pattern) > _MOST_CHARACTERS:
        raise ValueError(f"a pattern of more than {_MOST_CHARACTERS} characters")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression ({error})") from error
    if _REFERENCE.search(pattern):
        raise ValueError("a pattern that refers back to a group")
    plain = _ESCAPED.sub("x", pattern)  # brackets and stars that stand for themselves do not count
    if _REPEATED_GROUP.search(plain):
        raise ValueError("a pattern that repeats a group, which may never end")
    if len(_REPEAT.findall(plain)) > _MOST_REPEATS:
        raise ValueError(f"a pattern with more than {_MOST_REPEATS} repeats, which may never end")
