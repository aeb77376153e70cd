"""Values of a document, each refused with where it is."""

from __future__ import annotations

import pytest

from mergesearch.errors import RecipeError, SpaceError
from mergesearch.recipe.reading import (
    Location,
    checked_keys,
    choice_of,
    entries_of,
    refuse_slip,
    string_of,
)

TOP = Location("merge.yaml")


def test_a_location_names_the_document_and_the_keys() -> None:
    assert (TOP / "models" / 1 / "weight").path == "merge.yaml: models.1.weight"
    assert isinstance(Location("s", SpaceError).error("no"), SpaceError)
    assert str(TOP.error("no", "yes")) == "merge.yaml: no\n  expected: yes"


def test_keys_are_known_or_refused() -> None:
    assert checked_keys({"a": 1}, ("a", "b"), TOP) == {"a": 1}
    with pytest.raises(RecipeError, match=r"unknown key 'c'\n  expected: a, b$"):
        checked_keys({"c": 1}, ("a", "b"), TOP)
    with pytest.raises(RecipeError, match=r"\[1\] is not a mapping"):
        checked_keys([1], ("a",), TOP)


@pytest.mark.parametrize("value", ["", 3, ["x"], {}])
def test_what_is_not_a_string_is_refused(value: object) -> None:
    with pytest.raises(RecipeError, match=r"`model` .* is not a string"):
        string_of({"model": value}, "model", TOP)


def test_strings_may_be_absent() -> None:
    assert string_of({"model": "a"}, "model", TOP) == "a"
    assert string_of({"model": None}, "model", TOP) is None
    assert string_of({}, "model", TOP) is None


def test_choices() -> None:
    assert choice_of({}, "dtype", ("float32", "float16"), "float16", TOP) == "float16"
    assert choice_of({"dtype": "float32"}, "dtype", ("float32",), None, TOP) == "float32"
    with pytest.raises(RecipeError, match=r"unknown dtype 'int8'\n  expected: float32, float16$"):
        choice_of({"dtype": "int8"}, "dtype", ("float32", "float16"), None, TOP)
    with pytest.raises(RecipeError, match=r"needs `dtype`\n  expected: float32$"):
        choice_of({}, "dtype", ("float32",), None, TOP)


def test_entries_know_their_places() -> None:
    found = entries_of(["a", "b"], TOP / "models")
    assert [(entry, location.path) for entry, location in found] == [
        ("a", "merge.yaml: models.0"),
        ("b", "merge.yaml: models.1"),
    ]
    for wrong in ([], None, "ab", {"a": 1}):
        with pytest.raises(RecipeError, match="needs a list with at least one entry"):
            entries_of(wrong, TOP)


def test_only_likely_slips_are_refused() -> None:
    """What a card says of a model stands in published recipes too."""
    known = ("name", "slices", "models", "dtype", "tokenizer_source", "seed", "quantize")
    for key in ("license", "tags", "language", "library_name", "description", "random_seed"):
        refuse_slip("unknown", key, known, {}, TOP)
    for key, meant in (("slice", "slices"), ("modles", "models"), ("dtyp", "dtype")):
        with pytest.raises(RecipeError, match=f"did you mean `{meant}`"):
            refuse_slip("unknown", key, known, {}, TOP)
