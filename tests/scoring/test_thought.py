"""Thoughts before answers: found, counted, closed, and kept from what metrics see."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import tiny_model

from mergesearch.objectives import Objectives, Rung, Thinking
from mergesearch.scoring.requests import Outcome, Question, make_chunks, opens_thought
from mergesearch.scoring.sequences import Answer, Generated, GenRequest
from mergesearch.scoring.thought import Thought

WORDS = ["<END>", "<think>", "</think>", "a", "b", ".", "\n", "</", "think>", "<", "think", "hm "]
NO_LOGITS = np.empty(0, np.float32)


class Words:
    """A vocabulary of words; the first one ends an answer."""

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return WORDS[token].encode()

    def ends(self, token: int) -> bool:
        return token == 0


def answer(
    words: Sequence[str],
    *,
    opened: bool = False,
    budget: int = 99,
    max_tokens: int = 99,
    until: tuple[str, ...] = (),
) -> Generated:
    """What becomes of an answer whose likeliest next words are the given ones, in order."""
    closing = (WORDS.index("</"), WORDS.index("think>"))
    thought = Thought(opened, b"<think>", b"</think>", closing, budget)
    growing = Answer(0, GenRequest((3,), max_tokens, until, thought=thought), Words())
    for word in [*words, *["a"] * 99]:
        if growing.take(growing.next_token(NO_LOGITS, WORDS.index(word))):
            return growing.result()
    raise AssertionError("it does not end")


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


def test_new_tokens_never_exceed_what_was_kept_for_them() -> None:
    for budget in range(4):
        for max_tokens in range(1, 4):
            found = answer(["<think>", *["hm "] * 9], budget=budget, max_tokens=max_tokens)
            assert len(found.tokens) <= budget + 2 + max_tokens


# -- requests --------------------------------------------------------------------------------------

BYTES = SimpleNamespace(
    n_ctx=40, bos=None, eos=0, tokenize=lambda text, add_special=True: tuple(text.encode())
)


def _question(kind: str, *arguments: object) -> Question:
    request = SimpleNamespace(request_type=kind, args=arguments, idx=0, task_name="t", doc_id=0)
    return Question(request, (Outcome(),))


def test_prompts_leave_room_for_thought_closing_and_answer() -> None:
    question = _question("generate_until", "abcdefghij<think>\n", {"max_gen_toks": 6})
    (chunk,) = make_chunks("t", [question], BYTES, 4, Thinking(budget=10))
    (request,) = chunk.job.requests
    assert request.most_tokens == 6 + 10 + len("</think>")
    assert len(request.tokens) == 40 - 24
    assert question.outcomes[0].cut == 2
    assert request.thought.opened
    assert chunk.job.weight == 40


def test_likelihoods_come_after_an_empty_thought_where_the_prompt_opens_one() -> None:
    thinking = Thinking(budget=10)
    for context, expected in [("ab<think>\n", b"ab<think>\n\n</think>"), ("ab", b"ab")]:
        question = _question("loglikelihood", context, "yes")
        (chunk,) = make_chunks("t", [question], BYTES, 4, thinking)
        ((first, second),) = chunk.job.requests
        assert bytes(first) == expected
        assert bytes(second).endswith(b"yes")


def test_what_opens_a_thought() -> None:
    assert opens_thought("a<think>\n", Thinking(budget=1))
    assert not opens_thought("<think>\n\n</think>\n\n", Thinking(budget=1))
    assert opens_thought("<|channel|>analysis", Thinking(budget=1, start="analysis"))


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
    from mergesearch.scoring.rehearsal import Effort
    from mergesearch.scoring.scorer import Scorer

    opens = "{{ '<|bot|>' }}{% if enable_thinking %}{{ '<think>' }}{% endif %}"
    template = tiny_model.TEMPLATE.replace("{{ '<|bot|>' }}", opens)
    weights = tiny_model.random_weights()
    path = tiny_model.write_gguf(tmp_path / "x.gguf", weights, quantized=True, template=template)
    scorer = Scorer(Objectives.from_yaml(TASKS, folder))
    result = scorer.score(path, Rung.SEARCH)["tiny_answer"]
    assert result.n == 20
    for item in result.items:
        assert 6 < item.tokens_thought <= 6 + len("</t>")
        assert item.tokens_thought < item.tokens_out <= item.tokens_thought + 12
        assert "</t>" not in item.text
    always = template.replace("{% if enable_thinking %}", "{% if true %}")
    path = tiny_model.write_gguf(tmp_path / "y.gguf", weights, quantized=True, template=always)
    silent = Scorer(Objectives.from_yaml(TASKS.replace("thinking:", "# thinking:"), folder))
    notes = silent.rehearse(path, Effort(0.01, to_the_end=False)).notes
    assert "begins each answer with <think>" in notes[0]
    assert scorer.rehearse(path, Effort(0.01, to_the_end=False)).notes == ()
