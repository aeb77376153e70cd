"""What methods declare: parameters, bases, settings."""

from __future__ import annotations

from typing import Any

import pytest

from mergesearch.methods import METHODS, Method, Parameter, switch
from mergesearch.methods.declaration import INT8_MASK


@pytest.mark.mergekit
def test_parameters_are_those_of_mergekit() -> None:
    """By name and by whether a parent has its own; `int8_mask` is read with every method.

    mergekit declares `density` and `rescale` for task_arithmetic, which keeps all of every delta.
    """
    from mergekit.merge_methods import registered_methods

    theirs = {method.spec.name: method.spec for method in registered_methods()}
    ours = {name: method for name, method in METHODS.items() if method.in_mergekit}
    assert set(ours) == set(theirs)
    for name, method in ours.items():
        shared = {parameter.name for parameter in theirs[name].shared_parameters}
        own = {parameter.name for parameter in theirs[name].input_parameters}
        ignored = {"density", "rescale"} if name == "task_arithmetic" else set()
        assert set(method.shared) | ignored >= shared - {"int8_mask"}, name
        assert set(method.shared) <= shared, name
        assert set(method.per_parent) | ignored >= own, name
        assert set(method.per_parent) <= own, name


def test_settings_are_of_the_declared_kinds() -> None:
    """A tuple of each input's values where parents have their own; mergekit's own are left out."""
    parameters = (
        Parameter("share", 1.0, per_parent=True),
        Parameter("steps", 10, int),
        switch("fast", False),
        INT8_MASK,
    )
    asked = []

    def value(parameter: Parameter, index: int | None) -> Any:
        asked.append((parameter.name, index))
        return parameter.default if index is None else index

    method = Method("x", lambda rows, settings, statistics: rows.inputs[0], parameters)
    settings = method.settings(value, 2)
    assert settings == {"share": (0.0, 1.0), "steps": 10, "fast": False}
    assert [type(number) for number in settings["share"]] == [float, float]
    assert type(settings["steps"]) is int
    assert asked == [("share", 0), ("share", 1), ("steps", None), ("fast", None)]
    assert method.per_parent == ("share",)
    assert method.shared == ("steps", "fast", "int8_mask")


@pytest.mark.parametrize(
    ("method", "with_base"),
    [("ties", True), ("nuslerp", True), ("karcher", False), ("linear", False)],
)
def test_a_base_is_apart_where_deltas_are_merged(method: str, with_base: bool) -> None:
    assert METHODS[method].merges_onto("base") == with_base
    assert METHODS[method].merges_onto(None) is False


def test_declarations_hold_together() -> None:
    """Defaults lie in their ranges, and so do the ranges that a space opens."""
    for method in METHODS.values():
        assert method.formula
        for parameter in method.parameters:
            if parameter.kind is bool:
                assert isinstance(parameter.default, bool)
                continue
            low, high = parameter.search or (parameter.low, parameter.high)
            assert parameter.low <= low < high <= parameter.high
            assert parameter.default is None or low <= parameter.default <= high
