"""Seeded mutations of documents, bytes and YAML texts."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import yaml

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 64, 1 << 31, 1 << 63, -(1 << 63), 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, float("nan"), float("inf"), float("-inf")),
    *("", "x", "0", "a b", "\u0000", "\u202e", "../x", "/dev/zero", "x" * 5000, "{{", "(a+)+$"),
    *([], {}, [[]], [{}], {"": 1}, {"a": {"a": {"a": 1}}}, [None], [1, 2, 3], ["x"] * 50),
)
_YAML = (
    *("!!int x", "!!float x", "!!timestamp x", "!!bool maybe", "!!binary ':'", "2026-13-45"),
    *("!!python/object:os.system x", "&a [*a]", "*nothing", "- ", ".nan", ".inf", "-.inf", "~"),
    *("<<: 3", "? [a]: b", "{a: 1, a: 2}", "[" * 200, "{a: " * 100, "\t", "---", "...", "%YAML 9"),
)


def mutated_document(document: Any, numbers: random.Random) -> Any:
    """A copy of a document with one to three places changed."""
    changed = {"": copy.deepcopy(document)}
    for _ in range(numbers.choice((1, 1, 1, 2, 3))):
        places = list(_places(changed))
        holder, key = numbers.choice(places)
        match numbers.randrange(6):
            case 0:
                del holder[key]
            case 1:
                other, place = numbers.choice(places)
                holder[key] = copy.deepcopy(other[place])
            case 2 if isinstance(holder, dict) and key:
                holder[numbers.choice(("", "x", key.upper(), key + " ", "9"))] = holder.pop(key)
            case _:
                holder[key] = copy.deepcopy(numbers.choice(_VALUES))
        if not changed:
            return None
    return changed.get("")


def _places(node: Any, deep: int = 0) -> Iterator[tuple[Any, Any]]:
    """Every holder of a value with its key; of a long list only some."""
    keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node)))
    for key in keys if len(keys) < 40 else keys[:5] + keys[-5:]:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key], deep + 1)


def mutated_bytes(data: bytes, numbers: random.Random, region: int | None = None) -> bytes:
    """Bytes with one to four changes, most of them in the first `region` bytes."""
    changed = bytearray(data)
    for _ in range(numbers.choice((1, 1, 2, 4))):
        end = min(region or len(changed), len(changed)) if numbers.random() < 0.9 else len(changed)
        place = numbers.randrange(max(1, end))
        length = numbers.choice((1, 1, 2, 4, 8, 8, 16, 64))
        match numbers.randrange(7):
            case 0 if changed:
                changed[place % len(changed)] ^= 1 << numbers.randrange(8)
            case 1:
                changed[place : place + length] = numbers.randbytes(length)
            case 2:
                number = numbers.choice(
                    (0, 1, 255, 1 << 16, 1 << 31, 1 << 32, 1 << 62, (1 << 64) - 1)
                )
                changed[place : place + 8] = number.to_bytes(8, "little")
            case 3:
                del changed[place : place + length]
            case 4:
                changed[place:place] = numbers.randbytes(length)
            case 5 if numbers.random() < 0.3:
                del changed[numbers.randrange(len(changed) + 1) :]
            case _:
                source = numbers.randrange(max(1, end))
                changed[place : place + length] = changed[source : source + length]
    return bytes(changed)


def mutated_yaml(text: str, numbers: random.Random) -> str:
    """A YAML text with its document or its lines changed."""
    if numbers.random() < 0.5:
        documents = list(yaml.safe_load_all(text))
        place = numbers.randrange(len(documents))
        documents[place] = mutated_document(documents[place], numbers)
        return str(yaml.safe_dump_all(documents, default_flow_style=numbers.choice((None, True))))
    lines = text.splitlines()
    for _ in range(numbers.choice((1, 1, 2, 4))):
        place = numbers.randrange(len(lines))
        line = lines[place]
        match numbers.randrange(7):
            case 0:
                lines.insert(place, line)
            case 1 if len(lines) > 1:
                del lines[place]
            case 2:
                lines[place] = " " * numbers.randrange(6) + line.strip()
            case 3:
                head, colon, _ = line.partition(":")
                lines[place] = f"{head}{colon or ':'} {numbers.choice(_YAML)}"
            case 4:
                lines[place] = line[: numbers.randrange(len(line) + 1)]
            case 5:
                cut = numbers.randrange(len(line) + 1)
                lines[place] = (
                    line[:cut] + numbers.choice("{}[],:#&*!|>'\"%@`- \t\x00\x85") + line[cut:]
                )
            case _:
                lines[place] = line + numbers.choice(_YAML)
    return "\n".join(lines)
