"""What ends a search: named, remembered, and refused where it makes no sense."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from mergesearch.errors import InputError, RunFolderError
from mergesearch.runs.folder import RunFolder
from mergesearch.runs.goal import Goal

NOW = datetime(2030, 1, 2, 22, 0)
SEVEN = datetime(2030, 1, 3, 7, 0)


def test_hours_count_from_now_and_the_first_end_holds() -> None:
    assert Goal.named(None, None, None, NOW) is None
    assert Goal.named(5, None, None, NOW) == Goal(5)
    assert Goal.named(None, 8, None, NOW) == Goal(None, datetime(2030, 1, 3, 6, 0))
    assert Goal.named(None, 10, SEVEN, NOW) == Goal(None, SEVEN)
    assert Goal.named(9, 1.5, SEVEN, NOW) == Goal(9, datetime(2030, 1, 2, 23, 30))


@pytest.mark.parametrize("hours", [float("inf"), float("nan"), -1.0, 1e9])
def test_hours_that_never_end_are_refused(hours: float) -> None:
    with pytest.raises(InputError, match="is not a number of hours"):
        Goal.named(None, hours, None, NOW)


def test_what_cannot_be_reached_is_refused() -> None:
    for name in ("tokens", "patience"):
        with pytest.raises(InputError, match=f"{name}: 0 is too few"):
            Goal.named(None, None, None, NOW, **{name: 0})
    with pytest.raises(InputError, match="trials: 0 is too few"):
        Goal.named(0, None, None, NOW)
    with pytest.raises(InputError, match=r"tokens: 10{30} is too many"):
        Goal.named(None, None, None, NOW, tokens=10**30)
    for hypervolume in (0.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="is not a hypervolume to reach"):
            Goal.named(None, None, None, NOW, hypervolume=hypervolume)


@pytest.mark.parametrize(
    "goal", [Goal(5), Goal(None, SEVEN), Goal(5, SEVEN), Goal(None, None, 10**6, 0.5, 20)]
)
def test_a_run_folder_remembers_it(goal: Goal, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_goal() is None
    folder.write_goal(goal)
    assert folder.read_goal() == goal


NO_NUMBERS = ['{"hypervolume": NaN}', '{"hypervolume": Infinity}', '{"trials": 1e400}']
NO_TIMES = ['{"trials": 1, "until": "soon"}', '{"until": "2026-01-01T00:00:00Z"}']


@pytest.mark.parametrize("text", ["{", "[]", "{}", "7", *NO_NUMBERS, *NO_TIMES])
def test_a_damaged_goal_is_one_sentence(text: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.goal.write_text(text)
    with pytest.raises(RunFolderError, match=r"goal\.json(, line 1)?: not"):
        folder.read_goal()
