"""Keys of published recipes that nothing reads: noted, unless they look like a slip."""

from __future__ import annotations

from typing import Any

import pytest

from mergesearch.errors import RecipeError
from mergesearch.methods import METHODS
from mergesearch.recipe.reading import Location
from mergesearch.recipe.without_effect import WithoutEffect

KEYS = ("merge_method", "base_model", "models", "slices", "parameters", "dtype", "name")


def leaving_out(method: str = "ties") -> WithoutEffect:
    return WithoutEffect(METHODS[method], KEYS)


def test_what_is_known_stays_and_what_another_method_takes_is_noted() -> None:
    location = Location("r.yaml")
    document = {"merge_method": "ties", "models": [], "epsilon": 0.1}
    kept = leaving_out().document(document, KEYS, {}, location)
    assert kept == {"merge_method": "ties", "models": []}
    assert location.notes == {"epsilon": "`epsilon` has no effect: nothing reads it here"}


def test_every_key_is_looked_at() -> None:
    location = Location("r.yaml")
    leaving_out().document({"lambda": 1.0, "epsilon": 0.1, "gamma": 0.1}, KEYS, {}, location)
    assert list(location.notes) == ["lambda", "epsilon", "gamma"]


def test_stages_of_another_document_are_documents_of_their_own() -> None:
    leaves_out = WithoutEffect(METHODS["ties"], (*KEYS, "stages"))
    with pytest.raises(RecipeError, match=r"did you mean documents of their own\?"):
        leaves_out.document({"stages": []}, KEYS, {}, Location("r.yaml"))


def test_an_input_has_no_name_and_no_place_for_one_at_the_top() -> None:
    location = Location("r.yaml")
    document = {"model": "a", "name": "first", "parameters": {}}
    assert leaving_out().part(document, ("model",), {}, location) == {"model": "a"}
    assert list(location.notes) == ["name", "parameters"]


def test_a_parameter_beside_parameters_must_say_what_holds_anyway() -> None:
    location = Location("r.yaml")
    leaving_out().document({"lambda": 1.0}, KEYS, {}, location)
    leaving_out().document({"normalize": False}, KEYS, {"normalize": False}, location)
    why = "it is read inside `parameters` only"
    assert location.notes == {
        "lambda": f"`lambda` has no effect: {why}",
        "normalize": f"`normalize` has no effect: {why}",
    }
    for document in ({"lambda": 0.5}, {"normalize": False}):
        with pytest.raises(RecipeError, match=r"did you mean `parameters: \{"):
            leaving_out().document(document, KEYS, {}, Location("r.yaml"))


@pytest.mark.parametrize(
    ("key", "meant"),
    [("dtyp", "`dtype`"), ("modells", "`models`"), ("weight", "`parameters: {weight: ...}`")],
)
def test_a_slip_at_the_top_is_refused(key: str, meant: str) -> None:
    with pytest.raises(RecipeError) as caught:
        leaving_out().document({key: 0.5}, KEYS, {}, Location("r.yaml"))
    assert f"unknown key {key!r}: did you mean {meant}?" in str(caught.value)


def test_keys_of_an_input_that_belong_elsewhere_are_refused_with_their_place() -> None:
    location = Location("r.yaml") / "models"
    elsewhere = {"layer_range": "`slices`"}
    kept = leaving_out().part({"model": "a", "gamma": 1}, ("model",), elsewhere, location)
    assert (kept, list(location.notes)) == ({"model": "a"}, ["gamma"])
    for key, meant in (
        ("layer_range", "`slices`"),
        ("dtype", "`dtype` at the top"),
        ("density", "`parameters: {density: ...}`"),
    ):
        with pytest.raises(RecipeError) as caught:
            leaving_out().part({"model": "a", key: 1}, ("model",), elsewhere, location)
        assert f"did you mean {meant}?" in str(caught.value)
    with pytest.raises(RecipeError, match=r"models: 'a' is not a mapping\n  expected: model"):
        leaving_out().part("a", ("model",), {}, location)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("gamma", 0.1, "ties takes weight, density"),  # breadcrumbs'
        ("dtype", "bfloat16", "ties takes weight, density"),  # said at the top as well
        ("speed_of_light", 3, "ties takes weight, density"),
    ],
)
def test_parameters_that_the_method_does_not_take(name: str, value: Any, why: str) -> None:
    location, top = Location("r.yaml"), {"dtype": "bfloat16"}
    leaving_out().parameter(name, value, ("weight", "density"), top, location)
    assert location.notes == {name: f"`{name}` has no effect: {why}"}


@pytest.mark.parametrize(
    ("name", "meant"), [("densty", "`density`"), ("dtype", "`dtype` at the top")]
)
def test_a_slip_among_parameters_is_refused(name: str, meant: str) -> None:
    with pytest.raises(RecipeError) as caught:
        leaving_out().parameter(name, "float16", ("weight", "density"), {}, Location("r.yaml"))
    assert f"ties takes no parameter {name!r}: did you mean {meant}?" in str(caught.value)


def test_a_method_without_parameters_says_so() -> None:
    location = Location("r.yaml")
    leaving_out("karcher").parameter("gamma", 1, (), {}, location)
    assert location.notes["gamma"].endswith("karcher takes no parameters")


def test_parameters_of_the_base_are_noted() -> None:
    location = Location("r.yaml")
    leaving_out().base_parameters(["weight"], "org/base", location)
    (note,) = location.notes.values()
    assert note == (
        "`weight` has no effect: org/base is the base, which the others are merged onto"
    )
