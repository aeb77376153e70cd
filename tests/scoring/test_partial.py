"""Finished chunks on disk: read back to the bit, or not there at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergesearch.scoring.answers import Generated, GenRequest
from mergesearch.scoring.chunks import Job, Likelihood
from mergesearch.scoring.partial import PartialScores

PROMPTS = Job((GenRequest((1, 2), 5), GenRequest((3,), 5, until=("x",))), generates=True)
PAIRS = Job((((1, 2), (3,)),), generates=False)
ANSWERS = [Generated("é\n", (4, 5), "end"), Generated("", (6, 7, 8), "length", n_thought=2)]
LIKELIHOODS = [Likelihood(-0.1 - 0.2, True)]


@pytest.fixture
def scores(tmp_path: Path) -> PartialScores:
    return PartialScores(tmp_path / "partial", "ab" * 32, "cd" * 32)


def test_chunks_are_read_back_to_the_bit(scores: PartialScores) -> None:
    assert scores.read(PROMPTS) is None
    scores.write(PROMPTS, ANSWERS, 1.5)
    scores.write(PAIRS, LIKELIHOODS, 1 / 3)
    assert scores.read(PROMPTS) == (ANSWERS, 1.5)
    assert scores.read(PAIRS) == (LIKELIHOODS, 1 / 3)
    assert scores.read(Job(PROMPTS.requests[:1], generates=True)) is None


@pytest.mark.parametrize("damage", [b"", b"\0" * 40, b"{}", None])
def test_a_damaged_chunk_is_an_unfinished_one(
    scores: PartialScores, tmp_path: Path, damage: bytes | None
) -> None:
    scores.write(PROMPTS, ANSWERS, 1.5)
    (path,) = tmp_path.glob("partial/*/*.json")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] if damage is None else damage)
    assert scores.read(PROMPTS) is None
    path.write_bytes(whole.replace(b"end", b"eno"))
    assert scores.read(PROMPTS) is None
    scores.write(PROMPTS, ANSWERS, 1.5)
    assert scores.read(PROMPTS) == (ANSWERS, 1.5)


def test_chunks_of_another_candidate_or_of_other_objectives_are_removed(tmp_path: Path) -> None:
    folder, before = tmp_path / "partial", None
    for candidate, fingerprint in (("ab", "cd"), ("ef", "cd"), ("ef", "01")):
        scores = PartialScores(folder, candidate * 32, fingerprint * 32)
        if before is not None:
            before.give_way_to(scores)
        before = scores
        assert scores.read(PROMPTS) is None
        scores.write(PROMPTS, ANSWERS, 1.5)
        assert len(list(folder.iterdir())) == 1
    scores.give_way_to(PartialScores(folder, "ef" * 32, "01" * 32))
    assert scores.read(PROMPTS) is not None


def test_what_cannot_be_kept_is_done_without(scores: PartialScores, tmp_path: Path) -> None:
    """On a full disk, where something else is in the place, or in a folder that was renamed."""
    scores.write(PROMPTS, ANSWERS, 1.5)
    (path,) = tmp_path.glob("partial/*/*.json")
    path.unlink()
    path.mkdir()
    scores.write(PROMPTS, ANSWERS, 1.5)
    assert scores.read(PROMPTS) is None
    (tmp_path / "partial").rename(tmp_path / "renamed")
    scores.write(PROMPTS, ANSWERS, 1.5)
    PartialScores(tmp_path / "gone" / "partial", "ab", "cd").write(PROMPTS, ANSWERS, 1.5)
    assert [path.name for path in tmp_path.iterdir()] == ["renamed"]
