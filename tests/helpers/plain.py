"""The methods that the kernels compute, as plain NumPy on whole tensors: the readable reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Floats = np.ndarray


def linear(inputs: Sequence[Floats], weights: Sequence[float], divisor: float = 1.0) -> Floats:
    """Products and sums in float32, in the order of the inputs."""
    total = inputs[0] * np.float32(weights[0])
    for one, weight in zip(inputs[1:], weights[1:], strict=True):
        total = total + one * np.float32(weight)
    return total / np.float32(divisor)


def task_arithmetic(
    base: Floats,
    inputs: Sequence[Floats],
    weights: Sequence[float],
    divisor: float = 1.0,
    scale: float = 1.0,
) -> Floats:
    """Base + scale * linear(deltas)."""
    delta = linear([one - base for one in inputs], weights, divisor)
    return delta * np.float32(scale) + base


def trimmed(delta: Floats, density: float) -> Floats:
    """The delta's entries of largest magnitude, earlier ones among equals, by a stable sort."""
    if density >= 1:
        return delta
    kept = max(1, int(density * delta.size)) if density > 0 else 0
    order = np.argsort(-np.abs(delta).reshape(-1), kind="stable")[:kept]
    mask = np.zeros(delta.size, dtype=bool)
    mask[order] = True
    return delta * mask.reshape(delta.shape)


def restored(delta: Floats, sparse: Floats) -> Floats:
    """The sparse delta with the delta's sum of magnitudes."""
    before, after = (float(np.abs(one).sum(dtype=np.float64)) for one in (delta, sparse))
    return sparse * np.float32(before / after) if min(before, after) >= 1e-7 else sparse


def ties(
    base: Floats,
    inputs: Sequence[Floats],
    weights: Sequence[float],
    densities: Sequence[float],
    normalize: bool,
    rescale: bool,
    scale: float,
) -> Floats:
    """Trim, elect a sign per entry, and add what agrees."""
    deltas = []
    for one, weight, density in zip(inputs, weights, densities, strict=True):
        delta = one - base
        sparse = trimmed(delta, density)
        if rescale and density < 1:
            sparse = restored(delta, sparse)
        deltas.append(sparse * np.float32(weight))
    total = deltas[0]
    for delta in deltas[1:]:
        total = total + delta
    merged, divisor = np.zeros_like(base), np.zeros_like(base)
    for delta, weight in zip(deltas, weights, strict=True):
        agrees = np.where(total >= 0, delta > 0, delta < 0)
        merged = merged + delta * agrees
        divisor = divisor + np.float32(weight) * agrees
    if normalize:
        merged = merged / np.where(divisor == 0, np.float32(1), divisor)
    return merged * np.float32(scale) + base
