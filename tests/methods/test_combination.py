"""Kernels of merging against plain NumPy, to the bit, on every instruction set of this machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from helpers import plain
from helpers.blockwise import rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from mergesearch._kernels import ISA_VARIABLE, supported_variants
from mergesearch._kernels.stored import Stored, to_float32
from mergesearch.methods import METHODS, Combination, InputRows, InputTensor, Settings
from mergesearch.methods.combination import rows_as
from mergesearch.quantize import quantize_rows

STORED = ("float32", "float16", "bfloat16")


@pytest.fixture(params=[one.name for one in supported_variants()], autouse=True)
def variant(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each test runs once on every variant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ISA_VARIABLE, request.param)
        yield request.param


def stored(rng: np.random.Generator, shape: tuple[int, int], dtype: str, steps: int) -> Stored:
    """Random rows as a checkpoint stores them; small `steps` make many of them equal."""
    values = (rng.integers(-steps, steps + 1, shape) * np.float32(2.0 / steps)).astype(np.float32)
    if dtype == "bfloat16":
        return (values.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return values.astype(dtype)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[Stored, list[Stored]]:
    """A base and one to four inputs, each of a dtype of its own; some shapes span pieces."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from([(1, 1), (1, 33), (3, 7), (5, 512), (3, 1031), (9, 2048)]))
    steps = draw(st.sampled_from([2, 40, 1 << 20]))
    dtypes = draw(st.lists(st.sampled_from(STORED), min_size=2, max_size=5))
    base, *inputs = (stored(rng, shape, dtype, steps) for dtype in dtypes)
    return base, inputs


WEIGHTS = st.floats(-2, 2, width=32) | st.sampled_from([0.0, 1.0, 1 / 3, 0.1])
NUMBERS = st.lists(WEIGHTS, min_size=4, max_size=4)


def cut(base: Stored | None, inputs: list[Stored], step: int) -> list[InputRows]:
    """Blocks of `step` rows."""
    rows, cols = inputs[0].shape
    return [
        InputRows(
            None if base is None else base[at : at + step],
            [one[at : at + step] for one in inputs],
            at * cols,
        )
        for at in range(0, rows, step)
    ]


def merged(method: str, blocks: list[InputRows], settings: Settings) -> np.ndarray:
    chosen = METHODS[method]
    statistics = chosen.statistics and chosen.statistics(InputTensor.of(blocks), settings)
    return np.concatenate([rows_of(chosen.merge(rows, settings, statistics)) for rows in blocks])


def ties_settings(
    weights: tuple[float, ...],
    densities: tuple[float, ...],
    normalize: bool = False,
    rescale: bool = False,
    scale: float = 1.0,
) -> Settings:
    switches = {"normalize": normalize, "rescale": rescale, "lambda": scale}
    return {"weight": weights, "density": densities} | switches


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


@given(tensors(), NUMBERS, st.booleans(), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_linear(
    parents: tuple[Stored, list[Stored]], numbers: list[float], normalize: bool, step: int
) -> None:
    inputs = [parents[0], *parents[1]]
    weights = tuple((*numbers, 0.7)[: len(inputs)])
    divisor = np.float32(0)
    for one in weights:
        divisor = np.float32(divisor + np.float32(one))
    if normalize and divisor == 0:
        return
    given = {"weight": weights, "normalize": normalize}
    found = merged("linear", cut(None, inputs, step), given)
    floats = [to_float32(one) for one in inputs]
    assert_same_bits(found, plain.linear(floats, weights, float(divisor) if normalize else 1.0))


@given(tensors(), NUMBERS, st.integers(1, 9), st.sampled_from([1.0, 0.7, -1.3]))
@settings(max_examples=60, deadline=None)
def test_task_arithmetic(
    parents: tuple[Stored, list[Stored]], numbers: list[float], step: int, scale: float
) -> None:
    base, inputs = parents
    weights = tuple(numbers[: len(inputs)])
    given = {"weight": weights, "normalize": False, "lambda": scale}
    found = merged("task_arithmetic", cut(base, inputs, step), given)
    floats = [to_float32(one) for one in inputs]
    assert_same_bits(found, plain.task_arithmetic(to_float32(base), floats, weights, scale=scale))


@given(
    tensors(),
    NUMBERS,
    st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0]), min_size=4, max_size=4),
    st.booleans(),
    st.integers(1, 9),
    st.sampled_from([1.0, 0.7]),
)
@settings(max_examples=100, deadline=None)
def test_ties(
    parents: tuple[Stored, list[Stored]],
    numbers: list[float],
    densities: list[float],
    normalize: bool,
    step: int,
    scale: float,
) -> None:
    base, inputs = parents
    weights, kept = (tuple(one[: len(inputs)]) for one in (numbers, densities))
    given = ties_settings(weights, kept, normalize=normalize, scale=scale)
    found = merged("ties", cut(base, inputs, step), given)
    floats = [to_float32(one) for one in inputs]
    expected = plain.ties(to_float32(base), floats, weights, kept, normalize, False, scale)
    assert_same_bits(found, expected)


@given(tensors(), NUMBERS, st.lists(st.floats(0.1, 1), min_size=4, max_size=4))
@settings(max_examples=30, deadline=None)
def test_ties_rescaled(
    parents: tuple[Stored, list[Stored]], numbers: list[float], densities: list[float]
) -> None:
    base, inputs = parents
    weights, kept = (tuple(one[: len(inputs)]) for one in (numbers, densities))
    found = merged("ties", cut(base, inputs, 99), ties_settings(weights, kept, rescale=True))
    floats = [to_float32(one) for one in inputs]
    expected = plain.ties(to_float32(base), floats, weights, kept, False, True, 1.0)
    assert_same_bits(found, expected)


@pytest.mark.parametrize(
    "kind", [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_K, Type.Q6_K]
)
@pytest.mark.parametrize("elect", [False, True])
def test_blocks_are_those_of_the_quantized_rows(kind: Type, elect: bool) -> None:
    """Merged and quantized in one pass, or one after the other: the same bytes."""
    rng = np.random.default_rng(3)
    base, *inputs = (stored(rng, (7, 1280), "bfloat16", 1000) for _ in range(3))
    combination = Combination(InputRows(base, inputs, 0), (0.4, 0.9), scale=0.8, elect=elect)
    np.testing.assert_array_equal(
        combination.rows_as(kind), quantize_rows(rows_of(combination), kind)
    )


@pytest.mark.parametrize("dtype", STORED)
def test_every_value_is_read_exactly(dtype: str) -> None:
    """All 65,536 patterns of two bytes, and as many of four; NaN stays NaN."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    rows = {
        "bfloat16": bits,
        "float16": bits.view(np.float16),
        "float32": (bits.astype(np.uint32) * np.uint32(65537)).view(np.float32),
    }[dtype][None]
    expected = rows.astype(np.float32)
    if dtype == "bfloat16":
        expected = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)[None]
    np.testing.assert_array_equal(to_float32(rows), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 2047, 2048, 4999])
def test_what_is_not_finite_is_found(bad: float, place: int) -> None:
    """In an input, wherever it stands; and where only the sum overflows."""
    rows = np.ones((1, 5000), dtype=np.float32)
    spoiled = rows.copy()
    spoiled[0, place] = bad
    assert rows_as(Combination(InputRows(None, [rows, spoiled], 0), (1.0, 1.0)), Type.F32) is None
    assert rows_as(spoiled, Type.F32) is None
    spoiled[0, place] = 3e38
    assert rows_as(Combination(InputRows(None, [spoiled] * 2, 0), (1.0, 1.0)), Type.F32) is None
    assert rows_as(Combination(InputRows(None, [spoiled] * 2, 0), (0.5, 0.5)), Type.F32) is not None


def test_rows_may_start_at_odd_bytes() -> None:
    """As in a file whose header has an odd length."""
    rng = np.random.default_rng(4)
    for dtype in STORED:
        rows = stored(rng, (3, 700), dtype, 1000)
        raw = np.frombuffer(b"x" + rows.tobytes(), dtype=np.uint8)
        shifted = raw[1:].view(rows.dtype).reshape(rows.shape)
        found = rows_of(Combination(InputRows(None, [shifted, rows], 0), (0.25, 0.5)))
        assert_same_bits(found, plain.linear([to_float32(rows)] * 2, (0.25, 0.5)))


def test_wrong_arrays_are_refused() -> None:
    rows = np.zeros((2, 256), dtype=np.float32)
    for inputs, base in (([rows, rows[:1]], None), ([rows], rows[:1]), ([rows.astype("f8")], None)):
        combination = Combination(InputRows(base, inputs, 0), (1.0,) * len(inputs))
        with pytest.raises((ValueError, TypeError)):
            combination.rows_as(Type.F32)
    with pytest.raises(ValueError, match="as many settings"):
        Combination(InputRows(None, [rows], 0), (1.0, 1.0)).rows_as(Type.F32)
    with pytest.raises(ValueError, match="without a base"):
        Combination(InputRows(None, [rows], 0), (1.0,), elect=True).rows_as(Type.F32)
