"""Vocabularies against mergekit itself: which tokens the result has, and their rows.

mergekit adds the tokens of a union in an order that changes from run to run, so rows are compared
by the token's text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from helpers.mergekit_runs import merged, run_mergekit, run_mergekit_multi
from helpers.parents import CHAT_TEMPLATE, TEXTS, make_parent, make_tokenizer
from tokenizers import AddedToken
from transformers import AutoTokenizer

from mergesearch.build import Workshop
from mergesearch.gguf import EMBEDDING, HEAD
from mergesearch.merge import plan_merge
from mergesearch.parents import open_parents
from mergesearch.recipe import Recipe

pytestmark = pytest.mark.mergekit

MORE = [*TEXTS[1:], "the tool, the fox and the apples; the fox thinks, the fox jumps"]


def write_vocabulary(
    folder: Path, texts: list[str], size: int, special: list[str], plain: list[str]
) -> None:
    tokenizer = make_tokenizer("gpt-2", size, texts)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in plain])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **dict.fromkeys(("eos_token", "pad_token", "unk_token"), "<|end|>"),
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def make_three(folder: Path, tied: tuple[bool, bool, bool]) -> dict[str, str]:
    """A base and two parents with other vocabularies, of other sizes and with other padding."""
    vocabularies: dict[str, Any] = {
        "base": (TEXTS, 340, ["<|pad|>"], [], 352),
        "a": (MORE, 350, ["<|tool|>", "<|pad|>"], ["<think>"], 360),
        "b": (TEXTS, 344, ["<|call|>"], ["<think>", "  "], 347),
    }
    family = {}
    for seed, (name, (texts, size, special, plain, rows)) in enumerate(vocabularies.items()):
        made = make_parent(
            folder / name,
            seed,
            dtype=torch.float32,
            tokenizer=None,
            vocab_size=rows,
            num_hidden_layers=1,
            tie_word_embeddings=tied[seed],
        )
        write_vocabulary(made, texts, size, special, plain)
        family[name] = str(made)
    return family


CHOICES: dict[str, Any] = {
    "union": {"source": "union"},
    "base": {"source": "base"},
    "a parent": {"source": "a"},
    "padded": {"source": "union", "pad_to_multiple_of": 64},
    "padded base": {"source": "base", "pad_to_multiple_of": 11},
    "tokens": {
        "source": "base",
        "tokens": {
            "<think>": {"source": "b"},
            "<|zero|>": {"source": {"kind": "zero"}},
            "<|new|>": {"source": {"kind": "model_token", "model": "a", "token": "Ġfox"}},
            "<|row|>": {"source": {"kind": "model_token", "model": "b", "token_id": 346}},
            "<|end|>": {
                "source": {"kind": "model_token", "model": "a", "token": "<|tool|>"},
                "force": True,
            },
            "<|user|>": {"source": {"kind": "zero"}},
            "e": {"source": "a", "force": True},
            "<|pad|>": {"source": {"kind": "zero"}},
        },
    },
}
TIED = {"untied": (False,) * 3, "tied": (True,) * 3, "mixed": (False, True, False)}


def linear(base: str | None, weights: list[float]) -> dict[str, Any]:
    models = [
        {"model": name, "parameters": {"weight": weight}}
        for name, weight in zip(("a", "b"), weights, strict=True)
    ]
    if base is None:
        return {"merge_method": "linear", "models": models}
    return {"merge_method": "task_arithmetic", "models": models, "base_model": base}


REFERRING = ("model", "source", "base_model", "tokenizer_source")


def placed(document: Any, family: dict[str, str]) -> Any:
    """A document with folders in place of names."""
    if isinstance(document, dict):
        return {
            key: family.get(value, value)
            if key in REFERRING and isinstance(value, str)
            else placed(value, family)
            for key, value in document.items()
        }
    return [placed(entry, family) for entry in document] if isinstance(document, list) else document


@pytest.mark.parametrize("tied", TIED)
@pytest.mark.parametrize("choice", CHOICES)
def test_rows_by_token(choice: str, tied: str, tmp_path: Path) -> None:
    family = make_three(tmp_path, TIED[tied])
    check(linear("base", [0.75, 0.5]) | {"tokenizer": CHOICES[choice]}, family, tmp_path / "out")


@pytest.mark.parametrize("source", ["b", "union"])
def test_without_a_base_several_parents_give_their_mean(source: str, tmp_path: Path) -> None:
    """Three parents of which two have a token."""
    family = make_three(tmp_path, TIED["untied"])
    document = linear(None, [0.75, 0.5]) | {"tokenizer_source": source}
    document["models"].insert(0, {"model": "base", "parameters": {"weight": 1.5}})
    check(document, family, tmp_path / "out")


@pytest.mark.parametrize("method", ["slerp", "ties", "model_stock"])
def test_methods_that_need_whole_tensors(method: str, tmp_path: Path) -> None:
    """Norms, thresholds and angles are those of the aligned rows."""
    family = make_three(tmp_path, TIED["mixed"])
    document: dict[str, Any] = {"merge_method": method, "base_model": "base"}
    document["models"] = [{"model": "a"}, {"model": "b"}]
    if method == "slerp":
        document |= {"models": [{"model": "base"}, {"model": "a"}], "parameters": {"t": 0.4}}
    if method == "ties":
        for model, weight in zip(document["models"], (0.6, 0.9), strict=True):
            model["parameters"] = {"weight": weight, "density": 0.5}
    check(document | {"tokenizer": {"source": "union"}}, family, tmp_path / "out")


def test_a_stage_has_the_tokenizer_of_its_own_document(tmp_path: Path) -> None:
    """The second document takes the first one's union; base and a are stored in it, b is not."""
    family = make_three(tmp_path, TIED["mixed"])
    stage = linear("base", [0.75, 0.5]) | {"name": "mix", "tokenizer": {"source": "union"}}
    del stage["models"][1]
    last = {
        "merge_method": "task_arithmetic",
        "base_model": "mix",
        "models": [{"model": "b", "parameters": {"weight": 0.4}}],
        "tokenizer": {"source": "union", "pad_to_multiple_of": 32},
    }
    documents = [placed(document, family) | {"dtype": "float32"} for document in (stage, last)]
    recipe = Recipe.from_yaml(yaml.dump_all(documents))
    expected = run_mergekit_multi(yaml.dump_all(documents), tmp_path / "out")
    compare(recipe, expected, tmp_path / "out" / "last")


@pytest.mark.parametrize("template", ["auto", "chatml", "{{ bos_token }}{{ messages[0].content }}"])
def test_chat_template(template: str, tmp_path: Path) -> None:
    """What a conversation becomes."""
    family = make_three(tmp_path, TIED["tied"])
    document = linear("base", [0.75, 0.5]) | {"tokenizer_source": "base"}
    document = placed(document, family) | {"chat_template": template}
    run_mergekit(document, tmp_path / "theirs")
    recipe = Recipe.from_dict(document)
    Workshop.for_recipe(recipe).safetensors(recipe, tmp_path / "ours")
    messages = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes?"}]
    rendered = [
        AutoTokenizer.from_pretrained(tmp_path / name).apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        for name in ("ours", "theirs")
    ]
    assert rendered[0] == rendered[1]
    assert "Hi." in rendered[0]


def check(document: dict[str, Any], family: dict[str, str], out: Path) -> None:
    document = placed(document, family)
    compare(Recipe.from_dict(document), run_mergekit(document, out), out)


def compare(recipe: Recipe, expected: dict[str, Any], out: Path) -> None:
    """Every tensor within 1e-6 of its largest value, vocabulary rows token by token."""
    plan = plan_merge(recipe, open_parents(recipe.parents()))
    assert plan.tokenizer is not None
    theirs = AutoTokenizer.from_pretrained(out).get_vocab()
    ours = {text: row for row, text in plan.tokenizer.tokens.items()}
    assert set(ours) == set(theirs)
    assert plan.config["vocab_size"] == json.loads((out / "config.json").read_text())["vocab_size"]
    texts = list(ours)
    mine, other = [ours[text] for text in texts], [theirs[text] for text in texts]
    assert set(plan.tensors) == set(expected)
    for tensor in plan.tensors.values():
        found, wanted = merged(plan, tensor.name), expected[tensor.name]
        assert tensor.shape == wanted.shape, tensor.name
        if tensor.name in (EMBEDDING, HEAD):
            pad = slice(len(texts), None)
            found = np.concatenate([found[mine], found[pad]])
            wanted = np.concatenate([wanted[other], wanted[pad]])
        worst = np.abs(found.reshape(wanted.shape) - wanted).max()
        assert worst <= 1e-6 * np.abs(wanted).max(), (tensor.name, worst)
