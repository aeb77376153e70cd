"""What a search tries first."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from helpers.spaces import SPACE, TWO_ROUNDS

from mergesearch.errors import SpaceError
from mergesearch.methods import METHODS
from mergesearch.space import Space


def test_starts_are_the_parents_alone_and_named_ratios() -> None:
    space = Space.from_yaml(SPACE)
    shares = [space.recipe(start).shares(4) for start in space.starts()]
    assert shares[0] == pytest.approx({"base": 0.0, "a": 1.0, "b": 0.0})
    assert shares[1] == pytest.approx({"base": 0.0, "a": 0.0, "b": 1.0})
    assert shares[2] == pytest.approx({"base": 0.0, "a": 0.75, "b": 0.25})


def test_a_slerp_starts_from_its_ends() -> None:
    space = Space.from_yaml("""
merge_method: slerp
base_model: a
models: [{model: a}, {model: b}]
parameters: {t: {search: [0, 1]}}
start_from: [parents, {ratio: {a: 3, b: 1}}]
""")
    assert space.starts() == [{"t": 0.0}, {"t": 1.0}, {"t": 0.25}]


def test_starts_outside_the_ranges_are_refused() -> None:
    document = yaml.safe_load(SPACE)
    document["models"][0]["parameters"]["weight"] = {"search": [0.2, 0.6]}
    with pytest.raises(SpaceError, match=r"start_from needs a.weight"):
        Space(document)


WEIGHTED = [name for name, method in METHODS.items() if "weight" in method.per_parent]


@pytest.mark.parametrize("method", WEIGHTED)
def test_starts_fill_every_method_with_weights(method: str) -> None:
    """Each parent alone has share 1; a ratio has the shares it names."""
    holes = {"weight": [0, 1.5], "density": [0.7, 1], "epsilon": [0.01, 0.2], "gamma": [0, 0.1]}
    own = {
        name: {"search": span} for name, span in holes.items() if name in METHODS[method].per_parent
    }
    space = Space(
        {
            "merge_method": method,
            "base_model": "base",
            "models": [{"model": name, "parameters": dict(own)} for name in "ab"],
            "start_from": ["parents", {"ratio": {"a": 3, "b": 1}}],
        }
    )
    recipes = [space.recipe(values) for values in space.starts()]
    shares = [(recipe.shares(2)["a"], recipe.shares(2)["b"]) for recipe in recipes]
    assert [pytest.approx(pair) for pair in shares] == [(1, 0), (0, 1), (0.75, 0.25)]
    densities = {
        source.parameters.get("density", 1.0) for recipe in recipes for source in recipe.last.inputs
    }
    assert densities == {1.0}


def test_without_start_from_what_people_try_comes_first() -> None:
    """Parents alone, 1:1, 2:1, 3:1, 1:2, and two rounds, 1:1 and then 3:1, which is 5:3."""
    document = yaml.safe_load(SPACE)
    del document["start_from"]
    space = Space(document)
    shares = [space.recipe(start).shares(4)["a"] for start in space.starts()]
    assert shares == pytest.approx([1, 0, 1 / 2, 2 / 3, 3 / 4, 1 / 3, 5 / 8], abs=1e-4)
    assert space.left_out() == []
    assert Space(document | {"start_from": []}).starts() == []
    assert Space(document | {"start_from": ["usual"]}).starts() == space.starts()


def test_usual_starts_that_the_space_does_not_have_are_left_out_and_named() -> None:
    document = yaml.safe_load(SPACE)
    del document["start_from"]
    document["models"][0]["parameters"]["weight"] = {"search": [0.4, 0.7]}
    space = Space(document)
    shares = [space.recipe(start).shares(4)["a"] for start in space.starts()]
    assert shares == pytest.approx([1 / 2, 2 / 3, 5 / 8], abs=1e-4)
    assert space.left_out() == ["a alone", "b alone", "a : b = 3 : 1", "a : b = 1 : 2"]
    assert Space(document | {"start_from": []}).left_out() == []


def test_a_start_is_what_it_is_called_or_it_is_left_out() -> None:
    """With a fixed weight of 1 for one parent, the other never stands alone."""
    space = Space.from_yaml("""
merge_method: task_arithmetic
base_model: base
models:
  - {model: a, parameters: {weight: 1}}
  - {model: b, parameters: {weight: {search: [0, 1]}}}
""")
    assert [space.recipe(start).shares(2)["b"] for start in space.starts()] == [0.0]
    assert len(space.left_out()) == 6


def test_more_than_two_parents_start_in_equal_parts_too() -> None:
    weight = {"search": [0, 1]}
    models = [{"model": ref, "parameters": {"weight": weight}} for ref in "abc"]
    space = Space({"merge_method": "linear", "models": models})
    shares = [tuple(space.recipe(start).shares(2).values()) for start in space.starts()]
    assert shares[3:5] == [pytest.approx((1 / 3,) * 3, abs=1e-4), pytest.approx((0.5, 0.5, 0))]
    assert len(shares) == 9


def test_two_rounds_are_two_rounds_where_the_space_has_them() -> None:
    space = Space.from_yaml("""
name: mixture
merge_method: slerp
base_model: instruct
models: [{model: instruct}, {model: reason}]
parameters: {t: {search: [0, 1]}}
---
merge_method: linear
models:
  - {model: mixture, parameters: {weight: {search: [0, 1]}}}
  - {model: instruct, parameters: {weight: {search: [0, 1]}}}
""")
    last = space.starts()[-1]
    assert last == {"mixture.weight": 0.75, "instruct.weight": 0.25, "mixture.t": 0.5}


def test_a_sweep_is_the_line_between_two_parents_and_the_two_rounds() -> None:
    space = Space.from_yaml(SPACE).sweep(None, 5)
    shares = [space.recipe(start).shares(4)["a"] for start in space.starts()]
    assert shares == pytest.approx([1, 0.75, 0.5, 0.25, 0, 0.625], abs=1e-4)
    turned = Space.from_yaml(SPACE).sweep(("b", "a"), 3)
    shares = [turned.recipe(start).shares(4)["a"] for start in turned.starts()]
    assert shares == pytest.approx([0, 0.5, 1, 0.375], abs=1e-4)


@pytest.mark.parametrize("between", [("a", "a"), ("a", "base"), ("a", "nobody")])
def test_a_sweep_is_between_two_parents_that_can_be_mixed(between: tuple[str, str]) -> None:
    with pytest.raises(SpaceError, match="are not two parents that can be mixed"):
        Space.from_yaml(SPACE).sweep(between, 5)


def test_a_space_without_the_line_is_not_swept() -> None:
    document = yaml.safe_load(SPACE)
    document["models"][0]["parameters"]["weight"] = 0.3
    with pytest.raises(SpaceError, match="does not have the line between a and b"):
        Space(document | {"start_from": []}).sweep(None, 5)


def test_starts_mix_the_parents_of_all_rounds() -> None:
    """Each parent alone, then 3:3:2, whatever the stages' method."""
    space = Space.from_yaml(TWO_ROUNDS)
    starts = space.starts()
    shares = [space.recipe(values).shares(4) for values in starts]
    parents = ("instruct", "reason", "chat", "polite")
    rows = [tuple(share.get(name, 0.0) for name in parents) for share in shares]
    assert rows == [
        pytest.approx(row)
        for row in [
            (1, 0, 0, 0),
            (0, 1, 0, 0),
            (0, 0, 1, 0),
            (0, 0, 0, 1),
            (3 / 8, 3 / 8, 2 / 8, 0),
        ]
    ]
    slerped = space.recipe(starts[4] | {"mixture.merge_method": "slerp"}).shares(4)
    assert slerped == pytest.approx({"instruct": 3 / 8, "reason": 3 / 8, "chat": 1 / 4})


@pytest.mark.parametrize(
    ("method", "name", "span", "expected"),
    [
        ("della", "epsilon", [0.0, 0.3], 0.15),
        ("della", "epsilon", [0.2, 0.3], 0.2),
        ("della", "epsilon", [0.0, 0.1], 0.1),
        ("ram", "epsilon", [1e-6, 1e-3], 1e-5),
        ("ramplus_tl", "r", [0.0, 1.0], 0.1),
        ("ties", "lambda", [0.5, 1.5], 1.0),
        ("sce", "select_topk", [0.2, 0.8], 0.8),
    ],
)
def test_what_a_ratio_says_nothing_of_takes_the_methods_default(
    method: str, name: str, span: list[float], expected: float
) -> None:
    """Or the value of the range that is nearest to it."""
    space = Space(
        {
            "merge_method": method,
            "base_model": "base",
            "models": [{"model": "a"}],
            "parameters": {name: {"search": span}},
        }
    )
    assert space.starts() == [{name: expected}]


def test_a_parameter_of_several_methods_takes_the_first_ones_default() -> None:
    document = {
        "base_model": "base",
        "models": [{"model": "a"}],
        "parameters": {"epsilon": {"search": [1e-6, 0.4]}},
    }
    for methods, expected in ((["della", "ram"], 0.15), (["ram", "della"], 1e-5)):
        space = Space(document | {"merge_method": {"search": methods}})
        assert space.starts() == [{"merge_method": methods[0], "epsilon": expected}]


def test_named_values_leave_the_others_neutral() -> None:
    space = Space(yaml.safe_load(SPACE) | {"start_from": [{"values": {"a.weight": 0.5}}]})
    (values,) = space.starts()
    assert values == {
        "merge_method": "task_arithmetic",
        "a.weight": 0.5,
        "a.density": 1.0,
        "b.weight.attn[0]": 1.0,
        "b.weight.attn[1]": 1.0,
        "b.weight.attn[2]": 1.0,
        "b.weight.rest": 1.0,
        "lambda": 1.0,
    }


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"values": {"c.weight": 1}}, "does not name dimensions"),
        ({"values": {"a.weight": 9}}, "9 is not in the space"),
        ({"values": {}, "ratio": {}}, "is not a start"),
        ({"ratio": {"a": 0}}, "is not a start"),
        ({"ratio": {"a": True}}, "is not a start"),
    ],
)
def test_malformed_starts(start: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Space(yaml.safe_load(SPACE) | {"start_from": [start]})


def test_a_start_is_tried_once() -> None:
    ratios = [{"ratio": {"a": 2, "b": 1}}, {"ratio": {"a": 4, "b": 2}}]
    assert len(Space(yaml.safe_load(SPACE) | {"start_from": ratios}).starts()) == 1
