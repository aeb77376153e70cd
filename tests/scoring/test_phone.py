"""A GGUF tried out for a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergesearch.errors import ScoringError
from mergesearch.scoring.phone import PhoneTrial, try_out


def test_a_model_is_loaded_and_answers_by_its_template(folder: Path) -> None:
    found = try_out(folder / "q4.gguf", 128)
    assert found.size == (folder / "q4.gguf").stat().st_size
    assert found.context == 128
    assert "capital of France" in found.prompt
    assert found.cache > 0
    assert found.cache % 128 == 0


def test_a_context_that_it_was_not_made_for_is_refused(folder: Path) -> None:
    with pytest.raises(ScoringError, match="it was made for"):
        try_out(folder / "q4.gguf", 1 << 20)


def test_without_a_context_it_is_what_the_model_was_made_for(folder: Path) -> None:
    assert try_out(folder / "q4.gguf").context == 1024


def test_a_token_reads_the_weights_and_half_of_the_cache() -> None:
    trial = PhoneTrial(4_000_000_000, 4096, 200_000_000, "", "", ended=True)
    assert trial.memory == 4_620_000_000
    assert trial.tokens_per_second() == {
        "LPDDR4X-4266": pytest.approx(4.98, abs=0.01),
        "LPDDR5-6400": pytest.approx(7.46, abs=0.01),
        "LPDDR5X-8533": pytest.approx(9.95, abs=0.01),
    }
