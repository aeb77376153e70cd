"""How long a silent process is waited for."""

from __future__ import annotations

import time
from multiprocessing.connection import Pipe

import pytest

from mergesearch.errors import ScorerHung
from mergesearch.scoring import silence
from mergesearch.scoring.protocol import Progress
from mergesearch.scoring.silence import SilenceLimit


def test_the_limit_is_a_multiple_of_the_longest_silence() -> None:
    waiting = SilenceLimit()
    assert waiting.seconds == 7200
    for longest, limit in ((1.0, 120), (30.0, 600), (2.0, 600)):
        waiting.learn(longest)
        assert waiting.seconds == limit


def test_silence_beyond_the_limit_is_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "LEAST_SECONDS", 0.2)
    ours, theirs = Pipe()
    waiting = SilenceLimit()
    waiting.learn(0.001)
    theirs.send(Progress("words", 1, 2))
    assert waiting.receive(ours) == Progress("words", 1, 2)
    start = time.monotonic()
    with pytest.raises(ScorerHung, match="said nothing for 0 s, 20 times as long as ever before"):
        waiting.receive(ours)
    assert 0.2 <= time.monotonic() - start < 5
    theirs.send(Progress("words", 2, 2))
    assert waiting.receive(ours) == Progress("words", 2, 2)
    theirs.close()
    with pytest.raises(EOFError):
        waiting.receive(ours)
    ours.close()
