"""A worker that waits for its study."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergesearch.errors import DatabaseAway, MergeSearchError
from mergesearch.runs import worker
from mergesearch.study.events import Event, Noted


def test_what_is_waited_for_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = DatabaseAway("it cannot be reached: connection refused")
    answers = iter([away, away, False, False, True, True])
    works = iter([away, MergeSearchError("at work")])

    def is_shared(address: str, study: str) -> bool:
        assert (address, study) == ("postgresql+psycopg://me@host/studies", "night")
        answer = next(answers)
        if isinstance(answer, MergeSearchError):
            raise answer
        return answer

    def work(*arguments: object) -> None:
        raise next(works)

    monkeypatch.setattr(worker, "is_shared", is_shared)
    monkeypatch.setattr(worker, "work", work)
    monkeypatch.setattr(worker, "_LOOK_SECONDS", 0.0)
    said: list[Event] = []

    def join(folder: str, *, wait: bool) -> None:
        url = "postgresql://me@host/studies"
        worker.join(url, "night", tmp_path / folder, wait=wait, on_event=said.append)

    with pytest.raises(MergeSearchError, match="at work"):
        join("patient", wait=True)
    cannot = Noted("waiting: the database cannot be reached: connection refused")
    missing = Noted("waiting: the study night is not on record yet")
    assert said == [cannot, missing, cannot]
    works = iter([away])
    with pytest.raises(DatabaseAway):
        join("at once", wait=False)
