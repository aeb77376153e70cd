"""Answers: tokens drawn, thoughts found, counted, closed, and kept from what metrics see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from helpers import tiny_model
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.objectives import Objectives, Rung
from mergesearch.scoring.answers import (
    Answer,
    Generated,
    GenRequest,
    Sampling,
    Thought,
    draw,
    item_seed,
    sampling_options,
)


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


def test_the_likeliest_are_kept_wherever_they_are() -> None:
    logits = np.log(np.array([0.3, 0.25, 0.05, 0.1, 0.1, 0.2], np.float32))
    numbers = (0.0, 0.5, 0.6, 0.99)
    assert [draw(logits, Sampling(top_k=2), _Always(number)) for number in numbers] == [0, 0, 1, 1]


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


# -- a vocabulary of words -------------------------------------------------------------------------


WORDS = ["<END>", "<think>", "</think>", "a", "b", ".", "\n", "</", "think>", "<", "think", "hm "]
WORDS += ["<|user|>", "\xc3", "\xa9"]
NO_LOGITS = np.empty(0, np.float32)
CLOSING = (WORDS.index("</"), WORDS.index("think>"))


class Words:
    """A vocabulary of words: the first one ends an answer, `<|user|>` is special."""

    def piece(self, token: int, *, special: bool = False) -> bytes:
        word = WORDS[token]
        return b"" if word == "<|user|>" and not special else word.encode("latin-1")

    def ends(self, token: int) -> bool:
        return token == 0


def generated(words: Sequence[str], request: GenRequest) -> Generated:
    """What becomes of an answer whose likeliest next words are the given ones, in order."""
    growing = Answer(0, request, Words(), 0)
    for word in [*words, *["a"] * 99]:
        if growing.take(growing.next_token(NO_LOGITS, WORDS.index(word))):
            return growing.result()
    raise AssertionError("it does not end")


# -- ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "until", "expected"),
    [
        (["a", "b", "<END>"], (), ("ab", "end", 3)),
        (["<END>"], ("a",), ("", "end", 1)),
        (["a", "b", "a", "b"], (), ("abab", "length", 4)),
        (["a", "b", "a", "."], (".",), ("aba", "until", 4)),
        (["a", "b", "."], ("b",), ("a", "until", 2)),
        # within a piece, across pieces and where the text begins
        (["a", "think", "b"], ("in",), ("ath", "until", 2)),
        (["a", "</", "think>"], ("a</t",), ("", "until", 3)),
        (["a", "</", "think>"], ("/thin",), ("a<", "until", 3)),
        (["b", "a"], ("b",), ("", "until", 1)),
        (["</", "think>"], ("</th",), ("", "until", 2)),
        # the first of several
        (["think", "a"], ("k", "h"), ("t", "until", 1)),
        (["think", "a"], ("h", "k"), ("t", "until", 1)),
        (["think", "a"], ("never", "think", "k"), ("", "until", 1)),
        (["a", "b", "."], (".", "b."), ("a", "until", 3)),
        (["a", "b", "."], ("b.", "."), ("a", "until", 3)),
        (["a", "b", "<END>"], ("", "b"), ("a", "until", 2)),
        # a special token is no text, but may be what an answer stops at
        (["a", "<|user|>", "b", "<END>"], ("|",), ("ab", "end", 4)),
        (["a", "<|user|>", "b"], ("<|user|>",), ("a", "until", 2)),
        # bytes
        (["\xc3", "\xa9", "<END>"], (), ("\u00e9", "end", 3)),
        (["a", "\xc3", "b", "<END>"], (), ("a\ufffdb", "end", 4)),
        (["a", "\xc3", "\xa9"], ("\u00e9",), ("a", "until", 3)),
    ],
)
def test_an_answer_ends_at_a_token_a_string_or_its_limit(words, until, expected) -> None:
    text, stopped, count = expected
    tokens = tuple(WORDS.index(word) for word in words[:count])
    assert generated(words, GenRequest((3,), 4, until)) == Generated(text, tokens, stopped)


def test_one_token_may_be_all() -> None:
    assert generated(["b"], GenRequest((3,), 1)) == Generated("b", (4,), "length", 0)
    assert generated(["b"], GenRequest((3,), 1, ("b",))) == Generated("", (4,), "until", 0)


def test_the_prompt_is_read_first_then_each_new_token() -> None:
    growing = Answer(7, GenRequest((3, 4, 5, 6), 9), Words(), 1)
    assert (growing.index, tuple(growing.unread())) == (7, (4, 5, 6))
    growing.n_read = 3
    assert tuple(growing.unread()) == (6,)
    for token in (9, 10, 11):
        assert not growing.take(token)
        assert tuple(growing.unread()) == (token,)
    assert growing.tokens == [9, 10, 11]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (None, [2, 2, 2, 2, 2, 2, 2, 2]),
        (Sampling(seed=1), [2, 3, 1, 3, 1, 1, 3, 1]),
        (Sampling(seed=2), [1, 1, 3, 0, 2, 2, 1, 0]),
        (Sampling(top_k=1, seed=1), [1, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_tokens_are_the_likeliest_or_drawn_by_the_seed(sampling, expected) -> None:
    logits = np.log(np.array([0.1, 0.4, 0.3, 0.2], np.float32))
    growing = Answer(0, GenRequest((3,), 9, (), sampling), Words(), 0)
    assert [growing.next_token(logits, 2) for _ in range(8)] == expected


# -- thoughts --------------------------------------------------------------------------------------


def answer(
    words: Sequence[str],
    *,
    opened: bool = False,
    budget: int = 99,
    max_tokens: int = 99,
    until: tuple[str, ...] = (),
) -> Generated:
    """What becomes of an answer that may begin with a thought."""
    thought = Thought(opened, b"<think>", b"</think>", CLOSING, budget)
    return generated(words, GenRequest((3,), max_tokens, until, thought=thought))


def test_a_thought_is_cut_and_counted() -> None:
    found = answer(["<think>", "a", "</think>", "\n", "b", "<END>"])
    assert (found.text, found.stopped, found.n_thought) == ("b", "end", 3)
    assert len(found.tokens) == 6


def test_a_prompt_may_have_opened_the_thought() -> None:
    assert answer(["a", "</think>", "b", "<END>"], opened=True).text == "b"
    assert answer(["a", "<END>"], opened=True).text == ""


def test_an_answer_without_a_thought_is_all_answer() -> None:
    found = answer(["a", "<think>", "b", "<END>"])
    assert (found.text, found.n_thought) == ("a<think>b", 0)
    assert answer(["\n", "a", "<END>"]).text == "\na"
    assert answer(["<", "b", "<END>"]).text == "<b"


def test_marks_may_be_of_several_tokens() -> None:
    found = answer(["<", "think", ".", "<END>"])
    assert (found.text, found.n_thought) == ("<think.", 0)
    found = answer(["\n", "<think>", "a", "</", "think>", "b", "<END>"])
    assert (found.text, found.n_thought) == ("b", 5)


def test_stop_strings_and_the_limit_are_for_the_answer() -> None:
    words = ["<think>", "a", ".", "\n", "</think>", "\n", "a", "b", ".", "b"]
    assert answer(words, until=(".",)).text == "ab"
    assert answer(words, until=("\n",)).text.startswith("ab.b")
    found = answer(words, max_tokens=3)
    assert (found.text, found.stopped, len(found.tokens)) == ("ab", "length", 8)


@pytest.mark.parametrize("budget", [2, 5])
def test_a_thought_beyond_its_budget_is_closed(budget: int) -> None:
    found = answer(["<think>", *["hm "] * (budget - 1), *["."] * 2, "b", "<END>"], budget=budget)
    forced = [WORDS[token] for token in found.tokens[budget : budget + 2]]
    assert forced == ["</", "think>"]
    assert (found.text, found.n_thought) == ("b", budget + 2)


def test_a_budget_of_nothing_closes_an_opened_thought_at_once() -> None:
    found = answer(["a", "a", "b", "<END>"], opened=True, budget=0)
    assert (found.text, found.n_thought) == ("b", 2)


def test_a_forced_token_takes_no_number_of_the_generator() -> None:
    logits = np.log(np.array([0.1, 0.4, 0.3, 0.2], np.float32))
    thought = Thought(True, b"<think>", b"</think>", CLOSING, 0)
    growing = Answer(0, GenRequest((3,), 9, (), Sampling(seed=1), thought), Words(), 0)
    tokens = []
    for _ in range(6):
        tokens.append(growing.next_token(logits, 2))
        growing.take(tokens[-1])
    assert tokens == [*CLOSING, 2, 3, 1, 3]


@pytest.mark.parametrize(
    ("words", "opened", "until", "expected"),
    [
        (["<think>", "<END>"], False, (), ("", "end", 1)),
        (["<think>", "a", "<END>"], False, ("a",), ("", "end", 2)),
        (["</think>", "<END>"], True, (), ("", "end", 1)),
        (["</think>", "\n", "\n", "a", "\n"], True, ("\n",), ("a", "until", 1)),
        (["</think>", "\n", "hm ", "\n"], True, ("\n",), ("hm ", "until", 1)),
        (["\n", "a"], False, ("\n",), ("", "until", 0)),
        (["<", "a"], False, ("a",), ("<", "until", 0)),
        (["a", "<|user|>"], False, ("<|user|>",), ("a", "until", 0)),
        (["</think>", "<|user|>"], True, ("<|user|>",), ("", "until", 1)),
        (["<|user|>", "a"], False, ("<|user|>",), ("", "until", 0)),
    ],
)
def test_what_follows_a_thought(words, opened, until, expected) -> None:
    found = answer(words, opened=opened, until=until)
    assert (found.text, found.stopped, found.n_thought) == expected


def test_room_for_new_tokens() -> None:
    thought = Thought(False, b"<think>", b"</think>", CLOSING, 10)
    assert thought.most_tokens == 12
    assert GenRequest((3, 4), 5, thought=thought).most_tokens == 17
    assert GenRequest((3, 4), 5).most_tokens == 5


def test_new_tokens_never_exceed_what_was_kept_for_them() -> None:
    for budget in range(4):
        for max_tokens in range(1, 4):
            found = answer(["<think>", *["hm "] * 9], budget=budget, max_tokens=max_tokens)
            assert len(found.tokens) <= budget + 2 + max_tokens


# -- through llama.cpp -----------------------------------------------------------------------------


def test_a_closed_thought_goes_on_as_if_the_model_had_closed_it(q4):
    """The same tokens as from the prompt with the cut thought and its end mark."""
    prompt = q4.tokenize("<|user|>What is a ball?<|bot|>")
    closing = q4.tokenize(" and", add_special=False)
    (free,) = q4.generate([GenRequest(prompt, 12)])
    assert b" and" not in b"".join(q4.piece(token) for token in free.tokens[:5])
    thought = Thought(True, b"<think>", b" and", closing, budget=5)
    (found,) = q4.generate([GenRequest(prompt, 8, thought=thought)])
    assert found.tokens[:5] == free.tokens[:5]
    assert found.tokens[5 : 5 + len(closing)] == closing
    assert found.n_thought == 5 + len(closing)
    (rest,) = q4.generate([GenRequest(prompt + found.tokens[: found.n_thought], 8)])
    assert found.tokens[found.n_thought :] == rest.tokens
    assert found.text == rest.text.lstrip()


TASKS = """
runtime: {n_ctx: 256, n_parallel: 8, n_batch: 256, chunk_items: 8, threads: 2}
task_folder: tasks
thinking: {budget: 6, end: "</t>", enable: true}
objectives:
  answers:
    reference: 0
    tasks: [{task: tiny_answer, metric: exact, search_items: 20, validate_items: 10}]
"""


def test_metrics_see_what_follows_the_thought(folder, tmp_path):
    from mergesearch.scoring.engine import Engine
    from mergesearch.scoring.scorer import Scorer

    opens = "{{ '<|bot|>' }}{% if enable_thinking %}{{ '<think>' }}{% endif %}"
    template = tiny_model.TEMPLATE.replace("{{ '<|bot|>' }}", opens)
    weights = tiny_model.random_weights()
    path = tiny_model.write_gguf(tmp_path / "x.gguf", weights, quantized=True, template=template)
    scorer = Scorer(Objectives.from_yaml(TASKS, folder))
    with Engine(path, tiny_model.RUNTIME) as thinks:
        result = scorer.score(thinks, Rung.SEARCH)["tiny_answer"]
    assert result.n == 20
    for item in result.items:
        assert 6 < item.tokens_thought <= 6 + len("</t>")
        assert item.tokens_thought < item.tokens_out <= item.tokens_thought + 12
        assert "</t>" not in item.text
    always = template.replace("{% if enable_thinking %}", "{% if true %}")
    path = tiny_model.write_gguf(tmp_path / "y.gguf", weights, quantized=True, template=always)
    silent = Scorer(Objectives.from_yaml(TASKS.replace("thinking:", "# thinking:"), folder))
    with Engine(path, tiny_model.RUNTIME) as engine:
        notes = silent.rehearse(engine, to_the_end=False).notes
        assert "begins each answer with <think>" in notes[0]
        assert scorer.rehearse(engine, to_the_end=False).notes == ()
