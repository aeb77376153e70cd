"""Merge methods: what each takes, and what it computes from blocks of rows.

All arithmetic is float32 with products and sums as separate steps in the order of the inputs, so
that a block's values do not depend on how a tensor is cut or on who computes it. What concerns a
whole tensor is collected in a pass of its own: counts, or float64 sums over fixed blocks in order.
Results equal mergekit 0.1.5 in float32 (`merge_methods/`) but for the order of summation and for
random numbers.

Everything that the program knows of a method is its declaration, a `Method`: parsing and checking
of recipes, shares, exports, what a space opens and the table in docs/recipes.md follow from it.
"""

from __future__ import annotations

from mergesearch.methods import (
    averages,
    geometry,
    medians,
    ram,
    sce,
    spheres,
    swaps,
    task_arithmetic,
)
from mergesearch.methods.combination import Combination
from mergesearch.methods.declaration import (
    DENSITY,
    LAMBDA,
    WEIGHT,
    Base,
    Method,
    Parameter,
    T,
    switch,
)
from mergesearch.methods.inputs import InputRows, InputTensor, Settings
from mergesearch.methods.shares import equal_shares, weight_shares

__all__ = [
    "DENSITY",
    "LAMBDA",
    "METHODS",
    "WEIGHT",
    "Base",
    "Combination",
    "InputRows",
    "InputTensor",
    "Method",
    "Parameter",
    "Settings",
    "T",
    "add_method",
    "equal_shares",
    "switch",
    "weight_shares",
]

METHODS: dict[str, Method] = {}
"""All merge methods by their names in a recipe."""


def add_method(method: Method) -> None:
    """Make a merge method known to recipes, spaces and every command.

    Raises:
        ValueError: There is a method of that name, or the declaration contradicts itself.
    """
    if method.name in METHODS:
        raise ValueError(f"there is a merge method {method.name!r} already")
    if len(method.by_name) < len(method.parameters):
        raise ValueError(f"two parameters of {method.name!r} have the same name")
    for parameter in method.parameters:
        if parameter.search is not None and parameter.kind is not float:
            raise ValueError(f"{parameter.name!r} of {method.name!r} has no range to search")
    METHODS[method.name] = method


for _family in (averages, task_arithmetic, sce, geometry, spheres, ram, swaps, medians):
    for _method in _family.METHODS:
        add_method(_method)
