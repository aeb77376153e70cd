"""Each method on single tensors against a short formulation in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.blockwise import merge, random_tensors
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.methods import METHODS, Base

RNG = np.random.default_rng(7)
BASE, A, B = (RNG.standard_normal((6, 8)).astype(np.float32) for _ in range(3))


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(array).double() for array in arrays]


@pytest.mark.parametrize("normalize", [True, False])
def test_linear(normalize: bool) -> None:
    found = merge("linear", None, A, B, weight=(0.5, 1.5), normalize=normalize)
    a, b = tensors(A, B)
    expected = (0.5 * a + 1.5 * b) / (2.0 if normalize else 1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-7)


@pytest.mark.parametrize("normalize", [True, False])
def test_task_arithmetic(normalize: bool) -> None:
    values = {"weight": (0.5, 0.9), "normalize": normalize, "lambda": 0.8}
    base, a, b = tensors(BASE, A, B)
    delta = 0.5 * (a - base) + 0.9 * (b - base)
    expected = base + 0.8 * delta / (1.4 if normalize else 1.0)
    np.testing.assert_allclose(
        merge("task_arithmetic", BASE, A, B, **values), expected, rtol=0, atol=5e-7
    )


def test_task_arithmetic_of_one_parent_with_weight_one_is_that_parent() -> None:
    base = np.zeros_like(A)
    assert np.array_equal(merge("task_arithmetic", base, A), A)


def test_weights_that_cancel_are_not_normalized() -> None:
    """A sum of weights of zero divides by one."""
    found = merge("task_arithmetic", BASE, A, B, weight=(1.0, -1.0), normalize=True)
    np.testing.assert_allclose(found, BASE + (A - B), rtol=0, atol=1e-6)


@pytest.mark.parametrize("normalize", [True, False])
def test_ties(normalize: bool) -> None:
    """Trim by rank, elect the sign of the sum, add or average what agrees."""
    values = {"weight": (0.6, 1.1), "density": (0.5, 0.3), "normalize": normalize, "lambda": 1.3}
    base, a, b = tensors(BASE, A, B)
    weighted = []
    for parent, weight, density in ((a, 0.6, 0.5), (b, 1.1, 0.3)):
        delta = (parent - base).float().double().flatten()
        kept = torch.zeros_like(delta)
        top = delta.abs().topk(int(density * delta.numel())).indices
        kept[top] = delta[top]
        weighted.append(weight * kept.reshape(base.shape))
    stack = torch.stack(weighted)
    elected = torch.where(stack.sum(0) >= 0, 1.0, -1.0)
    agrees = stack.sign() == elected
    merged = (stack * agrees).sum(0)
    divisor = (torch.tensor([0.6, 1.1]).double()[:, None, None] * agrees).sum(0)
    if normalize:
        merged = merged / torch.where(divisor == 0, 1.0, divisor)
    np.testing.assert_allclose(
        merge("ties", BASE, A, B, **values), base + 1.3 * merged, rtol=0, atol=1e-6
    )


def test_ties_by_hand() -> None:
    """Density one half of four entries; a tie of signs counts as positive."""
    base = np.zeros((1, 4), np.float32)
    a = np.array([[4.0, -3.0, 1.0, 0.5]], np.float32)
    b = np.array([[-4.0, -1.0, 0.1, 9.0]], np.float32)
    assert merge("ties", base, a, b, density=(0.5, 0.5)).tolist() == [[4.0, -3.0, 0.0, 9.0]]


@pytest.mark.parametrize("t", [0.0, 0.25, 1.0])
def test_slerp(t: float) -> None:
    base, a = (tensor.flatten() for tensor in tensors(BASE, A))
    angle = torch.arccos(torch.dot(base, a) / (base.norm() * a.norm()))
    expected = torch.sin((1 - t) * angle) * base + torch.sin(t * angle) * a
    expected = (expected / torch.sin(angle)).reshape(BASE.shape)
    np.testing.assert_allclose(merge("slerp", BASE, A, t=t), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", [2.0, -2.0, 0.0])
def test_slerp_of_parallel_tensors_is_linear(factor: float) -> None:
    """Parallel and opposite tensors, and a zero one, need no angle."""
    other = BASE * np.float32(factor)
    found = merge("slerp", BASE, other, t=0.25)
    if factor:
        np.testing.assert_allclose(found, 0.75 * BASE + 0.25 * other, rtol=0, atol=1e-6)
    assert np.isfinite(found).all()


def test_passthrough_scales_its_input() -> None:
    assert np.array_equal(merge("passthrough", None, A), A)
    assert np.array_equal(merge("passthrough", None, A, scale=(-0.5,)), A * -0.5)


VALUES = {
    "weight": (0.4, 0.9, -0.2),
    "density": (0.5, 0.3, 0.7),
    "gamma": (0.1, 0.1, 0.1),
    "scale": (1.5,),
    "select_topk": 0.6,
    "t": 0.5,
}


def inputs_of(method: str, count: int) -> int:
    """How many of so many parents a method merges."""
    return min(count, METHODS[method].most or count)


@pytest.mark.parametrize("method", METHODS)
def test_the_cut_into_blocks_does_not_matter(method: str) -> None:
    """Every method's rows are the same to the bit, computed alone or together."""
    base = None if METHODS[method].base in (Base.COUNTED, Base.UNUSED) else BASE
    inputs = [A, B][: inputs_of(method, 2)]
    values = VALUES | {"epsilon": (0.2, 0.2) if method.startswith("della") else 1e-5}
    values |= {"normalize": True, "rescale": True, "filter_wise": True, "nuslerp_flatten": False}
    given = {"counted": [2], "noise_keys": (1, 2)} | values
    whole = merge(method, base, *inputs, **given)
    assert np.array_equal(merge(method, base, *inputs, merged=range(1, 6), **given), whole)


WITHOUT_SUMS = ("linear", "ties", "nearswap", "arcee_fusion", "ram", "ramplus_tl", "median")


@given(
    method=st.sampled_from(sorted(METHODS)),
    places=st.sets(st.integers(1, 5)).map(sorted),
    seed=st.integers(0, 1000),
)
def test_statistics_do_not_depend_on_the_blocks(method: str, places: list[int], seed: int) -> None:
    """Those that count give the same bits; float64 sums agree to float32's last place."""
    base, *parents = random_tensors(seed, 4)
    inputs = parents[: inputs_of(method, 3)]
    values = VALUES | {"epsilon": (0.2, 0.2, 0.1) if method.startswith("della") else 0.7}
    values |= {"normalize": method == "linear", "rescale": False, "noise_keys": (1, 2, 3)}
    apart = None if METHODS[method].base in (Base.COUNTED, Base.UNUSED) else base
    whole = merge(method, apart, *inputs, **values)
    found = merge(method, apart, *inputs, counted=places, merged=places, **values)
    if method in WITHOUT_SUMS:
        assert np.array_equal(found, whole)
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)
