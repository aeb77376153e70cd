"""lm-eval's requests as chunks of tokens, and results as responses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mergesearch.objectives import Thinking
from mergesearch.scoring.answers import Generated, GenRequest, Sampling, item_seed
from mergesearch.scoring.chunks import Job, Likelihood
from mergesearch.scoring.requests import (
    Outcome,
    Question,
    generation_options,
    make_chunks,
    opens_thought,
)


def vocabulary(n_ctx: int, bos: int | None = None) -> Any:
    """Bytes as tokens."""
    return SimpleNamespace(
        n_ctx=n_ctx, bos=bos, eos=0, tokenize=lambda text, add_special=True: tuple(text.encode())
    )


def question(
    kind: str, *arguments: Any, item: int = 0, index: int = 0, repeats: int = 1
) -> Question:
    request = SimpleNamespace(
        request_type=kind, args=arguments, idx=index, task_name="t", doc_id=item, repeats=repeats
    )
    return Question.of(request)


def test_a_long_prompt_is_cut_on_the_left_and_the_cut_counted() -> None:
    asked = question("generate_until", "abcdefghij", {"max_gen_toks": 3, "until": "x"})
    (chunk,) = make_chunks("t", [asked], vocabulary(8), 4)
    assert chunk.job.requests[0].tokens == tuple(b"fghij")
    assert asked.outcomes[0].cut == 5


def test_spaces_before_a_continuation_belong_to_it_and_empty_contexts_get_a_prefix() -> None:
    questions = [question("loglikelihood", *pair) for pair in [("ab ", "c"), ("", "c")]]
    (chunk,) = make_chunks("t", questions, vocabulary(99), 4)
    assert chunk.job.requests == ((tuple(b"ab"), tuple(b" c")), ((0,), tuple(b"c")))
    chunk.take([Likelihood(-1.5, True), Likelihood(-2.5, False)], 1.0)
    assert [asked.responses() for asked in questions] == [[(-1.5, True)], [(-2.5, False)]]


def test_items_are_cut_into_chunks_of_one_task_and_type_in_the_order_given() -> None:
    questions = [
        question("loglikelihood", f"{item}", choice, item=item, index=index)
        for item in range(5)
        for index, choice in enumerate("ab")
    ]
    questions.append(question("loglikelihood_rolling", "a text", item=5))
    chunks = make_chunks("quiz", questions, vocabulary(99, bos=1), 2)
    assert [(chunk.task, chunk.kind, len(chunk.job.requests)) for chunk in chunks] == [
        ("quiz", "loglikelihood", 4),
        ("quiz", "loglikelihood", 4),
        ("quiz", "loglikelihood", 2),
        ("quiz", "loglikelihood_rolling", 1),
    ]
    firsts = [bytes(chunk.job.requests[0][0]) for chunk in chunks]
    assert firsts == [b"0", b"2", b"4", b"\x01"]


def test_what_does_not_fit_takes_no_part_and_has_its_reason() -> None:
    fits = question("generate_until", "abc", {"max_gen_toks": 3}, item=0)
    does_not = question("generate_until", "abc", {"max_gen_toks": 8}, item=1)
    (chunk,) = make_chunks("t", [fits, does_not], vocabulary(8), 4)
    assert len(chunk.job.requests) == 1
    assert not fits.outcomes[0].done
    assert does_not.outcomes[0].done
    assert does_not.outcomes[0].failure == "8 new tokens leave no room for a prompt in n_ctx 8"
    chunk.take([Generated("x", (1, 2), "end")], 3.0)
    outcome = fits.outcomes[0]
    assert (outcome.value, outcome.tokens_in, outcome.tokens_out) == ("x", 3, 2)
    assert outcome.seconds == 3.0


def test_windows_of_a_rolling_text_add_up() -> None:
    asked = question("loglikelihood_rolling", "abcdefghij")
    (chunk,) = make_chunks("t", [asked], vocabulary(4, bos=1), 4)
    assert len(chunk.job.requests) == len(chunk.outcomes) == 3
    chunk.take([Likelihood(-1.0, True), Likelihood(-2.0, True), Likelihood(-4.0, False)], 1.0)
    assert asked.responses() == [-7.0]
    assert asked.outcomes[0].tokens_predicted == 10


def test_seconds_are_divided_by_tokens() -> None:
    questions = [question("loglikelihood", "abc" * size, "d") for size in (1, 5)]
    (chunk,) = make_chunks("t", questions, vocabulary(99), 4)
    chunk.take([Likelihood(-1.0, True)] * 2, 10.0)
    assert [asked.outcomes[0].seconds for asked in questions] == pytest.approx([2.0, 8.0])


def test_repeats_are_sampled_each_with_its_seed_or_answered_once() -> None:
    options = {"do_sample": True, "temperature": 0.5}
    sampled = question("generate_until", "abc", options, item=7, repeats=3)
    greedy = question("generate_until", "abc", {}, item=8, repeats=3)
    (chunk,) = make_chunks("t", [sampled, greedy], vocabulary(999), 4)
    seeds = [request.sampling and request.sampling.seed for request in chunk.job.requests]
    assert seeds == [*(item_seed("t", 7, 0, repeat) for repeat in range(3)), None]
    chunk.take([Generated(text, (1,), "end") for text in "abcd"], 1.0)
    assert sampled.responses() == ["a", "b", "c"]
    assert greedy.responses() == ["d", "d", "d"]


def test_the_weight_of_a_job_is_what_it_reads_and_may_write() -> None:
    assert Job((GenRequest((1, 2, 3), 5), GenRequest((1,), 2)), generates=True).weight == 11
    assert Job((((1, 2), (3,)), ((1,), (2, 3))), generates=False).weight == 6


def test_a_rolling_text_that_fails_has_no_value() -> None:
    asked = Question(question("loglikelihood_rolling", "").request, (Outcome(failure="no"),))
    assert asked.responses() == [None]


def test_generation_options() -> None:
    assert generation_options({}) == (256, (), None)
    assert generation_options({"until": "x", "max_gen_toks": 7}) == (7, ("x",), None)
    greedy = {"do_sample": True, "temperature": 0, "until": ["a", "b"]}
    assert generation_options(greedy) == (256, ("a", "b"), None)
    assert generation_options({"temperature": 0.7})[2] is None
    sampled = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 20}
    assert generation_options(sampled)[2] == Sampling(0.7, 20, 0.9)
    assert generation_options({"do_sample": True})[2] == Sampling(1.0, 0, 1.0)


def test_prompts_leave_room_for_thought_closing_and_answer() -> None:
    asked = question("generate_until", "abcdefghij<think>\n", {"max_gen_toks": 6})
    (chunk,) = make_chunks("t", [asked], vocabulary(40), 4, Thinking(budget=10))
    (request,) = chunk.job.requests
    assert request.most_tokens == 6 + 10 + len("</think>")
    assert len(request.tokens) == 40 - 24
    assert asked.outcomes[0].cut == 2
    assert request.thought.opened
    assert chunk.job.weight == 40


def test_likelihoods_come_after_an_empty_thought_where_the_prompt_opens_one() -> None:
    thinking = Thinking(budget=10)
    for context, expected in [("ab<think>\n", b"ab<think>\n\n</think>"), ("ab", b"ab")]:
        asked = question("loglikelihood", context, "yes")
        (chunk,) = make_chunks("t", [asked], vocabulary(40), 4, thinking)
        ((first, second),) = chunk.job.requests
        assert bytes(first) == expected
        assert bytes(second).endswith(b"yes")


def test_what_opens_a_thought() -> None:
    assert opens_thought("a<think>\n", Thinking(budget=1))
    assert not opens_thought("<think>\n\n</think>\n\n", Thinking(budget=1))
    assert opens_thought("<|channel|>analysis", Thinking(budget=1, start="analysis"))
