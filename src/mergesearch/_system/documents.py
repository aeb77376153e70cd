"""Documents that others wrote: JSON read with limits, and one form of message for a wrong value."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import AfterValidator, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from mergesearch._system.files import open_regular, why_unreadable
from mergesearch.errors import MergeSearchError

MAX_JSON = 40 << 20
"""Bytes of a JSON file. The longest tokenizers have 35 MB; nonsense takes 20 times its size."""


_MARK = "\ufeff".encode()


@dataclass(frozen=True)
class Problem:
    """What is wrong with a document.

    Attributes:
        what: Wrong value and what it is not.
        place: Keys that lead to it, with a dot between; empty for the whole document.
        expected: What would have been right, where the first part does not say it.
    """

    what: str
    place: str
    expected: str | None = None


def read_json_object(path: Path, fail: type[MergeSearchError]) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Raises:
        FileNotFoundError: There is no such file.
        MergeSearchError: The file cannot be read or holds something else; the error is a `fail`.
    """
    try:
        with open_regular(path) as file:
            text = file.read(MAX_JSON + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise fail(why_unreadable(error), where=path) from error
    if len(text) > MAX_JSON:
        raise fail(f"more than {MAX_JSON} bytes of JSON", where=path)
    document = parse_json(text, path, fail)
    if not isinstance(document, dict):
        raise fail(f"{shown(document)} is not a JSON object", where=path)
    return document


def parse_json(text: bytes, where: str | Path, fail: type[MergeSearchError]) -> Any:
    """Return the value of a JSON text in UTF-8.

    An object that has a key twice is refused: what reads the file elsewhere may take the value that
    Python drops.

    Args:
        text: The text.
        where: Name of the text, for messages.
        fail: Class of the error.

    Raises:
        MergeSearchError: The text is not valid JSON; the error is a `fail` and names the line where
            that is known.
    """
    try:
        document = json.loads(text.decode(), object_pairs_hook=_without_repeats)
        if b"\\ud" in text.lower():  # half a character cannot be written again
            json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        said = "a byte order mark" if text.startswith(_MARK) else error.msg
        problem = f"not valid JSON: {said[:1].lower()}{said[1:]}"
        raise fail(problem, where=f"{where}, line {error.lineno}") from error
    except UnicodeDecodeError as error:
        raise fail(f"not UTF-8 text (byte {error.start})", where=where) from error
    except UnicodeEncodeError as error:
        raise fail("not valid JSON: half of a character", where=where) from error
    except RecursionError as error:
        raise fail("not valid JSON: nested too deeply", where=where) from error
    except _Repeated as error:
        raise fail(
            f"not valid JSON: the key {shown(error.key)} occurs twice", where=where
        ) from None
    except ValueError as error:  # all that is left
        digits = sys.get_int_max_str_digits()
        raise fail(f"not valid JSON: a number of over {digits} digits", where=where) from error
    return document


class _Repeated(Exception):
    """An object has a key twice."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise _Repeated(next(key for key, count in counts.items() if count > 1))
    return document


def digest_of(document: Any) -> str:
    """Return the SHA-256 (hex) of a document of JSON values, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def check(
    kind: TypeAdapter[Any], document: Any, where: str | Path, fail: type[MergeSearchError]
) -> None:
    """Refuse a document whose values have the wrong types or ranges.

    Args:
        kind: Types and ranges of the values.
        document: Document to check, which stays as it is.
        where: Name of the document, for messages.
        fail: Class of the error.

    Raises:
        MergeSearchError: A value is wrong; the error is a `fail` and names the first and its place.
    """
    try:
        kind.validate_python(document)
    except ValidationError as error:
        problem = described(error.errors(include_url=False)[0])
        what = f"{problem.place}: {problem.what}" if problem.place else problem.what
        raise fail(what, where=where, expected=problem.expected) from error


_REFUSED = "refused"


def refused(what: str) -> PydanticCustomError:
    """Return the error of a validator of ours, for it to raise; messages begin with the value."""
    return PydanticCustomError(_REFUSED, "{what}", {"what": what})


def one_or_several(holds: Callable[[Any], bool], what: str) -> AfterValidator:
    """Return the validator of a value that may stand alone or in a list; null may stand alone.

    Args:
        holds: Function that says whether a value is of the kind that is meant.
        what: Words for the kind, such as `the id of a token`.
    """

    def check_each(value: Any) -> Any:
        values = value if isinstance(value, list) else [value]
        if value is not None and not all(map(holds, values)):
            raise refused(f"is not {what}, or a list of them")
        return value

    return AfterValidator(check_each)


_KINDS = {
    "bool_type": "true or false",
    "date_from_datetime_inexact": "a date",
    "date_from_datetime_parsing": "a date",
    "date_parsing": "a date",
    "date_type": "a date",
    "dataclass_type": "a mapping",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "string_type": "a string",
    "tuple_type": "a list",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def described(problem: ErrorDetails) -> Problem:
    """Return what pydantic found, in the words of this program."""
    path, kind, context = problem["loc"], problem["type"], problem.get("ctx", {})
    value = shown(problem["input"])
    if path[-1:] == ("[key]",) and kind == "string_type":
        return Problem(f"the key {value} is not a string: put it in quotes", joined(path[:-2]))
    if kind == "missing":
        return Problem(f"needs `{path[-1]}`", joined(path[:-1]))
    if kind == "too_short":
        return Problem(f"needs `{path[-1]}`, at least one", joined(path[:-1]))
    if kind in _KINDS:
        return Problem(f"{value} is not {_KINDS[kind]}", joined(path))
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return Problem(f"{value} is out of range", joined(path), f"{words} {context[name]}")
    if kind == "literal_error":
        return Problem(f"unknown value {value}", joined(path), context["expected"])
    if kind == _REFUSED:
        return Problem(f"{value} {problem['msg']}", joined(path))
    return Problem(f"{value}: {problem['msg']}", joined(path))


def state_of(key: str, value: Any) -> str:
    """Return what a value is, in place of what it should be; or that it is needed."""
    return f"needs `{key}`" if value is None else f"{key} is {shown(value)}"


def joined(path: tuple[str | int, ...]) -> str:
    """Return keys with a dot between; long ones are cut."""
    return ".".join(_cut(str(key)) for key in path if key != "[key]")


def shown(value: Any) -> str:
    """Return a value of a document in one short line, as YAML or JSON would have it."""
    if isinstance(value, Mapping | list):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    return _cut(json.dumps(value, ensure_ascii=False, default=str))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
