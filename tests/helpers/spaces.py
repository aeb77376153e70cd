"""Spaces that several tests search."""

from __future__ import annotations

import random
from typing import Any

from mergesearch.space import Space

SPACE = """
merge_method: {search: [task_arithmetic, ties]}
base_model: base
models:
  - {model: a, parameters: {weight: {search: [0, 1.5]}, density: {search: [0.2, 1]}}}
  - {model: b, parameters: {weight: {search: [0, 2], curve: 3, per: [attn]}}}
parameters: {lambda: {search: [0.5, 1]}, normalize: false}
start_from: [parents, {ratio: {a: 3, b: 1}}]
"""


def random_values(space: Space, seed: int) -> dict[str, Any]:
    numbers = random.Random(seed)
    return {
        dimension.name: numbers.choice(dimension.choices)
        if dimension.choices
        else numbers.uniform(dimension.low, dimension.high)
        for dimension in space.dimensions
    }


TWO_ROUNDS = """
name: mixture
merge_method: {search: [linear, slerp]}
base_model: instruct
models:
  - {model: instruct, parameters: {weight: {search: [0, 1]}}}
  - {model: reason, parameters: {weight: {search: [0, 1]}}}
parameters: {t: {search: [0, 1]}}
---
merge_method: linear
models:
  - {model: mixture, parameters: {weight: {search: [0, 1]}}}
  - {model: {search: [chat, polite, null]}, parameters: {weight: {search: [0, 1]}}}
start_from: [parents, {ratio: {instruct: 3, reason: 3, chat: 2}}]
"""
