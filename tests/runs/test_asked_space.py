"""A space and objectives from answers at a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergesearch.objectives import Objectives
from mergesearch.runs.asked_space import Answers, interview, objectives_text, space_text
from mergesearch.space import Space


class Person:
    """Answers one question after the other; an empty answer is the default."""

    def __init__(self, *answers: str) -> None:
        self._left = iter(answers)
        self.asked: list[str] = []

    def __call__(self, question: str, default: str) -> str:
        self.asked.append(f"{question} [{default}]")
        return next(self._left) or default


def test_answers_are_taken_and_defaults_are_sensible() -> None:
    assert interview(Person("org/a", "org/b", "", "org/base", "", "")) == Answers(
        "org/a", "org/b", (), "org/base", 8.0, "Q4_K_M"
    )
    assert interview(Person("demo:base", "o/b", "o/c, o/d", "-", "1.5", "Q4_0")) == Answers(
        "demo:base", "o/b", ("o/c", "o/d"), "", 1.5, "Q4_0"
    )
    assert interview(Person("")) is None


def test_the_machine_is_asked_about_as_far_as_it_tells() -> None:
    person = Person("o/a", "o/b", "", "", "", "", "", "")
    answers = interview(person, 7_612_345_678, gpu=True)
    assert answers == Answers("o/a", "o/b", gpu_layers=99)
    assert person.asked[-2].endswith("in GB (all that is free by default) [7.6]")
    assert person.asked[-1] == "Layers that the GPU scores (99 for all, 0 for none) [99]"
    less = interview(Person("o/a", "o/b", "", "", "", "", "4", "0"), 7_612_345_678, gpu=True)
    assert less == Answers("o/a", "o/b", memory=4.0)


@pytest.mark.parametrize(
    ("answers", "again"),
    [
        (("o/a", "", "o/b", "", "", "", ""), "A merge takes two parents.\nFine-tune that reasons"),
        (("here", "-"), "There is no 'here' here (expected: a folder, a GGUF, "),
        (("demo:b", "-"), "no bundled parent 'demo:b' (expected: demo:base, demo:instruct, "),
        (("o/a+x y", "-"), "There is no 'o/a+x y' here"),
        (
            ("o/a", "o/b", "", "", "long", "8", ""),
            "'long' is not a number of hours (expected: such as 8).\nHours that the search may",
        ),
        (("o/a", "o/b", "", "", "nan", "8", ""), "'nan' is not a number of hours"),
        (("o/a", "o/b", "", "", "8", "Q9", ""), "Unknown mix 'Q9' (expected: Q4_0, "),
    ],
)
def test_what_cannot_be_used_is_asked_again_with_the_reason(
    answers: tuple[str, ...], again: str
) -> None:
    person = Person(*answers)
    interview(person)
    assert [question for question in person.asked if question.startswith(again)], person.asked


def test_a_mistyped_folder_is_no_id_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "right").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    person = Person("models/wrong", "models/right", "models/right", "", "", "", "", "")
    answers = interview(person)
    assert answers is not None
    assert (answers.instruct, answers.reason) == ("models/right", "models/right")
    assert person.asked[1].startswith("There is no 'models/wrong' here")


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


def test_the_gpu_is_in_the_objectives() -> None:
    text = objectives_text(Answers("a", "b", gpu_layers=99))
    assert Objectives.from_yaml(text, Path()).runtime.n_gpu_layers == 99
