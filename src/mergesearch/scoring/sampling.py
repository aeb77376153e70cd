"""Sampled answers: which token comes next, from the logits and a seeded generator."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Sampling:
    """How an answer is sampled.

    Attributes:
        temperature: Divisor of the logits, above 0.
        top_k: Number of the likeliest tokens that are drawn from; 0: all.
        top_p: Sum of probabilities that the fewest likeliest of those must reach to be drawn from.
        seed: Seed of the answer's own generator.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def generator(self) -> np.random.Generator:
        """Return the generator that the answer's tokens are drawn with, one number a token."""
        return np.random.Generator(np.random.PCG64(self.seed))


def sampling_options(options: Mapping[str, Any]) -> Sampling | None:
    """Return how a task's `generation_kwargs` sample, None where they are greedy.

    What they leave out has no effect: no temperature is 1, no top_k is all tokens.
    """
    temperature = float(options.get("temperature", 1.0))
    if not options.get("do_sample") or temperature <= 0:
        return None
    return Sampling(temperature, int(options.get("top_k") or 0), float(options.get("top_p") or 1.0))


def item_seed(task: str, item: int | None, request: int, repeat: int) -> int:
    """Return the seed of one answer: a hash of what it answers, not of when."""
    text = f"{task}\0{item}\0{request}\0{repeat}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def draw(
    logits: npt.NDArray[np.float32], sampling: Sampling, generator: np.random.Generator
) -> int:
    """Draw a token: temperature, then top_k, then top_p, as transformers' warpers in this order.

    (transformers/generation/logits_process.py, `TopKLogitsWarper`, `TopPLogitsWarper`)

    Args:
        logits: Logits of the next token, (n_vocab,).
        generator: Source of one uniform number.
    """
    scaled = logits.astype(np.float64) / sampling.temperature
    kept = np.arange(len(scaled))
    if 0 < sampling.top_k < len(scaled):
        threshold = np.partition(scaled, -sampling.top_k)[-sampling.top_k]
        kept = np.flatnonzero(scaled >= threshold)
    weights = np.exp(scaled[kept] - scaled.max())
    if sampling.top_p < 1.0:
        order = np.argsort(-weights, kind="stable")
        mass = np.cumsum(weights[order])
        count = int(np.searchsorted(mass, sampling.top_p * mass[-1])) + 1
        inside = np.sort(order[:count])
        kept, weights = kept[inside], weights[inside]
    mass = np.cumsum(weights)
    at = int(np.searchsorted(mass, generator.random() * mass[-1], side="right"))
    return int(kept[min(at, len(kept) - 1)])
