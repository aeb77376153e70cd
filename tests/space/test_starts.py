"""What a search tries first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.spaces import SPACE, TWO_ROUNDS

from mergesearch.errors import SpaceError
from mergesearch.methods import METHODS
from mergesearch.space import Dimension, Space
from mergesearch.space.holes import Hole
from mergesearch.space.starts import FORMS, neutral_value, neutral_values

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
WEIGHT = {"weight": {"search": [0, 1]}}


def linear(*models: Any, **keys: Any) -> dict[str, Any]:
    """A weighted mean of models, with a hole for the weight of each."""
    inputs = [{"model": model, "parameters": WEIGHT} for model in models]
    return {"merge_method": "linear", "models": inputs, **keys}


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


def test_the_base_of_a_slerp_may_be_its_second_input() -> None:
    space = Space.from_yaml("""
merge_method: slerp
base_model: a
models: [{model: b}, {model: a}]
parameters: {t: {search: [0, 1]}}
start_from: [{ratio: {a: 3, b: 1}}]
""")
    assert space.starts() == [{"t": 0.25}]


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
    space = Space(linear("a", "b", "c"))
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
        ({"values": ["a.weight"]}, "does not name dimensions"),
        ({"values": {"a.wieght": 1}}, "dimension 'a.wieght'(.|\n)*did you mean 'a.weight'"),
        ({"values": {"a.weight": 9}}, "0.values.a.weight: 9 is not in .*\n  expected: 0 to 1.5"),
        ({"values": {}, "ratio": {}}, "is not a start"),
        ({"ratio": {"a": 0}}, "{a: 0} is not a ratio"),
        ({"ratio": {"a": True}}, "{a: true} is not a ratio"),
        ({"ratio": {"a": float("inf")}}, "{a: .inf} is not a ratio"),
        ({"ratio": {"a": -1, "b": 2}}, "{a: -1, b: 2} is not a ratio"),
        ({"ratio": {"a": "1"}}, "is not a ratio"),
        ({"ratio": ["a"]}, r"start_from\.0\.ratio: \[a\] is not a ratio"),
        ({"ratio": {}}, "{} is not a ratio"),
        ({"ratio": {"c": 1}}, r"start_from\.0\.ratio: unknown parent 'c'"),
    ],
)
def test_malformed_starts(start: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Space(yaml.safe_load(SPACE) | {"start_from": [start]})


def test_a_start_is_tried_once() -> None:
    ratios = [{"ratio": {"a": 2, "b": 1}}, {"ratio": {"a": 4, "b": 2}}]
    assert len(Space(yaml.safe_load(SPACE) | {"start_from": ratios}).starts()) == 1


# -- neutral values --------------------------------------------------------------------------------

DENSITY = METHODS["ties"].by_name["density"]
NUMBER = Dimension("a.density", 0.25, 0.75)


@pytest.mark.parametrize(
    ("hole", "expected"),
    [
        (Hole(("parameters", "x"), NUMBER), 0.5),  # that no method takes: the middle
        (Hole(("parameters", "density"), NUMBER, DENSITY), 0.75),  # 1 is above the range
        (Hole(("parameters", "x"), Dimension("x", 2.0, 3.0), DENSITY), 2.0),
        (Hole(("parameters", "x"), Dimension("x", 0.5, 4.0), None, times=0.3), 1.0),
        (Hole(("parameters", "x"), Dimension("x", 1.5, 4.0), DENSITY, times=0.3), 1.5),
        (Hole(("merge_method",), Dimension("m", choices=("ties", "linear"))), "ties"),
    ],
)
def test_the_neutral_value_is_the_default_or_the_nearest_to_it(hole: Hole, expected: Any) -> None:
    assert neutral_value(hole) == expected


def test_every_point_of_a_curve_has_the_neutral_value() -> None:
    curve = Hole(("parameters", "density"), NUMBER, DENSITY, curve=2)
    method = Hole(("merge_method",), Dimension("m", choices=("ties", "linear")))
    assert neutral_values([curve, method]) == {
        "a.density[0]": 0.75,
        "a.density[1]": 0.75,
        "m": "ties",
    }


# -- what is called what ---------------------------------------------------------------------------


def usual(document: dict[str, Any]) -> dict[str, Any]:
    return Space(document)._starts().usual()


def test_the_usual_starts_are_called_by_what_they_are() -> None:
    models = ("org/a", "org/b", "org/c")
    assert list(usual(linear(*models))) == [
        "a alone",
        "b alone",
        "c alone",
        "all in equal parts",
        "a : b = 1 : 1",
        "a : b = 2 : 1",
        "a : b = 3 : 1",
        "a : b = 1 : 2",
        "two rounds, 1 : 1 and then 3 : 1",
    ]
    assert "all in equal parts" not in usual(linear(*models[:2]))
    assert len(usual(linear(models[0]))) == 1


def test_every_form_is_explained_where_it_is_looked_up() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    for form, meaning in FORMS.items():
        assert f"| `{form}` | {meaning} |" in text


def test_what_is_no_start_is_answered_with_the_forms_and_the_parents() -> None:
    with pytest.raises(SpaceError) as caught:
        Space(yaml.safe_load(SPACE) | {"start_from": "parents"})
    assert str(caught.value) == (
        "space: start_from: 'parents' is not a start\n"
        "  expected: a list of usual, parents, {ratio: {PARENT: number, ...}},"
        " {values: {DIMENSION: value, ...}}, with parents a, b"
    )


@pytest.mark.parametrize("ratio", [{"a": 1, "b": 0}, {"a": 0.5}])
def test_what_a_ratio_does_not_name_has_no_part(ratio: Any) -> None:
    (values,) = Space(yaml.safe_load(SPACE) | {"start_from": [{"ratio": ratio}]}).starts()
    assert (values["a.weight"], values["b.weight.rest"]) == (1.0, 0.0)


def test_a_ratio_outside_the_ranges_says_which_and_what_they_hold() -> None:
    document = yaml.safe_load(SPACE)
    document["models"][0]["parameters"]["weight"] = {"search": [0.2, 0.6]}
    with pytest.raises(SpaceError) as caught:
        Space(document | {"start_from": [{"ratio": {"a": 3, "b": 1}}]})
    assert str(caught.value) == (
        "space: start_from.0: needs a.weight = 0.75\n"
        "  expected: a range that holds it, not 0.2 to 0.6\n"
        "  to do: widen the range, or leave that start out of start_from"
    )


# -- how a mixture is spread over inputs -----------------------------------------------------------


def shares_of(document: dict[str, Any], ratio: dict[str, float]) -> dict[str, Any]:
    (values,) = Space(document | {"start_from": [{"ratio": ratio}]}).starts()
    return values


def test_a_parents_part_is_divided_among_its_inputs() -> None:
    """The first stage has half of a, so a quarter of the whole beside b's half."""
    document = linear("first", "a", stages=[linear("a", "b", name="first")])
    assert shares_of(document, {"a": 1, "b": 1}) == {
        "first.a.weight": pytest.approx(1 / 3),
        "first.b.weight": pytest.approx(2 / 3),
        "first.weight": 0.75,
        "a.weight": 0.25,
    }


def test_inputs_of_which_the_ratio_has_none_weigh_alike() -> None:
    document = linear("first", "c", stages=[linear("a", "b", name="first")])
    assert shares_of(document, {"c": 1}) == {
        "first.a.weight": 0.5,
        "first.b.weight": 0.5,
        "first.weight": 0.0,
        "c.weight": 1.0,
    }


def test_a_choice_of_models_is_the_first_that_the_ratio_names() -> None:
    document = linear("a", {"search": ["b", "c", None]})
    assert shares_of(document, {"a": 1, "c": 3}) == {
        "a.weight": 0.25,
        "models[1].model": "c",
        "models[1].weight": 0.75,
    }
    assert shares_of(document, {"a": 1})["models[1].model"] is None
    assert usual(document)["a alone"] == {
        "a.weight": 1.0,
        "models[1].model": None,
        "models[1].weight": 0.0,
    }


def test_the_inputs_of_a_slice_make_up_a_ratio() -> None:
    sources = [{"model": ref, "layer_range": [0, 4], "parameters": WEIGHT} for ref in "ab"]
    document = {"merge_method": "linear", "slices": [{"sources": sources}]}
    assert shares_of(document, {"a": 3, "b": 1}) == {
        "slice0.a.weight": 0.75,
        "slice0.b.weight": 0.25,
    }


def test_a_weight_that_all_inputs_share_is_neutral() -> None:
    document = {
        "merge_method": "linear",
        "models": [{"model": "a"}, {"model": "b"}],
        "parameters": {"weight": {"search": [0.5, 2]}},
    }
    assert shares_of(document, {"a": 1, "b": 1}) == {"weight": 1.0}


def test_two_rounds_leave_out_a_third_parent() -> None:
    document = linear("first", "a", stages=[linear("a", "b", "c", name="first")])
    assert Space(document)._starts().two_rounds("a", "b") == {
        "first.a.weight": 0.5,
        "first.b.weight": 0.5,
        "first.c.weight": 0.0,
        "first.weight": 0.75,
        "a.weight": 0.25,
    }


def test_a_stage_and_its_second_round_take_the_first_parent() -> None:
    """Two rounds over two stages: both halves share what 3:1 leaves for the stages."""
    stages = [linear("a", "b", name=name) for name in ("first", "second")]
    document = linear("first", "second", "a", stages=stages)
    values = Space(document)._starts().two_rounds("a", "b")
    assert values == {
        "first.a.weight": 0.5,
        "first.b.weight": 0.5,
        "second.a.weight": 0.5,
        "second.b.weight": 0.5,
        "first.weight": 0.375,
        "second.weight": 0.375,
        "a.weight": 0.25,
    }


@pytest.mark.parametrize(
    ("slices", "first", "most"),
    [
        (
            [{"sources": [{"model": "a", "layer_range": {"search": [[0, 2], [0, 4]]}}]}],
            [[0, 2]],
            [[0, 4]],
        ),
        (
            {
                "search": [[0, 1], [0, 1, 1]],
                "of": [
                    {"sources": [{"model": "a", "layer_range": [0, 2]}]},
                    {"sources": [{"model": "a", "layer_range": [2, 4]}]},
                ],
            },
            [[0, 2], [2, 4]],
            [[0, 2], [2, 4], [2, 4]],
        ),
    ],
)
def test_of_searched_layers_those_that_are_written_first_and_the_most_are_starts(
    slices: Any, first: list[list[int]], most: list[list[int]]
) -> None:
    space = Space({"merge_method": "passthrough", "slices": slices})
    starts = space._starts().usual()
    ranges = {
        name: [
            part["sources"][0]["layer_range"] for part in space.recipe(values).to_dict()["slices"]
        ]
        for name, values in list(starts.items())[-2:]
        if values is not None
    }
    assert ranges == {"the layers that are written first": first, "the most layers": most}
