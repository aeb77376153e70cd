"""Tiny random parents in Hugging Face layout, for tests that need real files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from mergesearch.gguf import layout_of
from mergesearch.recipe import Recipe
from mergesearch.vocabulary.pre_tokenizers import WORDS

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|end|>", "<|user|>", "<|assistant|>"]
TEXTS = [
    "The quick brown fox jumps over the lazy dog, doesn't it?",
    "Anna has 12 apples and gives 5 to Ben; they're left with 7.",
    "  Two spaces, a tab\tand\n\nnewlines.  ",
    "Überraschung! 東京 🦙 naïve café 3333 33333",
    "WORDS IN CAPITALS'LL BE FINE, I'M SURE; x = y + 42 / 7.5",
]
ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "gemma4_text": "Gemma4ForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "olmo2": "Olmo2ForCausalLM",
    "granite": "GraniteForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
    "glm4": "Glm4ForCausalLM",
    "olmo3": "Olmo3ForCausalLM",
    "granitemoehybrid": "GraniteMoeHybridForCausalLM",
    "ministral3": "Ministral3ForCausalLM",
    "qwen3_5_text": "Qwen3_5ForCausalLM",
}
_GEMMA = {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 16}
_GEMMA |= {"hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True}
OWN: dict[str, dict[str, Any]] = {
    "qwen3": {"head_dim": 32},
    "gemma2": _GEMMA | {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
    "gemma3_text": _GEMMA
    | {"num_hidden_layers": 7, "rope_local_base_freq": 5000.0, "rope_theta": 1e6},
    "gemma4_text": {
        "rope_theta": None,
        "hidden_activation": "gelu_pytorch_tanh",
        "tie_word_embeddings": True,
        "head_dim": 16,
        "global_head_dim": 32,
        "sliding_window": 16,
        "num_hidden_layers": 5,
        "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": 384,
        "num_kv_shared_layers": 2,
        "use_double_wide_mlp": True,
        "final_logit_softcapping": 30.0,
        "layer_types": [
            *("sliding_attention", "sliding_attention", "full_attention"),
            *("sliding_attention", "full_attention"),
        ],
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 5000.0},
            "full_attention": {
                "rope_type": "proportional",
                "rope_theta": 1e6,
                "partial_rotary_factor": 0.25,
            },
        },
    },
    "phi3": {"original_max_position_embeddings": 256, "pad_token_id": 0, "sliding_window": 128},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    | {"norm_topk_prob": True, "head_dim": 32},
    "granite": {"attention_multiplier": 0.2, "embedding_multiplier": 3.0}
    | {"residual_multiplier": 0.7, "logits_scaling": 4.0},
    "smollm3": {"pad_token_id": 0},
    "qwen3_5_text": {
        "head_dim": 32,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "num_hidden_layers": 4,
    },
    "granitemoehybrid": {"num_local_experts": 0, "num_experts_per_tok": 0}
    | {"position_embedding_type": "rope", "shared_intermediate_size": 96}
    | {"layer_types": ["attention"] * 2},
    "olmo3": {"sliding_window": 16, "pad_token_id": 0},
    "glm4": {"head_dim": 16, "attention_bias": True, "pad_token_id": 0},
}


def make_config(arch: str = "qwen2", **changes: Any) -> dict[str, Any]:
    """A config.json with hidden size 64, grouped queries and few layers, with `changes`."""
    config: dict[str, Any] = {
        "architectures": [ARCHITECTURES[arch]],
        "model_type": arch,
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 384,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": 0,
        "torch_dtype": "bfloat16",
    }
    return config | OWN.get(arch, {}) | changes


def make_weights(
    config: dict[str, Any], seed: int, scale: float = 0.3, dtype: torch.dtype = torch.bfloat16
) -> dict[str, torch.Tensor]:
    """Random weights of every tensor that the config describes; norms scale by about 1."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    layout = layout_of(config, "test")
    middle = 1 - layout.family.norm_shift
    for name, shape in layout.tensor_shapes().items():
        values = torch.randn(shape, generator=generator)
        spread = scale if len(shape) < 2 else scale * 4 / shape[1] ** 0.5
        weights[name] = (values * spread + middle * ("norm.weight" in name)).to(dtype)
    return weights


def make_tokenizer(kind: str = "gpt-2", size: int = 360, texts: Sequence[str] = TEXTS) -> Tokenizer:
    """A small BPE tokenizer; `kind` is llama.cpp's name of its pre-tokenizer.

    Trained once: the trainer breaks ties between rare characters by chance.
    """
    return Tokenizer.from_str(_trained(kind, size, tuple(texts)))


@lru_cache
def _trained(kind: str, size: int, texts: tuple[str, ...]) -> str:
    if kind in ("spm", "gemma"):
        return str(_make_sentencepiece_like(size, prefix=kind == "spm").to_str())
    tokenizer = Tokenizer(models.BPE(ignore_merges=kind == "llama-bpe"))
    byte_level = pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=kind in ("gpt-2", "smollm")
    )
    first: dict[str, list[Any]] = {
        "gpt-2": [],
        "smollm": [pre_tokenizers.Digits(individual_digits=True)],
    }
    digits = {"qwen2": "", "llama-bpe": "{1,3}"}.get(kind, "")
    split = pre_tokenizers.Split(_regex(WORDS % digits), "isolated")
    steps = [*first.get(kind, [split]), byte_level]
    tokenizer.pre_tokenizer = steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return str(tokenizer.to_str())


def _regex(pattern: str) -> Any:
    from tokenizers import Regex

    return Regex(pattern)


def _make_sentencepiece_like(size: int, *, prefix: bool) -> Tokenizer:
    """A BPE with byte fallback, and a space before the text as in converted Llama 2 tokenizers."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    before = [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        limit_alphabet=60,
        show_progress=False,
    )
    words = [word for text in TEXTS for word in text.split(" ") if word]
    tokenizer.train_from_iterator(words, trainer)
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [
        token for token in document["added_tokens"] if not token["content"].startswith("<0x")
    ]
    document["decoder"] = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            *([{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []),
        ],
    }
    return Tokenizer.from_str(json.dumps(document))


def write_tokenizer(folder: Path, kind: str = "gpt-2", size: int = 360) -> None:
    """Write tokenizer.json and tokenizer_config.json with a chat template."""
    make_tokenizer(kind, size).save(str(folder / "tokenizer.json"))
    spm = kind in ("spm", "gemma")
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "</s>" if spm else "<|end|>",
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
    }
    if spm:
        settings |= {"bos_token": "<s>", "unk_token": "<unk>", "add_bos_token": kind == "gemma"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def write_parent(
    folder: Path,
    config: dict[str, Any],
    weights: dict[str, torch.Tensor],
    *,
    shards: int = 1,
    tokenizer: str | None = "gpt-2",
) -> Path:
    """Write a parent's folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        _write_shards(folder, weights, shards)
    if tokenizer is not None:
        write_tokenizer(folder, tokenizer)
    return folder


def _write_shards(folder: Path, weights: dict[str, torch.Tensor], shards: int) -> None:
    places = {}
    for index, names in enumerate(np.array_split(list(weights), shards)):
        file = f"model-{index + 1:05d}-of-{shards:05d}.safetensors"
        save_file({str(name): weights[str(name)] for name in names}, folder / file)
        places |= {str(name): file for name in names}
    text = json.dumps({"metadata": {}, "weight_map": places})
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def make_parent(
    folder: Path,
    seed: int = 0,
    *,
    arch: str = "qwen2",
    shards: int = 1,
    tokenizer: str | None = "gpt-2",
    dtype: torch.dtype = torch.bfloat16,
    **changes: Any,
) -> Path:
    """Write one random parent; `changes` go into its config."""
    config = make_config(arch, **changes)
    weights = make_weights(config, seed, dtype=dtype)
    return write_parent(folder, config, weights, shards=shards, tokenizer=tokenizer)


def make_family(folder: Path, names: tuple[str, ...] = ("base", "a", "b"), **options: Any) -> Any:
    """Write several parents of one shape; returns their folders by name as strings."""
    return {
        name: str(make_parent(folder / name, seed, **options)) for seed, name in enumerate(names)
    }


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
