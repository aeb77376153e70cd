"""What scoring takes of memory, known before llama.cpp runs, and whether KV caches fit."""

from __future__ import annotations

from dataclasses import dataclass

from mergesearch.errors import ObjectivesError
from mergesearch.objectives import KV_BYTES, KvType, Runtime

LIKELIHOOD_CELLS = 256
"""KV cells of one pack of log-likelihoods: a token attends over all of them, so more is slower."""

LOGITS_BYTES = 1 << 26
"""Bytes of one decode's logits at most; bounds memory where the vocabulary is large."""

UBATCH = 512
"""Tokens that llama.cpp computes at once."""

SMALL_MODEL_BYTES = 1 << 28
"""Bytes of a GGUF up to which decoders of one thread each are faster than one of many threads."""

SMALL_CACHE = "kv_type: q8_0 with flash_attention: true"
"""Settings of the smallest cache; llama.cpp quantizes one only with flash attention."""

_CELLS = 256  # llama.cpp rounds the cells of a sequence up to this
_SHARE = 0.9  # share of the free memory for caches; the rest is for logits and buffers
_HIDDEN_STATES = 8  # hidden states that llama.cpp keeps at once, measured


@dataclass(frozen=True)
class ModelSizes:
    """The sizes of a model that its caches and buffers depend on; 0 where one is not known.

    Attributes:
        layers: Number of layers.
        heads: Number of query heads of a layer.
        kv_heads: Number of key-value heads of a layer.
        head_width: Number of values of a head's key, and of its value.
        hidden: Width of the hidden states.
        vocabulary: Number of columns of the logits.
        context: Number of tokens that it was made for; None: not known.
    """

    layers: int
    heads: int
    kv_heads: int
    head_width: int
    hidden: int
    vocabulary: int
    context: int | None = None


@dataclass(frozen=True)
class ScoringMemory:
    """Bytes of main memory, apart from the candidate, that scoring takes at most.

    Attributes:
        repacked: Bytes of llama.cpp's copy of the weights, laid out for the processor's kernels.
        kv: Bytes of the caches of generation and of log-likelihoods.
        buffers: Bytes of logits and of what llama.cpp computes in.
    """

    repacked: int
    kv: int
    buffers: int


def scoring_memory(size: int, shape: ModelSizes, runtime: Runtime, cores: int) -> ScoringMemory:
    """Return what scoring a candidate takes at most, if its items fill the context.

    What lies on a GPU is not counted: all of its layers' weights, caches and buffers.

    Args:
        size: Bytes of the candidate.
        cores: Number of cores, which are used where the runtime names no threads.
    """
    decoders = n_decoders(size, runtime, cores)
    # src/llama-model.cpp, load_tensors: the last layers and the head go to the GPU
    here = max(0, min(shape.layers, shape.layers + 1 - runtime.n_gpu_layers))
    cells = rounded_cells(min(runtime.n_ctx, shape.context or runtime.n_ctx))
    packed = rounded_cells(2 * max(LIKELIHOOD_CELLS, cells))
    token = kv_bytes(
        layers=here,
        heads=shape.kv_heads,
        key_width=shape.head_width,
        value_width=shape.head_width,
        kv_type=runtime.kv_type,
    )
    computed = _compute_bytes(shape, runtime, cells) + _compute_bytes(shape, runtime, packed)
    return ScoringMemory(
        repacked=size * here // max(1, shape.layers),
        kv=decoders * token * ((runtime.n_parallel + 1) * cells + packed),
        buffers=decoders * (min(LOGITS_BYTES, 4 * runtime.n_batch * shape.vocabulary) + computed),
    )


def _compute_bytes(shape: ModelSizes, runtime: Runtime, cells: int) -> int:
    """What a context of `cells` for each sequence computes in, a little more than measured.

    Hidden states and the mask always; the larger of logits and attention scores, which flash
    attention never stores, unless a GPU computes them.
    """
    columns = _HIDDEN_STATES * shape.hidden + cells
    if runtime.n_gpu_layers == 0:
        scores = 0 if runtime.flash_attention else shape.heads * cells
        columns += max(shape.vocabulary, scores)
    return 4 * min(UBATCH, runtime.n_batch) * columns


def n_decoders(size: int, runtime: Runtime, cores: int) -> int:
    """Return how many decoders work side by side, each with caches of its own.

    Args:
        size: Bytes of the model.
        cores: Number of cores, which are used where the runtime names no threads.
    """
    alone = size > SMALL_MODEL_BYTES or runtime.n_gpu_layers > 0
    return 1 if alone else runtime.threads or cores


def rounded_cells(cells: int) -> int:
    """Return the cells that llama.cpp makes of so many for a sequence."""
    return -(-cells // _CELLS) * _CELLS


def kv_bytes(*, layers: int, heads: int, key_width: int, value_width: int, kv_type: KvType) -> int:
    """Return the bytes that one token takes in the KV cache of a transformer.

    Args:
        layers: Number of layers with attention.
        heads: Number of key-value heads of a layer.
        key_width: Number of values of a head's key.
        value_width: Number of values of a head's value.
        kv_type: Type of the cache's values.
    """
    return int(layers * heads * (key_width + value_width) * KV_BYTES[kv_type])


def check_fits(n_parallel: int, cells: int, cell_bytes: int, decoders: int, available: int) -> None:
    """Refuse KV caches larger than `available` bytes.

    Args:
        n_parallel: Number of sequences decoded together.
        cells: Number of tokens that a sequence may have.
        cell_bytes: Bytes of a token.
        decoders: Number of decoders that each have a cache.
        available: Bytes that are free.

    Raises:
        ObjectivesError: The caches do not fit; it names the `n_parallel` that would.
    """
    sequence_bytes = cells * cell_bytes * decoders
    sequences = n_parallel + 1  # one for what prompts share
    if sequences * sequence_bytes <= _SHARE * available:
        return
    fitting = max(0, int(_SHARE * available // sequence_bytes) - 1)
    shared = f" in {decoders} decoders" if decoders > 1 else ""
    raise ObjectivesError(
        f"the KV cache of {n_parallel} sequences of {cells} tokens and a shared one takes "
        f"{sequences * sequence_bytes / 1e9:.1f} GB{shared}, "
        f"and {available / 1e9:.1f} GB is free",
        where="runtime.n_parallel",
        expected=f"at most {fitting}" if fitting else "less than even one sequence takes",
        fix=f"set runtime: {{n_parallel: {fitting}}}, or {SMALL_CACHE}"
        if fitting
        else f"lower runtime.n_ctx, or set {SMALL_CACHE}",
    )
