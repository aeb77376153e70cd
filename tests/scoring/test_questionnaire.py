"""What does not fit the context is said, task by task."""

from __future__ import annotations

from types import SimpleNamespace

from mergesearch.scoring.questionnaire import misfits
from mergesearch.scoring.requests import Outcome


def attempt(*outcomes: Outcome) -> SimpleNamespace:
    return SimpleNamespace(outcomes=list(outcomes))


def test_cut_prompts_and_unscored_items_are_counted_by_item() -> None:
    fine, cut, lost = Outcome(), Outcome(cut=3), Outcome(failure="it is too long")
    attempts = {
        "quiz": [attempt(fine, fine), attempt(cut, cut), attempt(lost, lost), attempt(lost)],
        "essay": [attempt(fine)],
    }
    assert misfits(attempts) == [
        "quiz: 1 of 4 prompts are longer than the context and lose their beginning",
        "quiz: 2 of 4 items cannot be scored; the first reason: it is too long",
    ]
