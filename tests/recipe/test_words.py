"""Recipes in words, as literal lines."""

import pytest

from mergesearch.recipe import Recipe

LAYERS = 6


def words(text: str) -> list[str]:
    return Recipe.from_yaml(text).in_words(LAYERS)


def on_base(instruct: object, reason: object, method: str = "task_arithmetic") -> str:
    return f"""
merge_method: {method}
base_model: org/base
models:
  - {{model: org/instruct, parameters: {{weight: {instruct}}}}}
  - {{model: org/reason, parameters: {{weight: {reason}}}}}
"""


def test_the_ratio_of_a_mixture() -> None:
    assert words(on_base(0.75, 0.25)) == ["instruct : reason = 3 : 1"]
    assert words(on_base(0.25, 0.75, "dare_ties")) == ["reason : instruct = 3 : 1"]


def test_a_ratio_goes_through_stages() -> None:
    """1:1 and then 3:1 is 5:3."""
    assert words(
        """
name: mixture
merge_method: slerp
base_model: instruct
models: [{model: instruct}, {model: reason}]
parameters: {t: 0.5}
---
merge_method: linear
models:
  - {model: mixture, parameters: {weight: 3}}
  - {model: instruct, parameters: {weight: 1}}
"""
    ) == ["instruct : reason = 1.7 : 1"]


def test_attention_and_mlp_are_told_apart_where_they_differ_by_more_than_a_third() -> None:
    by_group = "[{filter: self_attn, value: 0.8}, {value: 0.4}]"
    assert words(on_base(by_group, 0.4)) == [
        "instruct : reason = 1.5 : 1 (attention 2 : 1, MLP 1 : 1)",
        "their deltas from base are scaled to 1.00 (attention 1.20, MLP 0.80)",
    ]
    by_group = "[{filter: self_attn, value: 0.5}, {value: 0.48}]"
    assert words(on_base(by_group, 0.5)) == ["reason : instruct = 1 : 1"]


def test_what_is_scaled_and_not_mixed_is_said() -> None:
    """The deltas of one parent, scaled by group and depth, with nothing of the other."""
    falling = "[{filter: self_attn, value: [1.0, 0.2]}, {value: 0.9}]"
    assert words(on_base(falling, 0)) == [
        "instruct alone, no reason in it",
        "its deltas from base are scaled to 0.75 (attention 0.60, MLP 0.90)",
        "instruct in attention falls from 0.92 in the first third of the layers to 0.28 in the"
        " last",
    ]


def test_a_sum_other_than_one_is_a_scaling_too() -> None:
    assert words(on_base(0.9, 0.6)) == [
        "instruct : reason = 1.5 : 1",
        "their deltas from base are scaled to 1.50",
    ]


def test_parents_without_a_base_have_a_ratio_alone() -> None:
    models = "models: [{model: a, parameters: {weight: 2}}, {model: b, parameters: {weight: 1}}]"
    assert words(f"merge_method: linear\n{models}") == ["a : b = 2 : 1"]
    added = f"merge_method: linear\n{models}\nparameters: {{normalize: false}}"
    assert words(added) == ["a : b = 2 : 1", "their weights are scaled to 3.00"]


@pytest.mark.parametrize(
    ("instruct", "reason", "line"),
    [
        (0, 0, "the base as it is"),
        (1, -0.3, "instruct alone, reason taken away (-0.30)"),
        (0, 1, "reason alone, no instruct in it"),
        (-0.5, 0, "the base, instruct taken away (-0.50), no reason in it"),
        (1, "[-0.5, 0.5]", "instruct alone, hardly any reason in it"),
    ],
)
def test_the_ends_of_the_ranges(instruct: object, reason: object, line: str) -> None:
    assert words(on_base(instruct, reason))[0] == line


def test_the_base_of_slerp_is_a_parent() -> None:
    recipe = "merge_method: slerp\nbase_model: a\nmodels: [{model: a}, {model: b}]\n"
    assert words(recipe + "parameters: {t: 0.2}") == ["a : b = 4 : 1"]


def test_over_depth_both_groups_are_one_line() -> None:
    assert words(on_base("[0.2, 1.0]", 0.4)) == [
        "instruct : reason = 1.5 : 1",
        "instruct rises from 0.28 in the first third of the layers to 0.92 in the last",
    ]


def sliced(*slices: str, method: str = "passthrough") -> str:
    return f"merge_method: {method}\nslices: [{', '.join(slices)}]\n"


def of(*sources: tuple[str, int, int]) -> str:
    entries = (f"{{model: {ref}, layer_range: [{at}, {stop}]}}" for ref, at, stop in sources)
    return f"{{sources: [{', '.join(entries)}]}}"


def test_the_order_of_slices() -> None:
    """Slices that continue where the one before ends are one; stacks have no course over depth."""
    stack = [of(("a", 0, 2)), of(("a", 2, 4)), of(("b", 1, 2)), of(("a", 3, 6)), of(("b", 6, 6))]
    assert words(sliced(*stack)) == [
        "a : b = 7 : 1",
        "layers: 0 to 3 of a, then 1 of b, then 3 to 5 of a, then head and norm of b",
    ]


def test_layers_that_are_all_there_in_order_are_not_told() -> None:
    both = [of(("a", 0, 2), ("b", 0, 2)), of(("a", 2, 6), ("b", 2, 6))]
    assert words(sliced(*both, method="linear") + "parameters: {weight: 1}") == ["a : b = 1 : 1"]
    shifted = [of(("a", 0, 3), ("b", 0, 3)), of(("a", 3, 5), ("b", 4, 6))]
    assert words(sliced(*shifted, method="linear") + "parameters: {weight: 1}") == [
        "a : b = 1 : 1",
        "layers: 0 to 2 of a and b, then 3 to 4 of a with 4 to 5 of b",
    ]
