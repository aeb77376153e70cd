"""Every merge method as plain NumPy on whole tensors: the readable reference for the kernels.

Selections are made by sorting. Arithmetic is float32, in the order of the inputs; what concerns a
whole tensor is summed in float64, block by block of rows, as NumPy sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from mergesearch.methods import Settings
from mergesearch.methods.medians import weiszfeld
from mergesearch.methods.spheres import karcher_mean

Floats = np.ndarray


@dataclass(frozen=True)
class Tensor:
    """One whole tensor of every input.

    Attributes:
        base: Matrix of the base, float32; None where no base is apart.
        inputs: Matrices of the other parents, float32.
        settings: Parameters of the method.
        edges: First row of every block that sums are taken over, but the first.
        noise_keys: Key of each input's random numbers.
    """

    base: Floats | None
    inputs: Sequence[Floats]
    settings: Settings
    edges: Sequence[int] = ()
    noise_keys: Sequence[int] = ()

    @property
    def vectors(self) -> list[Floats]:
        """The deltas, or the inputs where there is no base."""
        if self.base is None:
            return list(self.inputs)
        return [values - self.base for values in self.inputs]

    def summed(self, function: Callable[..., Any], *matrices: Floats) -> Any:
        """The sum of what a function gives for each block of rows."""
        blocks = [slice(*ends) for ends in pairwise([0, *self.edges, len(matrices[0])])]
        return reduce(np.add, [function(*(matrix[rows] for matrix in matrices)) for rows in blocks])

    def gram(self, vectors: Sequence[Floats], axis: int | None = None) -> Floats:
        """Inner products of all pairs, shape `(n, n)` and what is left."""

        def product(a: Floats, b: Floats) -> Any:
            return np.sum(a.astype(np.float64) * b.astype(np.float64), axis=axis)

        summed = (lambda f, *ab: f(*ab)) if axis == -1 else self.summed
        return np.array([[summed(product, a, b) for b in vectors] for a in vectors])


def noise(key: int, offset: int, size: int) -> Floats:
    """The 32-bit random numbers of the flat indices from `offset` on."""
    first, skipped = divmod(offset, 8)
    words = np.random.Philox(key=key, counter=first).random_raw((skipped + size + 8) // 2)
    return words.view(np.uint32)[skipped : skipped + size]


def weighted_sum(arrays: Sequence[Floats], weights: Sequence[Any]) -> Floats:
    total = arrays[0] * np.float32(weights[0])
    for array, weight in zip(arrays[1:], weights[1:], strict=True):
        total = total + array * np.float32(weight)
    return total


def on_base(tensor: Tensor, merged: Floats) -> Floats:
    return merged if tensor.base is None else merged + tensor.base


def sum_of_weights(tensor: Tensor) -> np.float32:
    weights = np.array(tensor.settings["weight"], np.float32)
    return reduce(np.add, weights, np.float32(0))


def linear(tensor: Tensor) -> Floats:
    divisor = sum_of_weights(tensor) if tensor.settings["normalize"] else np.float32(1)
    return weighted_sum(tensor.inputs, tensor.settings["weight"]) / divisor


def passthrough(tensor: Tensor) -> Floats:
    return tensor.inputs[0] * np.float32(tensor.settings["scale"][0])


# The task-arithmetic family: which entries of a delta stay, and what the deltas agree on.


def by_magnitude(magnitudes: Floats, dropped: int, count: int) -> Floats:
    """The `count` largest after the `dropped` largest, earlier ones among equals."""
    order = np.argsort(-magnitudes.reshape(-1), kind="stable")[dropped : dropped + count]
    kept = np.zeros(magnitudes.size, dtype=bool)
    kept[order] = True
    return kept.reshape(magnitudes.shape)


def largest(tensor: Tensor, index: int, delta: Floats) -> Floats:
    density = tensor.settings["density"][index]
    count = max(1, int(density * delta.size)) if density > 0 else 0
    return by_magnitude(np.abs(delta), 0, count)


def without_outliers(tensor: Tensor, index: int, delta: Floats) -> Floats:
    count = int(tensor.settings["density"][index] * delta.size)
    dropped = int(tensor.settings["gamma"][index] * delta.size)
    return by_magnitude(np.abs(delta), min(dropped, delta.size - count), count)


def threshold(chance: Any) -> Floats:
    return np.clip(np.floor(np.multiply(chance, 2**32)), 0, 2**32 - 1).astype(np.uint32)


def random(tensor: Tensor, index: int, delta: Floats) -> Floats:
    numbers = noise(tensor.noise_keys[index], 0, delta.size)
    return numbers.reshape(delta.shape) < threshold(tensor.settings["density"][index])


def by_rank(tensor: Tensor, index: int, delta: Floats) -> Floats:
    density, cols = tensor.settings["density"][index], delta.shape[1]
    steps = np.linspace(-1.0, 1.0, cols) if cols > 1 else np.zeros(1)
    chances = threshold(density + tensor.settings["epsilon"][index] * steps)
    ranks = np.argsort(np.argsort(np.abs(delta), axis=1, kind="stable"), axis=1)
    numbers = noise(tensor.noise_keys[index], 0, delta.size).reshape(delta.shape)
    return (numbers < chances[ranks]) & (density > 0)


def sparse(tensor: Tensor, kept_by: Callable[[Tensor, int, Floats], Floats]) -> list[Floats]:
    """The deltas with what does not stay multiplied by zero, and their sums kept if `rescale`."""

    def one(index: int, delta: Floats) -> Floats:
        if tensor.settings["density"][index] >= 1:
            return delta
        left = delta * kept_by(tensor, index, delta)
        if not tensor.settings["rescale"]:
            return left
        before, after = (
            tensor.summed(lambda rows: float(np.abs(rows).sum(dtype=np.float64)), values)
            for values in (delta, left)
        )
        usable = before >= 1e-7 and after >= 1e-7
        return left * np.float32(before / after if usable else 1.0)

    return [one(index, delta) for index, delta in enumerate(tensor.vectors)]


def agreeing(deltas: Sequence[Floats]) -> list[Floats]:
    """Which entries have the sign of the sum of all; zero counts as positive."""
    total = reduce(np.add, deltas)
    return [np.where(total >= 0, delta > 0, delta < 0) for delta in deltas]


def add(tensor: Tensor, weighted: Sequence[Floats]) -> Floats:
    divisor = sum_of_weights(tensor)
    usable = tensor.settings["normalize"] and abs(divisor) >= 1e-8
    return reduce(np.add, weighted) / (divisor if usable else np.float32(1))


def elect(tensor: Tensor, weighted: Sequence[Floats]) -> Floats:
    merged, divisor = np.zeros_like(weighted[0]), np.zeros_like(weighted[0])
    agrees = agreeing(weighted)
    for delta, weight, agree in zip(weighted, tensor.settings["weight"], agrees, strict=True):
        merged = merged + delta * agree
        divisor = divisor + np.float32(weight) * agree
    if tensor.settings["normalize"]:
        merged = merged / np.where(divisor == 0, np.float32(1), divisor)
    return merged


def family(consensus: Any, kept_by: Any = None) -> Callable[[Tensor], Floats]:
    def merge(tensor: Tensor) -> Floats:
        deltas = tensor.vectors if kept_by is None else sparse(tensor, kept_by)
        pairs = zip(deltas, tensor.settings["weight"], strict=True)
        merged = consensus(tensor, [delta * np.float32(weight) for delta, weight in pairs])
        return on_base(tensor, merged * np.float32(tensor.settings["lambda"]))

    return merge


def sce(tensor: Tensor) -> Floats:
    deltas, share = tensor.vectors, tensor.settings["select_topk"]
    if share < 1:
        variance = np.var(np.stack(deltas), axis=0, dtype=np.float64).astype(np.float32)
        selected = by_magnitude(variance, 0, int(np.count_nonzero(variance) * share))
        deltas = [delta * selected for delta in deltas]
    squares = [float(square) for square in np.diag(tensor.gram(deltas))]
    total, count = sum(squares), len(squares)
    if total / deltas[0].size < 1e-6:
        weights = [1.0 / count] * count
    else:
        weights = [square / total for square in squares]
    merged, divisor = np.zeros_like(deltas[0]), np.zeros_like(deltas[0])
    for delta, weight, agree in zip(deltas, weights, agreeing(deltas), strict=True):
        merged = merged + delta * (np.float32(weight) * agree)
        divisor = divisor + np.float32(weight) * agree
    return on_base(tensor, merged / np.maximum(divisor, np.float32(1e-6)))


# Methods of inner products: combinations of the vectors.


def slerp(tensor: Tensor) -> Floats:
    ends, t = [tensor.base, *tensor.inputs], tensor.settings["t"]
    products = tensor.gram(ends)
    norms = np.sqrt(np.diag(products))
    cosine = products[0, 1] / np.prod(np.where(norms > 1e-8, norms, 1.0))
    cosine = max(-1.0, min(1.0, float(cosine)))
    if abs(cosine) > 0.9995:
        return weighted_sum(ends, (1.0 - t, t))
    angle = np.arccos(cosine)
    return weighted_sum(ends, [np.sin(part * angle) / np.sin(angle) for part in (1.0 - t, t)])


def nuslerp(tensor: Tensor) -> Floats:
    flatten, columns = (tensor.settings[f"nuslerp_{key}"] for key in ("flatten", "row_wise"))
    products = tensor.gram(tensor.vectors, None if flatten else 0 if columns else -1)
    if not flatten and not columns:
        products = products[..., None]
    elif columns and not flatten and len(tensor.vectors[0]) == 1:
        products = products.sum(axis=-1)
    total = sum(tensor.settings["weight"])
    t = 0.5 if abs(total) < 1e-6 else tensor.settings["weight"][1] / total
    lengths = [np.maximum(np.sqrt(products[index, index]), 1e-7) for index in (0, 1)]
    cosine = np.clip(products[0, 1] / (lengths[0] * lengths[1]), -1.0, 1.0)
    straight = 1.0 - cosine * cosine <= 1e-16
    angle = np.arccos(np.where(straight, 0.0, cosine))
    sine = np.where(straight, 1.0, np.sin(angle))
    first, second = (
        np.where(straight, part, np.sin(part * angle) / sine).astype(np.float32)
        for part in (1.0 - t, t)
    )
    return on_base(tensor, tensor.vectors[0] * first + tensor.vectors[1] * second)


def model_stock(tensor: Tensor) -> Floats:
    of_rows, count = tensor.settings["filter_wise"], len(tensor.inputs)
    products = tensor.gram(tensor.vectors, -1 if of_rows else None)
    products = products[..., None] if of_rows else products
    cosines = []
    for i, j in combinations(range(count), 2):
        length = np.maximum(np.sqrt(products[i, i]) * np.sqrt(products[j, j]), 1e-6)
        cosines.append(np.clip(products[i, j] / length, -1.0, 1.0))
    cosine = np.mean(cosines, axis=0)
    divisor = 1.0 + (count - 1) * cosine
    singular = np.abs(divisor) < 1e-6
    t = np.where(singular, 0.0, count * cosine / np.where(singular, 1.0, divisor))
    mean = reduce(np.add, tensor.inputs) / np.float32(count)
    return mean * t.astype(np.float32) + tensor.base * (1.0 - t).astype(np.float32)


def multislerp(tensor: Tensor) -> Floats:
    if len(tensor.inputs) == 1:
        return tensor.inputs[0]
    products, eps = tensor.gram(tensor.vectors), tensor.settings["eps"]
    lengths, weights = np.sqrt(np.diag(products)), np.array(tensor.settings["weight"])
    if tensor.settings["normalize_weights"]:
        weights = weights / weights.sum()
    if lengths.any():
        units = weights / (lengths + eps)
        mean = np.sqrt(np.maximum(units @ products @ units, 0.0))
        if mean >= max(eps, 1e-7 * np.abs(weights).sum()):
            weights = units * ((lengths @ weights) * np.cos(eps) / mean)
        elif len(weights) > 2:
            weights = np.full(len(weights), np.nan)
    return on_base(tensor, weighted_sum(tensor.vectors, weights))


def karcher(tensor: Tensor) -> Floats:
    if len(tensor.inputs) == 1:
        return tensor.inputs[0]
    products, settings = tensor.gram(tensor.inputs), tensor.settings
    return weighted_sum(
        tensor.inputs, karcher_mean(products, settings["max_iter"], settings["tol"])
    )


def geometric_median(tensor: Tensor) -> Floats:
    wide = np.stack(tensor.inputs).astype(np.float64)
    products = tensor.gram(list(wide - (wide.mean(axis=0) + np.median(wide, axis=0)) / 2))
    start = np.diag(products)
    coefficients = weiszfeld(np.maximum(start[:, None] + start - 2.0 * products, 0.0), start)
    first, merged = tensor.inputs[0], np.zeros_like(tensor.inputs[0])
    for values, coefficient in zip(tensor.inputs[1:], coefficients[1:], strict=True):
        merged = merged + (values - first) * np.float32(coefficient)
    return merged + first


# Methods of single entries.


def median(tensor: Tensor) -> Floats:
    return np.median(np.stack(tensor.inputs), axis=0)


def ram(tensor: Tensor, strengthened: bool = False) -> Floats:
    deltas, epsilon = tensor.vectors, tensor.settings["epsilon"]
    changed = [np.abs(delta) > np.float32(epsilon) for delta in deltas]
    count = np.sum(changed, axis=0)
    merged = np.zeros_like(deltas[0])
    for delta, mask in zip(deltas, changed, strict=True):
        merged = merged + delta * mask
    merged = merged / np.maximum(count, 1).astype(np.float32)
    for mask in changed if strengthened else ():
        shared, alone = mask & (count > 1), mask & (count == 1)
        rho = shared.sum() / max(alone.sum(), epsilon)
        factor = 1.0 + tensor.settings["r"] * np.clip(rho, 0.0, tensor.settings["alpha"])
        merged = merged * np.where(alone, np.float32(factor), np.float32(1))
    return on_base(tensor, merged)


def nearswap(tensor: Tensor) -> Floats:
    difference = np.abs(tensor.base - tensor.inputs[0])
    share = np.float32(tensor.settings["t"]) / np.maximum(difference, np.float32(1e-6))
    share = np.minimum(share, np.float32(1))
    return share * tensor.inputs[0] + (np.float32(1) - share) * tensor.base


def divergences(values: Floats, base: Floats) -> Floats:
    """KL(softmax(values) || softmax(base)) of each row, float64."""

    def softmax(rows: Floats) -> Floats:
        wide = rows.astype(np.float64)
        raised = np.exp(wide - wide.max(axis=-1, keepdims=True))
        return raised / raised.sum(axis=-1, keepdims=True) + 1e-8

    chances, others = softmax(values), softmax(base)
    return np.maximum(np.sum(chances * np.log(chances / others), axis=-1), 0.0)


def arcee_fusion(tensor: Tensor, divergence: Floats | None = None) -> Floats:
    """With the divergence of each row, where it is known better than NumPy gives it."""
    delta = tensor.vectors[0]
    if divergence is None:
        divergence = divergences(tensor.inputs[0], tensor.base).astype(np.float32)
    importance = np.abs(delta) * divergence[:, None]
    ranks = [int(share * (delta.size - 1)) for share in (0.25, 0.5, 0.75)]
    lower, middle, upper = np.sort(importance.reshape(-1))[ranks]
    reached = importance >= np.float32(middle + np.float32(1.5) * (upper - lower))
    return on_base(tensor, delta * reached)


METHODS: dict[str, Callable[[Tensor], Floats]] = {
    "linear": linear,
    "passthrough": passthrough,
    "task_arithmetic": family(add),
    "ties": family(elect, largest),
    "dare_linear": family(add, random),
    "dare_ties": family(elect, random),
    "della_linear": family(add, by_rank),
    "della": family(elect, by_rank),
    "breadcrumbs": family(add, without_outliers),
    "breadcrumbs_ties": family(elect, without_outliers),
    "sce": sce,
    "model_stock": model_stock,
    "slerp": slerp,
    "nuslerp": nuslerp,
    "multislerp": multislerp,
    "karcher": karcher,
    "median": median,
    "geometric_median": geometric_median,
    "ram": ram,
    "ramplus_tl": lambda tensor: ram(tensor, strengthened=True),
    "nearswap": nearswap,
    "arcee_fusion": arcee_fusion,
}
