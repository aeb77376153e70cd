"""Models with a new vocabulary in the hands of those who read them: transformers and llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
import torch
from helpers.parents import TEXTS, make_parent, make_tokenizer
from tokenizers import AddedToken
from tokenizers import Tokenizer as Library
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from mergesearch.build import Workshop
from mergesearch.recipe import Recipe
from mergesearch.vocabulary.chat import BUILT_IN

TALK = "<|call|>The quick brown fox<think>jumps<|end|>"


def add_tokens(folder: Path, special: list[str], plain: list[str]) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in plain])
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Parents of one family, each with added tokens of its own; only the first is tied."""
    a = make_parent(tmp_path / "a", 0, vocab_size=368, tie_word_embeddings=True)
    b = make_parent(tmp_path / "b", 1, eos_token_id=361)
    add_tokens(a, ["<|tool|>"], [])
    add_tokens(b, ["<|call|>", "<|stop|>"], ["<think>"])
    settings = json.loads((b / "tokenizer_config.json").read_text())
    (b / "tokenizer_config.json").write_text(json.dumps(settings | {"eos_token": "<|stop|>"}))
    return a, b


def recipe(two: tuple[Path, Path], **keys: Any) -> Recipe:
    models = [{"model": str(folder), "parameters": {"weight": 0.5}} for folder in two]
    return Recipe.from_dict({"merge_method": "linear", "models": models} | keys)


def test_transformers_loads_a_union(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Texts are encoded as by the parent that knows their tokens, and the model takes them."""
    made = recipe(two, tokenizer={"source": "union", "pad_to_multiple_of": 8}, dtype="float32")
    Workshop.for_recipe(made).safetensors(made, tmp_path / "out")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    assert len(tokenizer) == 364
    assert model.get_input_embeddings().weight.shape == (368, 64)
    assert not model.config.tie_word_embeddings
    first, second = (PreTrainedTokenizerFast.from_pretrained(folder) for folder in two)
    for text in TEXTS:
        assert tokenizer(text).input_ids == first(text).input_ids
    assert tokenizer.tokenize(TALK) == second.tokenize(TALK)
    assert tokenizer.tokenize("x<|tool|>y") == first.tokenize("x<|tool|>y")
    assert tokenizer.all_special_tokens == first.all_special_tokens
    with torch.no_grad():
        assert model(torch.tensor([tokenizer(TALK).input_ids])).logits.shape[-1] == 368


def test_a_family_of_its_own_loads_a_union(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Of the added tokens Qwen's class takes those that tokenizer_config.json lists, if any."""
    file = two[0] / "tokenizer_config.json"
    settings = json.loads(file.read_text()) | {"tokenizer_class": "Qwen2Tokenizer"}
    settings |= dict.fromkeys(("pad_token", "unk_token", "bos_token"), "<|end|>")
    document = json.loads((two[0] / "tokenizer.json").read_text())
    settings["added_tokens_decoder"] = {
        str(token["id"]): {key: value for key, value in token.items() if key != "id"}
        for token in document["added_tokens"]
    }
    file.write_text(json.dumps(settings))
    made = recipe(two, tokenizer_source="union")
    Workshop.for_recipe(made).safetensors(made, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert type(tokenizer).__name__ == "Qwen2Tokenizer"
    assert len(tokenizer) == 364
    assert tokenizer.tokenize("<|call|><think><|tool|>") == ["<|call|>", "<think>", "<|tool|>"]


def test_special_ids_follow_the_tokenizer(two: tuple[Path, Path], tmp_path: Path) -> None:
    """b's end of text is row 361 of b's vocabulary; the config came from a."""
    made = recipe(two, tokenizer_source=str(two[1]))
    Workshop.for_recipe(made).safetensors(made, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["vocab_size"], config["eos_token_id"]) == (363, 361)
    with Workshop.for_recipe(made).candidate(made) as built:
        llama = llama_cpp.Llama(str(built.path), vocab_only=True, verbose=False)
        assert llama.token_eos() == 361


def test_llama_cpp_loads_a_union(two: tuple[Path, Path], tmp_path: Path) -> None:
    """It splits texts as the library does, and the template is the one that was asked for."""
    made = recipe(two, tokenizer_source="union", chat_template="chatml")
    Workshop.for_recipe(made).gguf(made, tmp_path / "m.gguf")
    llama = llama_cpp.Llama(str(tmp_path / "m.gguf"), n_ctx=128, verbose=False, logits_all=True)
    assert llama.n_vocab() == 364
    assert llama.metadata["tokenizer.chat_template"] == BUILT_IN["chatml"]
    Workshop.for_recipe(made).safetensors(made, tmp_path / "out")
    library = Library.from_file(str(tmp_path / "out" / "tokenizer.json"))
    for text in (*TEXTS, TALK, "x<|tool|>y"):
        ids = llama.tokenize(text.encode(), add_bos=False, special=True)
        assert ids == library.encode(text).ids, text
    llama.eval(ids)
    assert np.isfinite(llama.scores[: len(ids)]).all()


def test_a_gguf_gives_its_tokenizer(two: tuple[Path, Path], tmp_path: Path) -> None:
    """A GGUF as the only parent: the exported folder encodes as the one it was made of."""
    alone = {"merge_method": "passthrough", "models": [{"model": str(two[1])}]}
    source = Recipe.from_dict(alone)
    Workshop.for_recipe(source).gguf(source, tmp_path / "b.gguf", quant="Q4_0")
    made = Recipe.from_dict(alone | {"models": [{"model": str(tmp_path / "b.gguf")}]})
    Workshop.for_recipe(made).safetensors(made, tmp_path / "out")
    before, after = (
        PreTrainedTokenizerFast.from_pretrained(folder) for folder in (two[1], tmp_path / "out")
    )
    for text in (*TEXTS, TALK):
        assert after(text).input_ids == before(text).input_ids
    assert after.chat_template == before.chat_template
    assert after.eos_token == before.eos_token


def test_a_gguf_beside_a_folder(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Both have the same tokens, so no tokenizer needs to be named."""
    alone = Recipe.from_dict({"merge_method": "passthrough", "models": [{"model": str(two[1])}]})
    Workshop.for_recipe(alone).gguf(alone, tmp_path / "b.gguf", quant="Q4_0")
    made = recipe((tmp_path / "b.gguf", two[1]))
    with Workshop.for_recipe(made).candidate(made) as built:
        llama = llama_cpp.Llama(str(built.path), vocab_only=True, verbose=False)
        folder = Library.from_file(str(two[1] / "tokenizer.json"))
        ids = llama.tokenize(TALK.encode(), add_bos=False, special=True)
        assert ids == folder.encode(TALK).ids


def test_llama_cpp_splits_texts_as_gemma_4_does(tmp_path: Path) -> None:
    """By merges, with spaces as letters, and bytes where nothing else has a character."""
    folder = make_parent(tmp_path / "a", arch="gemma4_text", tokenizer="gemma")
    made = Recipe.from_dict({"merge_method": "linear", "models": [{"model": str(folder)}]})
    Workshop.for_recipe(made).gguf(made, tmp_path / "m.gguf", quant="F16")
    llama = llama_cpp.Llama(str(tmp_path / "m.gguf"), vocab_only=True, verbose=False)
    assert llama.metadata["tokenizer.ggml.model"] == "gemma4"
    library = Library.from_file(str(folder / "tokenizer.json"))
    for text in (*TEXTS, "\n\n\n", "  two\n\n\nand  three   "):
        expected = library.encode(text, add_special_tokens=False).ids
        assert llama.tokenize(text.encode(), add_bos=False) == expected, text
