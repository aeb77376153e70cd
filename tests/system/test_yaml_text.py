"""YAML that people write: good texts as PyYAML reads them, slips refused by their line."""

from __future__ import annotations

import datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mergesearch._system import yaml_text
from mergesearch._system.yaml_text import as_written, line_of, read_document, read_documents
from mergesearch.errors import InputError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_was_written_is_read(value: object) -> None:
    assert read_document(yaml.safe_dump(value), InputError, "x") == value


def test_aliases_and_merged_keys_are_followed() -> None:
    text = "base: &b {x: 1, y: 2}\nlike: {<<: *b, y: 3}\nsame: [*b, *b]\n"
    expected = {"x": 1, "y": 2}
    assert read_document(text, InputError, "x") == {
        "base": expected,
        "like": {"x": 1, "y": 3},
        "same": [expected, expected],
    }


def test_several_documents() -> None:
    assert read_documents("a: 1\n---\nb: 2\n", InputError, "x") == [{"a": 1}, {"b": 2}]
    assert read_document("", InputError, "x") is None
    with pytest.raises(InputError, match="x: 2 YAML documents"):
        read_document("a: 1\n---\nb: 2\n", InputError, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "x, line 5: not valid YAML: the key 'c' is in "),
        ("a: 1\nb: !!int x\n", "x, line 2: not valid YAML: 'x' is not a value of type int"),
        ("a: !!bool maybe", "'maybe' is not a value of type bool"),
        ("a: !!timestamp x", "'x' is not a value of type timestamp"),
        ("a: 2026-02-31", "'2026-02-31' is not a value of type timestamp"),
        ("a: !!python/object:os.system x", "the tag !!python/object:os.system is unknown here"),
        ("a: !own [1]", "x, line 1: not valid YAML: the tag !own is unknown here"),
        ("a: =", "the tag !!value is unknown here"),
        ("a: 1\nb: 010", "line 2: not valid YAML: 010 stands for 8 in YAML: write that, or '010' "),
        ("a: 1:30", "1:30 stands for 90 in YAML"),
        ("a: -1:30.5", "-1:30.5 stands for -90.5 in YAML"),
        ("yes: 1\ntrue: 2", "x, line 2: not valid YAML: the key 'true' is in line 1 already"),
        ("16: 1\n0x10: 2", "the key '0x10' is in line 1 already"),
        ("a: &a {b: 1}\nc: {<<: *a, <<: *a}", "line 2: not valid YAML: the key '<<' is in line 2"),
        ("a: [1, 2\nb: 3", "x, line 2: not valid YAML: expected ',' or ']'"),
        ("a: *b", "found undefined alias"),
        ("a: \x07", "not valid YAML: "),
        ("[" * 2000, "more than 64 mappings and lists in each other"),
        ("a:\n" + "".join(f"{'  ' * n}b:\n" for n in range(1, 200)), "more than 64 mappings"),
        ("a: &a [*a]", "an alias that contains itself"),
        ("? [a, b]\n: 1\n? {c: 1}\n: 2", "found unhashable key"),
    ],
)  # fmt: skip
def test_slips_are_refused_by_their_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_document(text, InputError, "x")
    assert message in str(caught.value)


def test_numbers_that_cannot_be_misread_are_taken() -> None:
    numbers = "[0, 0.5, -0.25, 1_000, 0x10, 0b11, .5, 1.5e+3, '010', '1:30']"
    read = [0, 0.5, -0.25, 1000, 16, 3, 0.5, 1500.0, "010", "1:30"]
    assert read_document(numbers, InputError, "x") == read


def test_aliases_cannot_make_a_document_huge() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    with pytest.raises(InputError, match="line 5: not valid YAML: more than 100000 values"):
        read_document(bomb, InputError, "x")
    with pytest.raises(InputError, match="more than 131072 characters"):
        read_document("#" * (yaml_text.MAX_CHARACTERS + 1), InputError, "x")


TEXT = """\
merge_method: linear
models:
  - model: a
    parameters: {weight: 1}
  - model: b
    parameters:
      weight: {search: [0, 1]}
objectives:
  a.b: {tasks: []}
"""


@pytest.mark.parametrize(
    ("keys", "named", "line"),
    [
        ("merge_method", "", 1),
        ("models.1.parameters.weight.search", "", 7),
        ("models.1.parameters", "weight", 7),
        ("models.0", "model", 3),
        ("models.0.nothing.there", "", 3),
        ("objectives.a.b.tasks", "", 9),
        ("", "models", 2),
        ("", "", None),
        ("nothing", "merge_method", 1),
        ("nothing", "model", None),
    ],
)
def test_the_line_in_which_a_value_stands(keys: str, named: str, line: int | None) -> None:
    assert line_of(TEXT, keys, named) == line


def test_of_several_documents_the_one_that_has_the_keys_counts() -> None:
    assert line_of(f"name: first\n---\n{TEXT}", "models.0.model") == 5
    assert line_of("a: [", "a") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "'x'"),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (["a", "b"], "[a, b]"),
        ({"a": [1, None]}, "{a: [1, null]}"),
        (datetime.date(2026, 11, 26), "2026-11-26"),
        (object, "<class 'object'>"),
        ([7] * 99, "[" + "7, " * 25 + "7..."),
    ],
)
def test_a_value_in_a_message_is_as_its_yaml(value: object, text: str) -> None:
    assert as_written(value) == text


def test_a_control_character_is_named_with_its_line() -> None:
    with pytest.raises(InputError) as caught:
        read_documents("a: 1\nb: x\x00\n", InputError, "r.yaml")
    assert str(caught.value) == "r.yaml, line 2: not valid YAML: the character U+0000"
