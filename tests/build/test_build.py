"""Whole candidates: loaded by llama.cpp, equal to transformers, the same bytes every time."""

from __future__ import annotations

import hashlib
import os
import platform
import threading
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
import torch
from helpers.parents import TEXTS, make_config, make_family, make_parent, make_weights, write_parent
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from mergesearch import build as build_module
from mergesearch.build import (
    Workshop,
    gguf_file,
    open_gguf,
)
from mergesearch.errors import (
    BuildError,
    CheckpointError,
    InputError,
    Interrupted,
    RecipeError,
)
from mergesearch.parents import open_parents
from mergesearch.recipe import Recipe


def recipe_of(family: dict[str, str], method: str = "linear", **changes: Any) -> Recipe:
    """A merge of a and b, onto the base where the method takes one."""
    own = {"weight": [0.3, 0.9]} | ({"density": 0.5} if method == "ties" else {})
    models: list[dict[str, Any]] = [
        {"model": family["a"], "parameters": dict(own)},
        {"model": family["b"], "parameters": dict(own, weight=0.6)},
    ]
    document = {"merge_method": method, "base_model": family["base"], "models": models}
    if method == "slerp":
        models = [{"model": family["a"]}, {"model": family["b"]}]
        document |= {"models": models, "base_model": family["a"], "parameters": {"t": [0.2, 0.7]}}
    return Recipe.from_dict(document | changes)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_family(tmp_path_factory.mktemp("family"), hidden_size=256, intermediate_size=512)


def load(path: Path, **options: Any) -> llama_cpp.Llama:
    return llama_cpp.Llama(str(path), n_ctx=128, verbose=False, **options)


@pytest.mark.parametrize("method", ["linear", "task_arithmetic", "ties", "slerp"])
def test_bytes_do_not_depend_on_threads_or_place(
    method: str, family: dict[str, str], tmp_path: Path
) -> None:
    """One thread or two, memory or file: one digest, that of the file's bytes."""
    recipe = recipe_of(family, method)
    parents = open_parents(recipe)
    with (
        Workshop(parents, threads=1).candidate(recipe) as one,
        Workshop.for_recipe(recipe, threads=2).candidate(recipe) as two,
    ):
        data = two.path.read_bytes()
        assert one.path.read_bytes() == data
        assert (one.digest, one.size) == (two.digest, two.size) == (_sha256(data), len(data))
    assert Workshop(parents).gguf(recipe, tmp_path / "m.gguf") == _sha256(data)
    with open_gguf(tmp_path / "m.gguf") as opened:
        assert (opened.digest, opened.size) == (_sha256(data), len(data))
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_bytes_do_not_depend_on_the_parents_place(tmp_path: Path) -> None:
    """The same parents in other folders give the same file."""
    digests = []
    for place in ("here", "elsewhere"):
        recipe = recipe_of(make_family(tmp_path / place))
        with Workshop.for_recipe(recipe).candidate(recipe) as one:
            digests.append(one.digest)
    assert digests[0] == digests[1]


def test_block_size_does_not_change_the_values(
    family: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows merged in small pieces equal whole tensors, ties' thresholds included."""
    recipe = recipe_of(family, "ties")
    parents = open_parents(recipe)
    with Workshop(parents).candidate(recipe) as whole:
        expected = whole.digest
    monkeypatch.setattr("mergesearch.merge.rows.BLOCK_ELEMENTS", 1 << 11)
    with Workshop(parents).candidate(recipe) as pieces:
        assert pieces.digest == expected


@pytest.mark.parametrize("method", ["linear", "ties"])
def test_threads_that_share_the_statistics_of_a_stage_give_the_same_bytes(
    method: str, family: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage and a stored parent, in blocks so small that every tensor has many."""
    monkeypatch.setattr("mergesearch.merge.rows.BLOCK_ELEMENTS", 1 << 11)
    stage = {"name": "mix", "merge_method": "ties", "base_model": family["base"]}
    stage["models"] = [
        {"model": family[one], "parameters": {"density": 0.4, "weight": 0.8}} for one in "ab"
    ]
    models = [{"model": "mix"}, {"model": family["b"]}]
    recipe = recipe_of(family, method, models=models, stages=[stage])
    digests = set()
    for threads in (1, 2, 3):
        with Workshop.for_recipe(recipe, threads=threads).candidate(recipe) as built:
            digests.add(built.digest)
    assert len(digests) == 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="elsewhere compilers may fuse")
@pytest.mark.parametrize(
    ("method", "digest"),
    [
        ("linear", "21b69da2016997f44ce2e1d82f87690e09a74ad3f7ae0461370ce25182701720"),
        ("task_arithmetic", "30ab17100503d3da164421b5fefb3f1f30a8e4b295259f59561606159112d491"),
        ("ties", "26132275bc78be09b5abbca5c0fe9e241f539fdc67c92536639658264be1f37e"),
    ],
)
def test_published_recipes_keep_their_bytes(method: str, digest: str) -> None:
    """Of recipes over the bundled parents: what was found once can be built again."""
    own: dict[str, Any] = {"weight": 0.3 if method == "linear" else 0.7}
    own |= {"density": 0.4} if method == "ties" else {}
    models = [
        {"model": "demo:instruct", "parameters": own},
        {"model": "demo:reason", "parameters": own | {"weight": [0.2, 1.1]}},
    ]
    document: dict[str, Any] = {"merge_method": method, "models": models}
    document |= {} if method == "linear" else {"base_model": "demo:base"}
    recipe = Recipe.from_dict(document)
    with Workshop.for_recipe(recipe).candidate(recipe) as built:
        assert built.digest == digest


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
    parents = open_parents(recipe)
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


def test_safetensors_folder_loads(family: dict[str, str], tmp_path: Path) -> None:
    """The folder holds the merge in bfloat16 and the tokenizer; a frankenmerge has its layers."""
    slices = [
        {"sources": [{"model": family["a"], "layer_range": span}]} for span in ([0, 2], [1, 2])
    ]
    recipe = Recipe.from_dict({"merge_method": "linear", "slices": slices})
    Workshop.for_recipe(recipe).safetensors(recipe, tmp_path / "m")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    parent = AutoModelForCausalLM.from_pretrained(family["a"])
    assert model.config.num_hidden_layers == 3
    assert model.dtype == torch.bfloat16
    expected = parent.model.layers[1].mlp.down_proj.weight
    for layer in (1, 2):
        assert torch.equal(model.model.layers[layer].mlp.down_proj.weight, expected)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    assert tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)


def test_safetensors_are_sharded(
    family: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights above the limit are cut into shards that are read back to the same merge."""
    recipe = recipe_of(family, dtype="float32")
    parents = open_parents(recipe)
    monkeypatch.setattr("mergesearch.build.folder.SHARD_BYTES", 1_000_000)
    Workshop(parents).safetensors(recipe, tmp_path / "m")
    assert len(list((tmp_path / "m").glob("model-*-of-*.safetensors"))) > 2
    again = Recipe.from_dict({"merge_method": "linear", "models": [{"model": str(tmp_path / "m")}]})
    rebuilt = Workshop.for_recipe(again).gguf(again, tmp_path / "again.gguf")
    assert rebuilt == Workshop(parents).gguf(recipe, tmp_path / "once.gguf")


def test_full_safetensors_folder_is_refused(family: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    recipe = recipe_of(family)
    with pytest.raises(InputError, match="not empty"):
        Workshop.for_recipe(recipe).safetensors(recipe, tmp_path)


def test_numbers_that_are_not_finite_leave_nothing(family: dict[str, str], tmp_path: Path) -> None:
    """A merge that divides by zero names the tensor; no file and no descriptor stays."""
    recipe = recipe_of(family)
    models = [
        {"model": family["a"], "parameters": {"weight": 1.0}},
        {"model": family["b"], "parameters": {"weight": -1.0}},
    ]
    recipe = Recipe.from_dict({"merge_method": "linear", "models": models})
    parents = open_parents(recipe)
    before = len(os.listdir("/proc/self/fd"))
    for build in (
        lambda: Workshop(parents).candidate(recipe),
        lambda: Workshop(parents).gguf(recipe, tmp_path / "m.gguf"),
        lambda: Workshop(parents).safetensors(recipe, tmp_path / "m"),
    ):
        with pytest.raises(BuildError, match="embed_tokens"):
            build()
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_overflow_in_float16_output_is_refused(tmp_path: Path) -> None:
    config = make_config()
    weights = make_weights(config, 0)
    weights["model.norm.weight"][3] = 1e6
    folder = write_parent(tmp_path / "a", config, weights)
    recipe = Recipe.from_dict(
        {"merge_method": "linear", "models": [{"model": str(folder)}], "dtype": "float16"}
    )
    with pytest.raises(BuildError, match=r"model\.norm\.weight"):
        Workshop.for_recipe(recipe).safetensors(recipe, tmp_path / "m")


def test_closing_is_idempotent_and_removes_temporary_files(
    family: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where there is no memfd, the temporary file goes with the candidate."""
    recipe = recipe_of(family)
    parents = open_parents(recipe)
    monkeypatch.delattr(build_module.files.os, "memfd_create")
    monkeypatch.setattr(build_module.files.tempfile, "tempdir", str(tmp_path))
    built = Workshop(parents).candidate(recipe)
    assert built.path.parent == tmp_path
    built.close()
    built.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_a_build_that_is_stopped_leaves_nothing(
    threads: int, family: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, stop, written = recipe_of(family), threading.Event(), []
    parents = open_parents(recipe)
    Workshop(parents).candidate(recipe).close()
    write_rows = gguf_file._write_rows

    def write_and_stop(*arguments: Any) -> None:
        write_rows(*arguments)
        written.append(arguments)
        if len(written) == 3:
            stop.set()

    monkeypatch.setattr(gguf_file, "_write_rows", write_and_stop)
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    with pytest.raises(Interrupted, match="the build was stopped"):
        Workshop(parents, threads=threads).candidate(recipe, stop=stop)
    assert 3 <= len(written) <= 2 + threads  # what was under way is finished
    after = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    assert len(after) == len(before)


def test_open_gguf_refuses_other_files(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="not a GGUF"):
        open_gguf(tmp_path / "m.gguf")
    with pytest.raises(CheckpointError, match="cannot be read"):
        open_gguf(tmp_path / "absent.gguf")


def test_tokenizer_source_picks_the_vocabulary(tmp_path: Path) -> None:
    """Parents with other vocabularies need a source; then the result carries that one."""
    a = make_parent(tmp_path / "a", 0, tokenizer="gpt-2")
    b = make_parent(tmp_path / "b", 1, tokenizer="qwen2")
    document = {"merge_method": "linear", "models": [{"model": str(a)}, {"model": str(b)}]}
    recipe = Recipe.from_dict(document)
    with pytest.raises(CheckpointError, match="differ in token"):
        Workshop.for_recipe(recipe).candidate(recipe)
    for source, name in ((str(a), "gpt-2"), (str(b), "qwen2"), ("union", "gpt-2")):
        recipe = Recipe.from_dict(document | {"tokenizer_source": source})
        with Workshop.for_recipe(recipe).candidate(recipe) as built:
            assert load(built.path, vocab_only=True).metadata["tokenizer.ggml.pre"] == name
    recipe = Recipe.from_dict(document | {"tokenizer_source": "c"})
    with pytest.raises(RecipeError, match="source 'c' is no parent of this recipe"):
        Workshop.for_recipe(recipe).candidate(recipe)
