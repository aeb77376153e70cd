"""A warm start from another run: what is taken, what is refused, and that it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.study_fakes import OBJECTIVES, SPACE, run_in, search, told, trials

from mergesearch._system.files import write_json
from mergesearch.errors import InputError
from mergesearch.objectives import Objectives
from mergesearch.runs.folder import RunFolder
from mergesearch.runs.run import Run
from mergesearch.runs.warm_start import MOST_STARTS, notes_of, read_warm_start, take
from mergesearch.space import Space
from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.whole

SIBLING = Space.from_yaml(SPACE.replace("demo:", "large:"))
SETTINGS = StudySettings(trials=9, sampler="sobol", confirm=0.0)


@pytest.fixture(scope="module")
def objectives() -> Objectives:
    return Objectives.from_yaml(OBJECTIVES, Path())


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of a smaller sibling."""
    folder = tmp_path_factory.mktemp("other") / "small"
    folder.mkdir()
    run_in(folder, search(), SETTINGS)
    return Run(folder)


def test_the_front_is_tried_first_and_all_trials_count(
    other: Run, objectives: Objectives, tmp_path: Path
) -> None:
    warm = take(other, SIBLING, objectives)
    assert len(warm.starts) == min(MOST_STARTS, len(other.front().members))
    assert len(warm.trials) == 9
    member = other.trial(other.front().members[0].trial)
    assert warm.starts[0]["large:reason.weight"] == member.parameters["demo:reason.weight"]
    best = [trial.values for trial in warm.trials[: len(other.front().members)]]
    assert sorted(best) == sorted(
        tuple(score.value for score in member.values.values()) for member in other.front().members
    )
    assert warm.unmatched == ()
    notes = notes_of(warm)
    assert "large:instruct.weight is demo:instruct.weight there" in notes[1]
    run_in(tmp_path, search(space=SIBLING, warm_start=warm), SETTINGS)
    first = [dict(trial.parameters) for trial in trials(tmp_path)[3:5]]
    assert first == [start for start in warm.starts if start not in SIBLING.starts()][:2]


def test_other_objectives_leave_the_front_alone(other: Run, objectives: Objectives) -> None:
    renamed = Objectives.from_yaml(OBJECTIVES.replace("reasoning:", "logic:"), Path())
    warm = take(other, SIBLING, renamed)
    assert (len(warm.trials), len(warm.starts) > 0) == (0, True)
    assert "its objectives are others" in notes_of(warm)[0]


def test_a_run_that_shares_nothing_is_refused(other: Run, objectives: Objectives) -> None:
    space = Space.from_yaml(
        "merge_method: slerp\nbase_model: a\nmodels: [{model: a}, {model: b}]\n"
        "parameters: {t: {search: [0, 1]}}\n"
    )
    with pytest.raises(InputError, match="shares no dimension") as caught:
        take(other, space, objectives)
    assert caught.value.expected == "some of: t"


def test_what_was_taken_is_kept_and_nothing_else_is_taken_later(
    other: Run, objectives: Objectives, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    warm = read_warm_start(folder, other.folder.path, SIBLING, objectives)
    assert warm is not None
    assert read_warm_start(folder, None, SIBLING, objectives) is None
    folder.database.touch()
    with pytest.raises(InputError, match="was started without one"):
        read_warm_start(folder, other.folder.path, SIBLING, objectives)
    write_json(folder.warm_start, warm.to_dict())
    kept = read_warm_start(folder, None, SIBLING, objectives)
    assert kept == warm
    assert kept.to_dict() == warm.to_dict()
    assert read_warm_start(folder, other.folder.path, SIBLING, objectives) == warm
    with pytest.raises(InputError, match=f"was started from {other.folder.path}"):
        read_warm_start(folder, tmp_path / "third", SIBLING, objectives)


def test_a_resumed_run_proposes_what_an_unbroken_one_does(
    other: Run, objectives: Objectives, tmp_path: Path
) -> None:
    warm = take(other, SIBLING, objectives)
    searched = search(space=SIBLING, warm_start=warm)
    for name, ends in (("whole", [14]), ("broken", [9, 14])):
        (tmp_path / name).mkdir()
        for end in ends:
            settings = StudySettings(trials=end, sampler="tpe", confirm=0.0)
            run_in(tmp_path / name, searched, settings)
    assert told(tmp_path / "whole") == told(tmp_path / "broken")
