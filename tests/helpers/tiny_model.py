"""A tiny random Qwen2 in memory and as GGUF, with a byte-level vocabulary of its own."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from mergesearch.objectives import Runtime

RUNTIME = Runtime(n_ctx=256, n_parallel=8, n_batch=256, chunk_items=8, threads=2)
HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, LAYERS = 256, 512, 4, 2, 3
EPS, THETA, CONTEXT = 1e-6, 10000.0, 1024
SPECIAL = ("<|end|>", "<|user|>", "<|bot|>")
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ '<|bot|>' + message['content'] + '<|end|>' }}{% else %}"
    "{{ '<|user|>' + message['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|bot|>' }}{% endif %}"
)
Weights = dict[str, npt.NDArray[np.float32]]


def vocabulary() -> tuple[list[str], list[str]]:
    """Tokens (specials, the 256 bytes, merged pairs) and merges of a byte-level BPE."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    for number, byte in enumerate(value for value in range(256) if value not in letters):
        letters[byte] = chr(256 + number)
    tokens = [*SPECIAL, *(letters[byte] for byte in range(256))]
    space = letters[32]
    merges = ["t h", "th e", f"{space} the", "a n", "an d", f"{space} and", f"{space} a", "e r"]
    return tokens + ["".join(merge.split(" ")) for merge in merges], merges


def random_weights(seed: int = 0, layers: int = LAYERS) -> Weights:
    """Weights under their GGUF names, wide enough that next tokens are rarely close."""
    rng = np.random.default_rng(seed)
    kv = HIDDEN * KV_HEADS // HEADS

    def matrix(rows: int, cols: int, scale: float = 1.0) -> npt.NDArray[np.float32]:
        return (rng.standard_normal((rows, cols)) * scale / np.sqrt(cols)).astype(np.float32)

    weights: Weights = {
        "token_embd.weight": matrix(len(vocabulary()[0]), HIDDEN, 4.0),
        "output_norm.weight": np.ones(HIDDEN, np.float32),
    }
    for layer in range(layers):
        for name, rows, cols in (
            ("attn_q", HIDDEN, HIDDEN),
            ("attn_k", kv, HIDDEN),
            ("attn_v", kv, HIDDEN),
            ("attn_output", HIDDEN, HIDDEN),
            ("ffn_gate", FEED_FORWARD, HIDDEN),
            ("ffn_up", FEED_FORWARD, HIDDEN),
            ("ffn_down", HIDDEN, FEED_FORWARD),
        ):
            weights[f"blk.{layer}.{name}.weight"] = matrix(rows, cols)
        for name, rows in (("attn_q", HIDDEN), ("attn_k", kv), ("attn_v", kv)):
            weights[f"blk.{layer}.{name}.bias"] = np.zeros(rows, np.float32)
        for name in ("attn_norm", "ffn_norm"):
            weights[f"blk.{layer}.{name}.weight"] = np.ones(HIDDEN, np.float32)
    return weights


def write_gguf(path: Path, weights: Weights, *, quantized: bool, template: str = TEMPLATE) -> Path:
    """Write the model, matrices as Q4_0 or F32."""
    tokens, merges = vocabulary()
    layers = sum(name.endswith("attn_norm.weight") for name in weights)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(layers)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(THETA)
    writer.add_layer_norm_rms_eps(EPS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    kinds = [gguf.TokenType.CONTROL] * len(SPECIAL)
    writer.add_token_types(kinds + [gguf.TokenType.NORMAL] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(merges)
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    if template:
        writer.add_chat_template(template)
    for name, value in weights.items():
        if quantized and value.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q4_0
            writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
