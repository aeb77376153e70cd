"""The likelihood proxy: what it asks for, and what it makes of the responses."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.scorer_thread import scorer_in_thread

from mergesearch.errors import ObjectivesError, ScoringError
from mergesearch.objectives import Objectives
from mergesearch.scoring import ScoringProcess
from mergesearch.scoring.results import margin
from mergesearch.scoring.scorer import Scorer

TEXT = """
task_folder: tasks
runtime: {n_ctx: 256, n_parallel: 8, n_batch: 256, chunk_items: 8, threads: 2}
objectives:
  answers:
    proxy: likelihood
    tasks:
      - {task: tiny_answer, metric: exact, search_items: 20, validate_items: 10}
      - {task: tiny_choice, metric: acc, search_items: 20, validate_items: 10}
    reference: 0
"""


@pytest.fixture(scope="module")
def proxied(folder):
    return Objectives.from_yaml(TEXT, folder)


@pytest.fixture(scope="module")
def scorer(proxied):
    return Scorer(proxied)


@pytest.fixture(scope="module")
def references(scorer, q4):
    """The model's own answers, as a specialist's."""
    answers = scorer.score(q4, "search")["tiny_answer"].items
    kept = {answer.item: answer.text for answer in answers if (answer.text or "").strip()}
    assert len(kept) > 10
    return {"tiny_answer": dict(list(kept.items())[:10])}


def test_the_margin_is_over_the_best_wrong_choice():
    assert margin([-3.0, -1.0, -2.0], [1]) == 1.0
    assert margin([-3.0, -1.0, -2.0], [0]) == -2.0
    assert margin([-3.0, -1.0, -2.0], [0, 2]) == -1.0


def test_an_answer_s_proxy_is_its_mean_log_probability_per_token(scorer, q4, references):
    scorer.questionnaire.use_references(references)
    result = scorer.score(q4, "proxy")["tiny_answer"]
    assert [item.item for item in result.items] == sorted(references["tiny_answer"])
    member = scorer.questionnaire.tasks["tiny_answer"].members[0]
    for item in result.items:
        prompt = f"<|user|>{member.docs[item.item]['question']}<|bot|>"
        context = q4.tokenize(prompt)
        both = q4.tokenize(prompt + references["tiny_answer"][item.item])
        (alone,) = q4.loglikelihood([(context, both[len(context) :])])
        expected = alone.logprob / (len(both) - len(context))
        assert item.metrics["proxy"] == pytest.approx(expected, abs=0.05)  # another batch
        assert item.tokens_out == 0
    values = [item.metrics["proxy"] for item in result.items]
    assert result.metrics["proxy"].value == pytest.approx(np.mean(values))
    error = np.std(values, ddof=1) / len(values) ** 0.5
    assert result.metrics["proxy"].stderr == pytest.approx(error)


def test_own_greedy_answers_are_likelier_than_anothers(scorer, q4, references):
    scorer.questionnaire.use_references(references)
    own = scorer.score(q4, "proxy")["tiny_answer"].metrics["proxy"].value
    items, texts = zip(*references["tiny_answer"].items(), strict=True)
    shuffled = dict(zip(items, reversed(texts), strict=True))
    scorer.questionnaire.use_references({"tiny_answer": shuffled})
    assert scorer.score(q4, "proxy")["tiny_answer"].metrics["proxy"].value < own
    scorer.questionnaire.use_references(references)


def test_a_positive_margin_is_a_right_choice(scorer, q4, references):
    scorer.questionnaire.use_references(references)
    proxies = scorer.score(q4, "proxy")["tiny_choice"].items
    real = scorer.score(q4, "search")["tiny_choice"].items
    assert len(proxies) == len(real) == 20
    for proxy, other in zip(proxies, real, strict=True):
        assert proxy.item == other.item
        assert (proxy.metrics["proxy"] > 0) == (other.metrics["acc"] == 1.0)


def test_objectives_take_the_proxy_on_its_rung_only(scorer, proxied, q4, references):
    scorer.questionnaire.use_references(references)
    found = proxied.scores(scorer.score(q4, "proxy"), "proxy")["answers"]
    assert found.value < 0
    assert found.n == 30
    assert proxied.scores(scorer.score(q4, "search"))["answers"].value >= 0
    assert proxied.first_rung == "proxy"


def test_without_reference_texts_there_is_no_proxy(proxied, q4):
    with pytest.raises(ScoringError, match="no reference texts"):
        Scorer(proxied).score(q4, "proxy")


def test_a_likelihood_needs_no_proxy(folder):
    text = TEXT.replace("tiny_answer, metric: exact, search_items: 20, validate_items: 10", "TASK")
    text = text.replace(
        "TASK", "tiny_text, metric: word_perplexity, search_items: 6, validate_items: 4"
    )
    with pytest.raises(
        ObjectivesError, match="of type loglikelihood_rolling, which needs no proxy"
    ):
        Scorer(Objectives.from_yaml(text, folder))


def test_a_process_is_given_the_texts_again_after_a_crash(
    scorer, proxied, q4, candidate, references
):
    scorer.questionnaire.use_references(references)
    expected = scorer.score(q4, "proxy")["tiny_answer"].metrics
    with scorer_in_thread(), ScoringProcess(proxied) as process:
        process.use_references(references)
        assert process.score(candidate, "proxy")["tiny_answer"].metrics == expected
        process._kill()
        assert process.score(candidate, "proxy")["tiny_answer"].metrics == expected
