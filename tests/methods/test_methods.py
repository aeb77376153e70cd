"""Each method on single tensors against a short formulation in torch."""

from __future__ import annotations

from dataclasses import replace

import hypothesis
import numpy as np
import pytest
import torch
from helpers.blockwise import merge, random_tensors, rows_of
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.methods import METHODS, Block, Settings
from mergesearch.methods.blocks import Blocks
from mergesearch.recipe import METHOD_SPECS

RNG = np.random.default_rng(7)
BASE, A, B = (RNG.standard_normal((6, 8)).astype(np.float32) for _ in range(3))


def run(method: str, settings: Settings, base: np.ndarray, *inputs: np.ndarray) -> np.ndarray:
    """Merge whole tensors in one block."""
    chosen = METHODS[method]
    block = Block(base if chosen.takes_base else None, inputs, 0)
    statistics = None
    if chosen.statistics is not None:
        statistics = chosen.statistics(Blocks.of([block]), base.size, settings)
    return rows_of(chosen.merge(block, settings, statistics))


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(one).double() for one in arrays]


@pytest.mark.parametrize("normalize", [True, False])
def test_linear(normalize: bool) -> None:
    found = run("linear", Settings(weights=(0.5, 1.5), normalize=normalize), BASE, A, B)
    a, b = tensors(A, B)
    expected = (0.5 * a + 1.5 * b) / (2.0 if normalize else 1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-7)


@pytest.mark.parametrize("normalize", [True, False])
def test_task_arithmetic(normalize: bool) -> None:
    settings = Settings(weights=(0.5, 0.9), normalize=normalize, scale=0.8)
    base, a, b = tensors(BASE, A, B)
    delta = 0.5 * (a - base) + 0.9 * (b - base)
    expected = base + 0.8 * delta / (1.4 if normalize else 1.0)
    np.testing.assert_allclose(
        run("task_arithmetic", settings, BASE, A, B), expected, rtol=0, atol=5e-7
    )


def test_task_arithmetic_of_one_parent_with_weight_one_is_that_parent() -> None:
    base = np.zeros_like(A)
    assert np.array_equal(run("task_arithmetic", Settings(weights=(1.0,)), base, A), A)


def test_weights_that_cancel_are_not_normalized() -> None:
    """A sum of weights of zero divides by one."""
    settings = Settings(weights=(1.0, -1.0), normalize=True)
    found = run("task_arithmetic", settings, BASE, A, B)
    np.testing.assert_allclose(found, BASE + (A - B), rtol=0, atol=1e-6)


@pytest.mark.parametrize("normalize", [True, False])
def test_ties(normalize: bool) -> None:
    """Trim by rank, elect the sign of the sum, add or average what agrees."""
    settings = Settings(weights=(0.6, 1.1), densities=(0.5, 0.3), normalize=normalize, scale=1.3)
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
        run("ties", settings, BASE, A, B), base + 1.3 * merged, rtol=0, atol=1e-6
    )


def test_ties_by_hand() -> None:
    """Density one half of four entries; a tie of signs counts as positive."""
    base = np.zeros((1, 4), np.float32)
    a = np.array([[4.0, -3.0, 1.0, 0.5]], np.float32)
    b = np.array([[-4.0, -1.0, 0.1, 9.0]], np.float32)
    settings = Settings(weights=(1.0, 1.0), densities=(0.5, 0.5), normalize=True)
    assert run("ties", settings, base, a, b).tolist() == [[4.0, -3.0, 0.0, 9.0]]


@pytest.mark.parametrize("t", [0.0, 0.25, 1.0])
def test_slerp(t: float) -> None:
    base, a = (one.flatten() for one in tensors(BASE, A))
    angle = torch.arccos(torch.dot(base, a) / (base.norm() * a.norm()))
    expected = torch.sin((1 - t) * angle) * base + torch.sin(t * angle) * a
    expected = (expected / torch.sin(angle)).reshape(BASE.shape)
    np.testing.assert_allclose(run("slerp", Settings(t=t), BASE, A), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", [2.0, -2.0, 0.0])
def test_slerp_of_parallel_tensors_is_linear(factor: float) -> None:
    """Parallel and opposite tensors, and a zero one, need no angle."""
    other = BASE * np.float32(factor)
    found = run("slerp", Settings(t=0.25), BASE, other)
    if factor:
        np.testing.assert_allclose(found, 0.75 * BASE + 0.25 * other, rtol=0, atol=1e-6)
    assert np.isfinite(found).all()


def test_passthrough_scales_its_input() -> None:
    assert np.array_equal(run("passthrough", Settings(factors=(1.0,)), BASE, A), A)
    assert np.array_equal(run("passthrough", Settings(factors=(-0.5,)), BASE, A), A * -0.5)


@pytest.mark.parametrize("method", METHODS)
def test_the_cut_into_blocks_does_not_matter(method: str) -> None:
    """Every method's rows are the same to the bit, computed alone or together."""
    chosen = METHODS[method]
    inputs = [A] if method == "passthrough" else [A, B]
    settings = Settings(
        (0.4, 0.9), (0.5, 0.3), (0.1, 0.1), (0.2, 0.2), True, True, keys=(1, 2), factors=(1.5,)
    )
    settings = replace(settings, select_topk=0.6, filter_wise=True, flatten=False)

    def block(start: int, stop: int) -> Block:
        base = BASE[start:stop] if chosen.takes_base else None
        return Block(base, [one[start:stop] for one in inputs], start * BASE.shape[1])

    statistics = chosen.statistics and chosen.statistics(
        Blocks.of([block(0, 2), block(2, 6)]), BASE.size, settings
    )
    whole = rows_of(chosen.merge(block(0, 6), settings, statistics))
    parts = [rows_of(chosen.merge(block(at, at + 1), settings, statistics)) for at in range(6)]
    assert np.array_equal(np.concatenate(parts), whole)


WITHOUT_SUMS = ("linear", "ties", "nearswap", "arcee_fusion", "ram", "ramplus_tl", "median")


@given(
    method=st.sampled_from(sorted(METHODS)),
    places=st.sets(st.integers(1, 5)).map(sorted),
    seed=st.integers(0, 1000),
)
@hypothesis.settings(max_examples=100, deadline=None)
def test_statistics_do_not_depend_on_the_blocks(method: str, places: list[int], seed: int) -> None:
    """Those that count give the same bits; float64 sums agree to float32's last place."""
    base, *inputs = random_tensors(seed, 4)
    values = {
        "weights": (0.4, 0.9, -0.2),
        "densities": (0.5, 0.3, 0.7),
        "gammas": (0.1, 0.1, 0.1),
        "epsilons": (0.2, 0.2, 0.1),
        "normalize": method == "linear",
        "keys": (1, 2, 3),
        "factors": (1.5,),
        "select_topk": 0.6,
        "epsilon": 0.7,
    }
    apart = base if METHODS[method].takes_base else None
    whole = merge(method, apart, *inputs, **values)
    found = merge(method, apart, *inputs, counted=places, merged=places, **values)
    if method in WITHOUT_SUMS:
        assert np.array_equal(found, whole)
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)


def test_every_method_of_a_recipe_exists() -> None:
    assert set(METHODS) == set(METHOD_SPECS)
    for name, spec in METHOD_SPECS.items():
        assert METHODS[name].takes_base == (spec.needs_base or METHODS[name].base_optional)
