from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.scoring.sampling import Sampling, draw, item_seed
from mergesearch.scoring.sequences import GenRequest


def _frequencies(logits, sampling, draws=4000):
    drawing = sampling.generator()
    counts = np.zeros(len(logits))
    for _ in range(draws):
        counts[draw(np.array(logits, np.float32), sampling, drawing)] += 1
    return counts / draws


def _expected(logits, temperature, top_k, top_p):
    """Probabilities after the warpers of transformers."""
    import torch
    from transformers.generation.logits_process import TopKLogitsWarper, TopPLogitsWarper

    scores = torch.tensor([logits], dtype=torch.float64) / temperature
    if top_k:
        scores = TopKLogitsWarper(top_k)(None, scores)
    if top_p < 1:
        scores = TopPLogitsWarper(top_p)(None, scores)
    return torch.softmax(scores, -1)[0].numpy()


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 1.0), (0.5, 0, 1.0), (1.0, 3, 1.0), (1.0, 0, 0.7), (2.0, 4, 0.8), (1.0, 1, 1.0)],
)
def test_tokens_come_as_often_as_transformers_says(temperature, top_k, top_p):
    logits = [0.3, 2.0, -1.0, 1.1, 0.9, -3.0, 1.7]
    found = _frequencies(logits, Sampling(temperature, top_k, top_p, seed=5))
    expected = _expected(logits, temperature, top_k, top_p)
    assert found == pytest.approx(expected, abs=0.035)
    assert (found > 0).tolist() == (expected > 0).tolist() or top_p == 1.0


@given(
    st.lists(st.floats(-30, 30), min_size=1, max_size=20),
    st.floats(0.05, 3),
    st.integers(0, 25),
    st.floats(0.01, 1),
    st.integers(0, 2**63),
)
def test_a_token_is_always_one_that_is_allowed(logits, temperature, top_k, top_p, seed):
    sampling = Sampling(temperature, top_k, top_p, seed)
    row = np.array(logits, np.float32)
    token = draw(row, sampling, sampling.generator())
    assert 0 <= token < len(logits)
    if 0 < top_k < len(logits):
        assert row[token] >= np.sort(row)[-top_k]
    assert draw(row, sampling, sampling.generator()) == token


def test_seeds_follow_what_is_answered():
    seeds = {item_seed("t", i, r, n) for i in range(5) for r in range(2) for n in range(3)}
    assert len(seeds) == 30
    assert item_seed("t", 1, 0, 0) != item_seed("u", 1, 0, 0)
    assert item_seed("t", 1, 0, 0) == 16162715881268234922


def test_answers_repeat_differ_by_seed_and_are_greedy_when_cold(q4):
    prompt = tuple(range(3, 40))
    requests = [GenRequest(prompt, 12, (), Sampling(4.0, seed=seed)) for seed in range(6)]
    greedy = GenRequest(prompt, 12)
    first = q4.generate([*requests, greedy])
    assert q4.generate([*requests, greedy]) == first
    assert len({answer.tokens for answer in first}) > 4
    cold = [GenRequest(prompt, 12, (), Sampling(0.001, seed=seed)) for seed in range(6)]
    assert {answer.tokens for answer in q4.generate([*cold, greedy])} == {first[-1].tokens}
