"""A merge as GGUF: the values that llama.cpp reads, equal to transformers and tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
import torch
from helpers.parents import TEXTS, make_family, make_parent, recipe_of
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from mergesearch.build import Workshop
from mergesearch.parents import open_parents
from mergesearch.recipe import Recipe


def load(path: Path, **options: Any) -> llama_cpp.Llama:
    return llama_cpp.Llama(str(path), n_ctx=128, verbose=False, **options)


def test_block_size_does_not_change_the_values(
    family: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows merged in small pieces equal whole tensors, ties' thresholds included."""
    recipe = recipe_of(family, "ties")
    parents = open_parents(recipe.parents())
    with Workshop(parents).candidate(recipe) as whole:
        expected = whole.digest
    monkeypatch.setattr("mergesearch.merge.rows.BLOCK_ELEMENTS", 1 << 11)
    with Workshop(parents).candidate(recipe) as pieces:
        assert pieces.digest == expected


class TableGelu(torch.nn.Module):
    """GELU as llama.cpp looks it up: by float16 in a table of float16, between -10 and 10."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        exact = torch.nn.functional.gelu(values.half().float(), approximate="tanh")
        beyond = torch.where(values > 0, values, 0.0)
        return torch.where(values.abs() < 10, exact.half().float(), beyond)


HALF = {"num_attention_heads": 2, "hidden_size": 128}
LONG = {
    "max_position_embeddings": 512,
    "rope_scaling": {
        "type": "longrope",
        "short_factor": [1.0 + 0.1 * place for place in range(8)],
        "long_factor": [1.0 + place for place in range(8)],
    },
}


@pytest.mark.parametrize(
    ("arch", "tokenizer", "changes"),
    [
        ("llama", "llama-bpe", {"num_key_value_heads": 2, "attention_bias": True}),
        ("llama", "smollm", {"tie_word_embeddings": True, "head_dim": 32}),
        (
            "llama",
            "gpt-2",
            {
                "rope_parameters": {
                    "rope_type": "llama3",
                    "rope_theta": 10000.0,
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 64,
                }
            },
        ),
        ("qwen2", "qwen2", {"num_key_value_heads": 1}),
        ("qwen2", "gpt-2", {"tie_word_embeddings": True}),
        ("mistral", "spm", {}),
        ("qwen3", "qwen2", {}),
        ("qwen3", "gpt-2", {"tie_word_embeddings": True, "num_key_value_heads": 4}),
        ("gemma2", "spm", {"num_hidden_layers": 3}),
        ("gemma3_text", "spm", {}),
        (
            "gemma3_text",
            "spm",
            {
                "rope_scaling": {"rope_type": "linear", "factor": 8.0},
                "final_logit_softcapping": 20.0,
            },
        ),
        ("phi3", "spm", {}),
        ("phi3", "spm", {"tie_word_embeddings": True, "partial_rotary_factor": 0.75} | HALF),
        ("phi3", "spm", LONG),
    ],
)
def test_logits_equal_transformers(
    arch: str, tokenizer: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    """llama.cpp on the F32 GGUF and transformers on the safetensors folder agree."""
    family = make_family(tmp_path / "parents", arch=arch, tokenizer=tokenizer, **changes)
    recipe = recipe_of(family, dtype="float32")
    parents = open_parents(recipe.parents())
    Workshop(parents).gguf(recipe, tmp_path / "m.gguf", quant="F32")
    Workshop(parents).safetensors(recipe, tmp_path / "m")
    ids = [(7 + 31 * place * place) % 350 for place in range(40)]
    model = AutoModelForCausalLM.from_pretrained(
        tmp_path / "m", dtype=torch.float32, attn_implementation="eager"
    )
    if arch.startswith("gemma"):
        for layer in model.model.layers:
            layer.mlp.act_fn = TableGelu()
    with torch.no_grad():
        expected = torch.log_softmax(model(torch.tensor([ids])).logits[0], -1).numpy()
    llama = load(tmp_path / "m.gguf", logits_all=True, type_k=0, type_v=0)
    llama.eval(ids)
    logits = torch.from_numpy(np.array(llama.scores[: len(ids)], dtype=np.float32))
    found = torch.log_softmax(logits, -1).numpy()
    # A rounding error can move a value to the next entry of the table.
    assert np.abs(found - expected).max() < (1e-3 if arch.startswith("gemma") else 1e-5)
    assert np.ptp(expected) > 3


@pytest.mark.parametrize("kind", ["gpt-2", "qwen2", "llama-bpe", "smollm", "spm"])
def test_tokens_equal_tokenizers(kind: str, tmp_path: Path) -> None:
    """llama.cpp splits text into the same tokens as the parent's tokenizer.json."""
    arch = "qwen2" if kind == "qwen2" else "llama"
    folder = make_parent(tmp_path / "a", arch=arch, tokenizer=kind)
    recipe = Recipe.from_dict({"merge_method": "linear", "models": [{"model": str(folder)}]})
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = [*TEXTS, "hello 2024", "we'll I'LL 1234567 a  b\r\n\tc", "日本語テキスト ü", "x"]
    with Workshop.for_recipe(recipe).candidate(recipe) as built:
        llama = load(built.path, vocab_only=True)
        for text in texts:
            found = llama.tokenize(text.encode(), add_bos=False, special=False)
            assert found == tokenizer.encode(text, add_special_tokens=False).ids, text
            assert llama.detokenize(found).decode().strip() == text.strip()
        if kind != "spm":
            special = "<|user|>hi<|end|>"
            ids = tokenizer.encode(special).ids
            assert llama.tokenize(special.encode(), add_bos=False, special=True) == ids


def test_quantized_candidate_generates(family: dict[str, str]) -> None:
    """The candidate carries its chat template and end token, and llama.cpp runs it."""
    recipe = recipe_of(family)
    with Workshop.for_recipe(recipe).candidate(recipe) as built:
        llama = load(built.path)
        assert "<|assistant|>" in llama.metadata["tokenizer.chat_template"]
        assert llama.token_eos() == 0
        answer = llama.create_completion("The quick", max_tokens=4, temperature=0.0)
        assert answer["usage"]["completion_tokens"] > 0
