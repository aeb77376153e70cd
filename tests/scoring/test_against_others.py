"""A bundled parent as F32 GGUF, against transformers, llama-cpp-python and lm-eval's scoring."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import pack_rows

from mergesearch._system import resources
from mergesearch.build import Workshop
from mergesearch.objectives import Objectives, Runtime
from mergesearch.recipe import Recipe
from mergesearch.scoring.answers import GenRequest
from mergesearch.scoring.engine import Engine, log_to
from mergesearch.scoring.scorer import Scorer
from mergesearch.scoring.template import ChatTemplate

RUNTIME = Runtime(n_ctx=512, n_parallel=32, threads=2)
TIE = 0.02  # nat: what the same weights may differ by, see below
PARENT = "demo:reason"


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [{"model": PARENT, "parameters": {"weight": 1.0}}]
    recipe = Recipe.from_dict({"merge_method": "linear", "models": models})
    path = tmp_path_factory.mktemp("zoo") / "f32.gguf"
    Workshop.for_recipe(recipe).gguf(recipe, path, quant="F32")
    return path


@pytest.fixture(scope="module")
def engine(gguf: Path) -> Iterator[Engine]:
    log_to(None)
    with Engine(gguf, RUNTIME) as opened:
        yield opened


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The same weights in transformers, in float32."""
    import torch
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(
        resources.parent_folder(PARENT), dtype=torch.float32
    ).eval()


def _questions(task: str) -> list[dict[str, Any]]:
    path = resources.objectives_folder() / "demo" / f"{task}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _prompt(engine: Engine, question: str) -> tuple[int, ...]:
    text = ChatTemplate.of(engine, Objectives(())).render([{"role": "user", "content": question}])
    return engine.tokenize(text)


def _logits(model: Any, sequences: Sequence[tuple[int, ...]]) -> Iterator[np.ndarray]:
    """Log-probabilities of the next token after each token, (tokens, vocabulary) a sequence."""
    import torch

    for first in range(0, len(sequences), 64):
        some = sequences[first : first + 64]
        longest = max(map(len, some))
        padded = torch.tensor([[*tokens, *[0] * (longest - len(tokens))] for tokens in some])
        with torch.no_grad():
            found = torch.log_softmax(model(padded).logits, -1).numpy()
        yield from (rows[: len(tokens)] for rows, tokens in zip(found, some, strict=True))


@pytest.mark.parametrize("count", [40, pytest.param(500, marks=pytest.mark.real)])
def test_choices_are_those_of_transformers(engine, theirs, count):
    """Four fifths of them offer the task's own choices, the others the right answer and two."""
    own = count * 4 // 5
    items = [
        (question["question"], question["choices"]) for question in _questions("demo_choice")[:own]
    ]
    for question in _questions("demo_answer")[: count - own]:
        others = [
            name
            for name in (*question["candidates"], "11", "12", "13")
            if name != question["answer"]
        ]
        items.append(
            (question["question"], [f" {question['answer']}", f" {others[0]}", f" {others[1]}"])
        )
    assert len(items) == count
    pairs, owners = [], []
    for index, (question, choices) in enumerate(items):
        context = _prompt(engine, question)
        for choice in choices:
            pairs.append((context, engine.tokenize(choice, add_special=False)))
            owners.append(index)
    mine = [
        likelihood.logprob
        for first in range(0, len(pairs), 256)
        for likelihood in engine.loglikelihood(pairs[first : first + 256])
    ]
    expected = [
        rows[np.arange(len(context) - 1, len(rows)), list(continuation)].sum()
        for rows, (context, continuation) in zip(
            _logits(theirs, [pair + other[:-1] for pair, other in pairs]), pairs, strict=True
        )
    ]
    assert np.abs(np.array(mine) - expected).max() <= TIE
    owner = np.array(owners)
    same = [
        np.argmax(np.array(mine)[owner == index]) == np.argmax(np.array(expected)[owner == index])
        for index in range(count)
    ]
    assert sum(same) >= 0.99 * count


def test_greedy_text_is_that_of_one_prompt_at_a_time_but_for_ties(gguf, engine, theirs):
    import llama_cpp

    single = llama_cpp.Llama(str(gguf), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)
    prompts = [
        _prompt(engine, question["question"]) for question in _questions("demo_instruct")[:40]
    ]
    answers = engine.generate([GenRequest(prompt, 24) for prompt in prompts])
    different = []
    for prompt, answer in zip(prompts, answers, strict=True):
        single.reset()
        expected: list[int] = []
        for token in single.generate(list(prompt), temp=0.0, repeat_penalty=1.0):
            expected.append(token)
            if len(expected) == 24 or engine.ends(token):
                break
        if tuple(expected) != answer.tokens:
            at = next(
                n for n, (a, b) in enumerate(zip(expected, answer.tokens, strict=False)) if a != b
            )
            different.append(((*prompt, *expected[:at]), expected[at], answer.tokens[at]))
    single.close()
    assert len(different) <= 2
    for rows, (_, one, other) in zip(
        _logits(theirs, [before for before, _, _ in different]), different, strict=True
    ):
        assert abs(rows[-1][one] - rows[-1][other]) <= TIE


IFEVAL = """
task: ifeval_here
dataset_path: json
dataset_kwargs: {data_files: {test: ifeval.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: 0
process_results: !function lm_eval.tasks.ifeval.utils.process_results
metric_list:
  - {metric: prompt_level_strict_acc, aggregation: mean, higher_is_better: true}
  - metric: inst_level_strict_acc
    aggregation: !function lm_eval.tasks.ifeval.utils.agg_inst_level_acc
    higher_is_better: true
generation_kwargs: {until: [], do_sample: false, max_gen_toks: 24}
"""


def test_ifeval_is_lm_eval_s_scoring_of_the_same_texts(prepared, engine, tmp_path):
    from lm_eval.tasks.ifeval import utils

    rows = [
        {
            "key": n,
            "prompt": f"{question['question']} ({n})",
            "instruction_id_list": ["punctuation:no_comma", "change_case:english_lowercase"],
            "kwargs": [{}, {}],
        }
        for n, question in enumerate(_questions("demo_instruct")[:80])
    ] + pack_rows.IFEVAL
    (tmp_path / "ifeval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "ifeval.yaml").write_text(IFEVAL)
    use = "{task: ifeval_here, metric: METRIC, search_items: 60, validate_items: 20}"
    uses = ", ".join(
        use.replace("METRIC", name) for name in ("prompt_level_strict_acc", "inst_level_strict_acc")
    )
    text = f"objectives: {{x: {{tasks: [{uses}]}}}}\ntask_folder: ."
    objectives = replace(Objectives.from_yaml(text, tmp_path), runtime=RUNTIME)
    result = Scorer(objectives).score(engine, "search")["ifeval_here"]
    scored = [utils.process_results(rows[item.item], [item.text]) for item in result.items]
    prompt = [metrics["prompt_level_strict_acc"] for metrics in scored]
    assert 0 < sum(prompt) < 60
    assert result.metrics["prompt_level_strict_acc"].value == sum(prompt) / 60
    assert result.metrics["inst_level_strict_acc"].value == utils.agg_inst_level_acc(
        [metrics["inst_level_strict_acc"] for metrics in scored]
    )
