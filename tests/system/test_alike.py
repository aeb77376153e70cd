"""Words that were probably meant to be others."""

from __future__ import annotations

from mergesearch._system.alike import did_you_mean


def test_the_likest_word_is_asked_for() -> None:
    assert did_you_mean("tise", ["linear", "ties", "dare_ties"]) == "did you mean 'ties'?"
    assert did_you_mean("demo_choise", ["demo_answer", "demo_choice"]) == (
        "did you mean 'demo_choice'?"
    )
    assert did_you_mean("magic", ["linear", "ties"]) is None
    assert did_you_mean("x", []) is None
