"""A folder is resumed by the same search only."""

from pathlib import Path
from typing import Any

import pytest
from helpers.study_fakes import (
    OBJECTIVES,
    SPACE,
    TRIALS,
    files,
    run_briefly,
    run_in,
    search,
    told,
)

from mergesearch.errors import (
    InputError,
    RunFolderError,
)
from mergesearch.objectives import Objectives
from mergesearch.space import Space
from mergesearch.study.database import Database
from mergesearch.study.identity import identify
from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.whole


def check(folder: Path, searched: Any, settings: StudySettings) -> None:
    identify(files(folder), searched, settings)


def test_a_folder_of_another_search_is_refused_and_left_alone(tmp_path: Path) -> None:
    run_briefly(tmp_path, trials=4)
    before = told(tmp_path)
    other_space = Space.from_yaml(SPACE.replace("1.5", "1.4"))
    other_objectives = Objectives.from_yaml(OBJECTIVES.replace("0.25", "0.2"), Path())
    settings = StudySettings(trials=9, sampler="sobol")
    for match, changed in (
        ("different space", search(space=other_space)),
        ("different objectives", search(objectives=other_objectives)),
        ("different parents", search(fingerprints={"parents": "c3"})),
    ):
        with pytest.raises(RunFolderError, match=match):
            check(tmp_path, changed, settings)
        with pytest.raises(RunFolderError, match=match):
            run_in(tmp_path, changed, settings)
    check(tmp_path, search(), settings)
    with pytest.raises(RunFolderError, match="different seed"):
        run_briefly(tmp_path, seed=1)
    with pytest.raises(RunFolderError, match="different sampler"):
        run_briefly(tmp_path, sampler="tpe")
    with pytest.raises(InputError, match="unknown sampler 'annealing'"):
        run_briefly(tmp_path, sampler="annealing")
    assert told(tmp_path) == before


def test_a_folder_without_a_recorded_run_is_checked_without_writing(tmp_path: Path) -> None:
    check(tmp_path / "new", search(), StudySettings())
    assert list(tmp_path.iterdir()) == []
    Database.create(files(tmp_path).database).close()  # as a kill right after the start leaves it
    check(tmp_path, search(), StudySettings())
    assert run_briefly(tmp_path)["trials"] == TRIALS
