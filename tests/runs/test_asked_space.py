"""A space and objectives from answers at a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mergesearch.errors import InputError
from mergesearch.objectives import Objectives
from mergesearch.runs.asked_space import Answers, interview, objectives_text, space_text
from mergesearch.space import Space


def answering(*answers: str) -> Callable[[str, str], str]:
    """Answer one question after the other; an empty answer is the default."""
    left = iter(answers)
    return lambda question, default: next(left) or default


def test_answers_are_taken_and_defaults_are_sensible() -> None:
    assert interview(answering("org/a", "org/b", "", "org/base", "", "")) == Answers(
        "org/a", "org/b", (), "org/base", 8.0, "Q4_K_M"
    )
    assert interview(answering("a", "b", "c, d", "-", "1.5", "Q4_0")) == Answers(
        "a", "b", ("c", "d"), "", 1.5, "Q4_0"
    )
    assert interview(answering("")) is None


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (("a", ""), "a merge takes two parents"),
        (("a", "b", "", "", "long"), "'long' is not a number of hours"),
        (("a", "b", "", "", "8", "Q9"), "unknown mix 'Q9'"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused(answers: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        interview(answering(*answers))


@pytest.mark.parametrize(
    ("answers", "n_dimensions"),
    [
        (Answers("demo:instruct", "demo:reason", base="demo:base"), 11),
        (Answers("demo:instruct", "demo:reason", base="demo:base", hours=1), 3),
        (Answers("demo:instruct", "demo:reason"), 2),
        (Answers("demo:instruct", "demo:reason", ("demo:base",)), 3),
        (Answers('a "b": c', "#d"), 2),
    ],
)
def test_the_space_is_one_and_starts_where_people_would(
    answers: Answers, n_dimensions: int
) -> None:
    space = Space.from_yaml(space_text(answers))
    assert len(space.dimensions) == n_dimensions
    assert set(space.parents()) >= {answers.instruct, answers.reason}
    assert len(space.starts()) >= 4
    assert space.recipe(space.starts()[0]).quantize.mix == answers.mix


def test_the_objectives_fit_the_time() -> None:
    long, short = (
        Objectives.from_yaml(objectives_text(Answers("a", "b", hours=hours)), Path())
        for hours in (8, 1)
    )
    items = [sum(use.search_items for use in found.objectives[1].uses) for found in (long, short)]
    assert items == [180, 48]
