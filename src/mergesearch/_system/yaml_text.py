"""YAML as people write it, with what they cannot have meant refused by the line it is in.

PyYAML takes the same key twice without a word, raises whatever Python's constructors raise for a
tagged value, and follows any depth of nesting and any number of aliases.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from mergesearch.errors import MergeSearchError

MAX_CHARACTERS = 1 << 17
"""Characters of a text."""
MAX_DEPTH = 64
"""Mappings and lists inside each other."""
_LONGEST = 80
"""Characters of a value in a message."""
MAX_NODES = 100_000
"""Keys and values of a document, those that an alias repeats counted each time."""


_PREFIX = "tag:yaml.org,2002:"
_MISREAD = re.compile(r"[-+]?(0[0-9_]|[0-9_]+:)")
"""Numbers to base 8 (`010`) and 60 (`1:30`)."""


class Loader(yaml.SafeLoader):
    """A safe loader that refuses keys given twice, bad values, deep nesting and alias bombs."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node that is not nested too deeply."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            problem = f"more than {MAX_DEPTH} mappings and lists in each other"
            raise _refusal(problem, self.get_mark())
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_document(self, node: yaml.Node) -> Any:
        """Construct a document whose aliases do not make it huge."""
        _size(node, {})
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Construct a mapping that has each key once, however it is written."""
        lines: dict[Hashable, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                merges = key.tag == f"{_PREFIX}merge"
                name = key.tag if merges else self.construct_object(key)
                if name in lines:
                    problem = f"the key {key.value!r} is in line {lines[name]} already"
                    raise _refusal(problem, key.start_mark)
                lines[name] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct a value; what its constructor raises becomes an error with a line."""
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, MergeSearchError):
            raise
        except Exception as error:  # constructors of Python's values may raise anything
            kind = node.tag.rpartition(":")[2]
            problem = f"{node.value!r} is not a value of type {kind}"
            raise _refusal(problem, node.start_mark) from error


def _number(loader: Loader, node: yaml.ScalarNode) -> int | float:
    """Construct a number; one that people read otherwise than YAML 1.1 is refused."""
    kind = node.tag.removeprefix(_PREFIX)
    number: int | float = getattr(loader, f"construct_yaml_{kind}")(node)
    if _MISREAD.match(node.value):
        problem = (
            f"{node.value} stands for {number} in YAML: write that, or {node.value!r} for text"
        )
        raise _refusal(problem, node.start_mark)
    return number


def _unknown_tag(loader: Loader, node: yaml.Node) -> None:
    raise _refusal(f"the tag {node.tag.replace(_PREFIX, '!!')} is unknown here", node.start_mark)


Loader.add_constructor(f"{_PREFIX}int", _number)
Loader.add_constructor(f"{_PREFIX}float", _number)
Loader.add_constructor(None, _unknown_tag)


def read_documents(
    text: str, fail: type[MergeSearchError], where: str | Path, kind: type[Loader] = Loader
) -> list[Any]:
    """Return the documents of a YAML text.

    Args:
        fail: Class of the error.
        where: Name of the text, for messages.
        kind: Class of the loader, where it has tags of its own.

    Raises:
        MergeSearchError: The text is not valid YAML or beyond a limit; the error is a `fail`.
    """
    if len(text) > MAX_CHARACTERS:
        raise fail(f"more than {MAX_CHARACTERS} characters of YAML", where=where)
    documents: list[Any] = []
    try:
        loader: Any = kind(text)
        loader.name = str(where)
        while loader.check_data():
            documents.append(loader.get_data())
    except yaml.reader.ReaderError as error:
        lines = text.count("\n", 0, error.position) + 1
        code = f"U+{ord(text[error.position]):04X}"
        raise fail(
            f"not valid YAML: the character {code}", where=f"{where}, line {lines}"
        ) from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = error.problem or error.context
        raise fail(f"not valid YAML: {problem}", where=f"{where}{line}") from error
    except yaml.YAMLError as error:
        raise fail(f"not valid YAML: {error}", where=where) from error
    return documents


def read_document(
    text: str, fail: type[MergeSearchError], where: str | Path, kind: type[Loader] = Loader
) -> Any:
    """Return the only document of a YAML text, None for an empty one; see `read_documents`."""
    documents = read_documents(text, fail, where, kind)
    if len(documents) > 1:
        raise fail(f"{len(documents)} YAML documents", where=where, expected="one")
    return documents[0] if documents else None


def as_written(value: Any) -> str:
    """Return a value of a document in one short line, as its YAML has it; a string in quotes."""
    if isinstance(value, str):
        text = repr(value)
    else:
        try:
            text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False)
        except yaml.YAMLError:  # a value that a program gave
            text = repr(value)
        text = " ".join(text.removesuffix("...\n").split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def line_of(text: str, keys: str, named: str = "", document: str = "") -> int | None:
    """Return the line, from 1, in which a value of a YAML text stands; None where none is known.

    Args:
        text: YAML that `read_documents` takes; of several documents the last that has the keys.
        keys: Keys and indices that lead to the value, joined by dots. Where only the first ones are
            there, the line is that of the last of these.
        named: Key or value that is meant there: the line is its own where it stands directly below
            the keys, or nothing else is known and it is in one line alone.
        document: `name` of the document that is meant; empty for any.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        nodes = list(yaml.compose_all(text, Loader))
    except yaml.YAMLError:
        return None
    if document:
        nodes = [node for node in nodes if _value_of(node, "name") == document] or nodes
    found = [_walked(node, keys.split(".") if keys else [], named) for node in reversed(nodes)]
    line = max(found, default=(0, None), key=lambda place: place[0])[1]
    lines = {mark for node in nodes for mark in _lines_of(node, named)}
    if line is None and len(lines) == 1:
        return lines.pop()
    return nodes[0].start_mark.line + 1 if line is None and document else line


def _value_of(node: yaml.Node, name: str) -> str | None:
    """The text of a value of a mapping."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((str(value.value) for key, value in pairs if key.value == name), None)


def _lines_of(node: yaml.Node | None, word: str) -> Iterator[int]:
    """Every line in which a word is a key or a value."""
    if isinstance(node, yaml.ScalarNode) and node.value == word:
        yield node.start_mark.line + 1
    for child in _children(node):
        yield from _lines_of(child, word)


def _children(node: yaml.Node | None) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    return (
        [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else []
    )


def _walked(node: yaml.Node | None, keys: Sequence[str], named: str) -> tuple[int, int | None]:
    """How many keys lead somewhere from a node, and the line to which they lead."""
    pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    if isinstance(node, yaml.MappingNode):
        pairs = {str(key.value): (key, value) for key, value in node.value}
    elif isinstance(node, yaml.SequenceNode):
        pairs = {str(index): (value, value) for index, value in enumerate(node.value)}
    for count in range(len(keys), 0, -1):  # a key may have dots itself
        if (pair := pairs.get(".".join(keys[:count]))) is not None:
            place, value = pair
            further, line = _walked(value, keys[count:], named)
            return count + further, line or place.start_mark.line + 1
    if not keys:
        for place, value in pairs.values():
            if named and named in (place.value, value.value):
                return 1, place.start_mark.line + 1
    return 0, None


def _size(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """Number of nodes that a node stands for, aliases followed."""
    if node in known:
        if known[node] == 0:
            raise _refusal("an alias that contains itself", node.start_mark)
        return known[node]
    known[node] = 0
    known[node] = 1 + sum(_size(child, known) for child in _children(node))
    if known[node] > MAX_NODES:
        raise _refusal(f"more than {MAX_NODES} values, with aliases followed", node.start_mark)
    return known[node]


def _refusal(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, problem, mark)
