"""How much dimensions are thought to matter, on spaces and masses that can be counted by hand."""

import pytest

from mergesearch.space import Mass, Space

MASSES = [
    Mass("a", "model.layers.0.self_attn.q_proj.weight", 0, 1.0),
    Mass("a", "model.layers.1.self_attn.q_proj.weight", 1, 3.0),
    Mass("a", "model.layers.0.mlp.up_proj.weight", 0, 4.0),
    Mass("a", "model.layers.1.mlp.up_proj.weight", 1, 4.0),
    Mass("a", "model.norm.weight", None, 2.0),
    Mass("b", "model.layers.0.mlp.up_proj.weight", 0, 6.0),
    Mass("b", "model.norm.weight", None, 4.0),
]


def space(a="1.0", b="1.0", method="task_arithmetic", more=""):
    return Space.from_yaml(
        f"""
merge_method: {method}
base_model: base
models:
  - {{model: a, parameters: {{weight: {a}}}}}
  - {{model: b, parameters: {{weight: {b}}}}}
{more}"""
    )


def test_a_weight_matters_as_much_as_its_parent_differs():
    found = space("{search: [0, 1]}", "{search: [0, 1]}").relevances(MASSES)
    assert found == pytest.approx({"a.weight": 14 / 12, "b.weight": 10 / 12})


def test_a_wider_range_matters_more():
    found = space("{search: [0, 2]}", "{search: [0, 1]}").relevances(MASSES)
    assert found == pytest.approx({"a.weight": 56 / 33, "b.weight": 10 / 33})


def test_where_a_range_lies_does_not_matter():
    found = space("{search: [1, 2]}", "{search: [0, 1]}").relevances(MASSES)
    assert found == pytest.approx({"a.weight": 14 / 12, "b.weight": 10 / 12})


def test_a_number_of_several_parents_has_the_masses_of_all_of_them():
    both = "{search: [0, 1], times: 1.0, as: both}"
    found = space(both, both, more="parameters: {lambda: {search: [0, 1]}}").relevances(MASSES)
    assert found == pytest.approx({"both": 1.0, "lambda": 1.0})


def test_groups_have_the_masses_of_their_tensors():
    found = space("{search: [0, 1], per: [attn, mlp]}").relevances(MASSES)
    third = 14 / 3
    assert found == pytest.approx(
        {"a.weight.attn": 4 / third, "a.weight.mlp": 8 / third, "a.weight.rest": 2 / third}
    )


def test_rest_may_be_named_among_the_groups():
    found = space("{search: [0, 1], per: [attn, rest]}").relevances(MASSES)
    assert found == pytest.approx({"a.weight.attn": 4 / 7, "a.weight.rest": 10 / 7})


def test_points_have_the_masses_of_the_layers_around_them():
    found = space("{search: [0, 1], curve: 2, per: [attn]}").relevances(MASSES)
    third = 14 / 3
    assert found == pytest.approx(
        {"a.weight.attn[0]": 1 / third, "a.weight.attn[1]": 3 / third, "a.weight.rest": 10 / third}
    )


def test_what_is_in_no_layer_is_divided_among_the_points():
    found = space("{search: [0, 1], curve: 2}").relevances(MASSES)
    assert found == pytest.approx({"a.weight[0]": 6 / 7, "a.weight[1]": 8 / 7})


THREE_LAYERS = [Mass("a", "x", layer, size) for layer, size in enumerate((1.0, 2.0, 5.0))]


def test_a_layer_between_two_points_is_halved():
    found = space("{search: [0, 1], curve: 2}").relevances(THREE_LAYERS)
    assert found == pytest.approx({"a.weight[0]": 2 / 4, "a.weight[1]": 6 / 4})


def test_blocks_have_the_masses_of_their_layers():
    blocks = space("{search: [0, 1], blocks: 2}", "{search: [0, 1], blocks: 1}")
    found = blocks.cut([1.0, 1.0, 2.0]).relevances(THREE_LAYERS)
    assert found == pytest.approx(
        {"a.weight[0]": 9 / 16, "a.weight[1]": 15 / 16, "b.weight": 24 / 16}
    )


def test_what_belongs_to_no_parent_has_the_masses_of_all():
    found = space(more="parameters: {lambda: {search: [0, 1]}}").relevances(MASSES)
    assert found == pytest.approx({"lambda": 1.0})


def test_a_hint_is_no_measurement():
    masses = [Mass("a", "model.norm.weight", None, 1e6), Mass("b", "model.norm.weight", None, 1.0)]
    found = space("{search: [0, 1]}", "{search: [0, 1]}").relevances(masses)
    assert found == pytest.approx({"a.weight": 2.0, "b.weight": 0.1}, rel=1e-5)


def test_parents_that_do_not_differ_tell_nothing():
    masses = [Mass("a", "model.norm.weight", None, 0.0)]
    found = space("{search: [0, 1]}", "{search: [0, 1]}").relevances(masses)
    assert found == {"a.weight": 1.0, "b.weight": 1.0}


def test_choices_are_not_told_apart():
    found = space("{search: [0, 1]}", method="{search: [task_arithmetic, ties]}")
    assert found.relevances(MASSES) == {"a.weight": 1.0}
