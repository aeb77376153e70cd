from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.scoring.sampling import Sampling, draw, item_seed, sampling_options
from mergesearch.scoring.sequences import GenRequest


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"temperature": 0.7}, None),
        ({"do_sample": False, "temperature": 0.7}, None),
        ({"do_sample": True}, Sampling(1.0, 0, 1.0, 0)),
        ({"do_sample": True, "temperature": 0}, None),
        ({"do_sample": True, "temperature": -1.0}, None),
        ({"do_sample": True, "temperature": "0.25"}, Sampling(temperature=0.25)),
        ({"do_sample": True, "top_k": None, "top_p": None}, Sampling()),
        ({"do_sample": True, "top_k": 40, "top_p": 0.9}, Sampling(1.0, 40, 0.9)),
    ],
)
def test_a_task_samples_where_it_says_so_and_is_warm(options, expected) -> None:
    assert sampling_options(options) == expected
    assert (Sampling().temperature, Sampling().top_k, Sampling().top_p) == (1.0, 0, 1.0)


class _Always:
    """A generator whose number is always the same."""

    def __init__(self, number: float) -> None:
        self._number = number

    def random(self) -> float:
        return self._number


@pytest.mark.parametrize(
    ("sampling", "number", "expected"),
    [
        # Probabilities .1, .4, .3 and .2; their running sums are .1, .5, .8 and 1.
        (Sampling(), 0.0, 0),
        (Sampling(), 0.05, 0),
        (Sampling(), 0.45, 1),
        (Sampling(), 0.65, 2),
        (Sampling(), 0.95, 3),
        (Sampling(), 1.0, 3),
        (Sampling(top_k=2), 0.0, 1),  # .4 and .3
        (Sampling(top_k=2), 0.56, 1),
        (Sampling(top_k=2), 0.58, 2),
        (Sampling(top_k=1), 0.99, 1),
        (Sampling(top_k=3), 0.0, 1),  # .4, .3 and .2
        (Sampling(top_k=4), 0.05, 0),
        (Sampling(top_p=0.65), 0.56, 1),
        (Sampling(top_p=0.65), 0.58, 2),  # .4 does not reach .65, .4 and .3 do
        (Sampling(top_p=0.75), 0.99, 3),
        (Sampling(top_p=0.75), 0.0, 1),
        (Sampling(top_k=3, top_p=0.5), 0.5, 1),  # .4, .3 and .2; .4 and .3 reach half of .9
        (Sampling(top_k=3, top_p=0.5), 0.6, 2),
        (Sampling(temperature=0.5), 0.02, 0),  # .01, .16, .09 and .04 of .3
        (Sampling(temperature=0.5), 0.04, 1),
    ],
)
def test_a_number_falls_into_the_share_of_a_token(sampling, number, expected) -> None:
    logits = np.log(np.array([0.1, 0.4, 0.3, 0.2], np.float32))
    assert draw(logits, sampling, _Always(number)) == expected


def test_large_logits_are_no_less_likely() -> None:
    logits = np.log(np.array([0.1, 0.4, 0.3, 0.2], np.float32)) + np.float32(1000)
    assert [draw(logits, Sampling(), _Always(number)) for number in (0.05, 0.65)] == [0, 2]


def test_equally_likely_tokens_are_kept_in_their_order() -> None:
    logits = np.zeros(9, np.float32)
    sampling = Sampling(top_p=0.3)  # three of nine
    assert [draw(logits, sampling, _Always(number)) for number in (0.0, 0.5, 0.99)] == [0, 1, 2]
    assert draw(logits, Sampling(top_k=3), _Always(0.99)) == 8  # all share the third place


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
