"""Errors as a person reads them, and the exit codes that they end a command with."""

from __future__ import annotations

import pickle

import pytest

from mergesearch import errors
from mergesearch.errors import InputError, Interrupted, MergeSearchError, ScorerCrashed


def test_a_message_says_what_where_expected_and_what_to_do() -> None:
    error = InputError("weight is 'x'", where="a.yaml", expected="a number", fix="write a number")
    assert str(error) == "a.yaml: weight is 'x'\n  expected: a number\n  to do: write a number"


def test_what_is_not_known_is_left_out() -> None:
    assert str(MergeSearchError("no candidate could be built")) == "no candidate could be built"
    assert str(InputError("no such trial", fix="name another")) == (
        "no such trial\n  to do: name another"
    )


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("MergeSearchError", 1),
        ("BuildError", 1),
        ("ScoringError", 1),
        ("ScorerCrashed", 1),
        ("InputError", 2),
        ("RecipeError", 2),
        ("SpaceError", 2),
        ("ObjectivesError", 2),
        ("CheckpointError", 2),
        ("MissingParent", 2),
        ("RunFolderError", 2),
        ("Interrupted", 130),
    ],
)
def test_exit_codes(name: str, code: int) -> None:
    assert getattr(errors, name).exit_code == code


def test_an_error_goes_to_another_process_with_all_its_parts() -> None:
    error = ScorerCrashed("it fell", where="a.gguf", expected="a stand", fix="catch it")
    error.where = "b.gguf"
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is ScorerCrashed
    assert str(copy) == "b.gguf: it fell\n  expected: a stand\n  to do: catch it"


def test_what_catches_errors_catches_no_interruption() -> None:
    """A page is written without what could not be read, but not after Ctrl-C."""
    assert not issubclass(Interrupted, Exception)
    assert str(Interrupted("stopped", fix="resume")) == "stopped\n  to do: resume"
