"""Merging by the kernels against plain NumPy, to the bit, on every instruction set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from helpers import plain
from helpers.blockwise import cut, rows_of, settings_of
from helpers.variants import PARAMETERS
from hypothesis import given, settings
from hypothesis import strategies as st

from mergesearch._kernels import ISA_VARIABLE, Consensus, kernels
from mergesearch._kernels.stored import Stored, to_float32
from mergesearch.merge.rows import BLOCK_ELEMENTS
from mergesearch.methods import METHODS, Base, Combination, InputRows, InputTensor, Parameter
from mergesearch.methods.combination import rows_as
from mergesearch.quantize import quantize_rows

STORED = ("float32", "float16", "bfloat16")
SHAPES = [(1, 1), (4, 1), (1, 33), (3, 7), (5, 512), (3, 1031), (9, 2048), (1, 20_011)]
KEYS = (3, 2**127 + 5, 7, 2**64)


@pytest.fixture(params=PARAMETERS, autouse=True)
def variant(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each test runs once on every variant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ISA_VARIABLE, request.param.name)
        yield request.param.name


def as_stored(values: np.ndarray, dtype: str) -> Stored:
    if dtype == "bfloat16":
        return (values.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return values.astype(dtype)


def some_values(rng: np.random.Generator, shape: tuple[int, int], spread: str) -> np.ndarray:
    """Weights, smooth or in steps so that many are equal, all equal, tiny, or far apart."""
    match spread:
        case "smooth":
            values = rng.standard_normal(shape) * 0.02
        case "steps":
            values = rng.integers(-3, 4, shape) / 4
        case "equal":
            values = np.full(shape, 0.5)
        case "subnormal":
            values = rng.integers(1, 9, shape) * 1e-40
        case _:
            values = rng.standard_normal(shape) * 10.0 ** rng.uniform(-30, 4, shape)
    return values.astype(np.float32)


class Case(NamedTuple):
    """A tensor of some inputs, a method's settings, and where blocks of rows end."""

    base: Stored | None
    inputs: list[Stored]
    values: dict[str, Any]
    counted: Sequence[int]
    merged: Sequence[int]


def parameter_values(parameter: Parameter) -> st.SearchStrategy[Any]:
    if parameter.kind is bool:
        return st.booleans()
    if parameter.kind is int:
        return st.integers(0, 12)
    match parameter.name:
        case "epsilon" if parameter.per_parent:  # below both a density and what it leaves
            return st.sampled_from([0.0, 0.05, 0.09])
        case "density":
            return st.floats(0.1, 0.9) | st.sampled_from([0.0, 0.5, 1.0])
        case "epsilon" | "eps" | "tol":
            return st.sampled_from([1e-8, 1e-5, 1e-2])
    low, high = max(parameter.low, -2.0), min(parameter.high, 2.0)
    return st.floats(low, high, width=32) | st.sampled_from([low, high, max(low, 1 / 3)])


@st.composite
def cases(draw: st.DrawFn, name: str) -> Case:
    method = METHODS[name]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from(SHAPES))
    spread = st.sampled_from(["smooth", "steps", "equal", "subnormal", "apart"])
    stored = [
        as_stored(some_values(rng, shape, draw(spread)), draw(st.sampled_from(STORED)))
        for _ in range(draw(st.integers(method.least, method.most or 4)) + 1)
    ]
    if draw(st.booleans()):
        stored[1] = stored[0].copy()  # a delta of nothing but zeros
    values: dict[str, Any] = {}
    for parameter in method.parameters:
        one = parameter_values(parameter)
        count = len(stored) - 1
        each = st.lists(one, min_size=count, max_size=count).map(tuple)
        values[parameter.name] = draw(each if parameter.per_parent else one)
    edges = (
        st.sets(st.sampled_from(range(1, shape[0])), max_size=3) if shape[0] > 1 else st.just(())
    )
    has_base = method.base is Base.REQUIRED or (
        method.base is Base.OPTIONAL and draw(st.booleans())
    )
    base = stored[0] if has_base else None
    return Case(base, stored[1:], values, sorted(draw(edges)), sorted(draw(edges)))


def merge(name: str, case: Case) -> np.ndarray | None:
    """As a plan merges: statistics over some blocks, then others; None where it is not finite."""
    method = METHODS[name]
    given = settings_of(name, len(case.inputs), **case.values)
    statistics = None
    with np.errstate(all="ignore"):
        if method.statistics is not None:
            blocks = cut(case.base, case.inputs, case.counted)
            statistics = method.statistics(InputTensor.of(blocks, KEYS), given)
        blocks = cut(case.base, case.inputs, case.merged)
        rows = [rows_as(method.merge(block, given, statistics), Type.F32) for block in blocks]
    return None if any(row is None for row in rows) else np.concatenate(rows).view(np.float32)


def merge_plainly(name: str, case: Case) -> np.ndarray | None:
    given = settings_of(name, len(case.inputs), **case.values)
    base = None if case.base is None else to_float32(case.base)
    inputs = [to_float32(values) for values in case.inputs]
    tensor = plain.Tensor(base, inputs, given, case.counted, KEYS)
    with np.errstate(all="ignore"):
        if name == "arcee_fusion":
            divergences = np.empty(len(inputs[0]), np.float32)
            kernels().divergences(inputs[0], base, divergences)
            merged = plain.arcee_fusion(tensor, divergences)
        else:
            merged = plain.METHODS[name](tensor)
    return merged if np.isfinite(merged).all() else None


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=settings.default.max_examples // 2)  # of each method, by each variant
@given(data=st.data())
def test_every_method_is_that_of_plain_numpy(name: str, data: st.DataObject) -> None:
    case = data.draw(cases(name))
    found, expected = merge(name, case), merge_plainly(name, case)
    if found is None or expected is None:
        assert found is expected
    else:
        assert_same_bits(found, expected)


EDGE_VALUES = {"weight": 0.6, "gamma": 0.25, "scale": 1.5, "t": 0.01}
EDGE_SHAPES = {
    "rows of one entry": (7, 1),
    "a vector": (1, 33),
    "a row longer than a block": (1, BLOCK_ELEMENTS + 3),
}


def edge_case(name: str, shape: tuple[int, int], spread: str, density: float) -> Case:
    """Two inputs, or one where a method takes no more, the first of them equal to the base."""
    method, rng = METHODS[name], np.random.default_rng(8)
    count = min(2, method.most or 2)
    base, *inputs = (
        as_stored(some_values(rng, shape, spread), "bfloat16") for _ in range(count + 1)
    )
    inputs[0] = base.copy() if spread == "equal" else inputs[0]
    given = EDGE_VALUES | {"density": density, "select_topk": density}
    values = {key: value for key, value in given.items() if key in method.by_name}
    if "epsilon" in method.per_parent:
        values["epsilon"] = 0.15
    values = {
        key: (value,) * count if method.by_name[key].per_parent else value
        for key, value in values.items()
    }
    edges = range(1, shape[0]) if shape[0] > 1 else ()
    has_base = method.base is Base.REQUIRED
    return Case(base if has_base else None, inputs, values, edges, edges)


@pytest.mark.parametrize("shape", EDGE_SHAPES)
@pytest.mark.parametrize("name", METHODS)
def test_edges_are_those_of_plain_numpy(name: str, shape: str) -> None:
    """Odd shapes with densities of 0 and 1, equal magnitudes everywhere, and deltas of zeros."""
    long = EDGE_SHAPES[shape][1] > BLOCK_ELEMENTS
    for spread in ("equal", "steps"):
        for density in (0.5,) if long else (0.0, 0.5, 1.0):
            case = edge_case(name, EDGE_SHAPES[shape], spread, density)
            found, expected = merge(name, case), merge_plainly(name, case)
            assert (found is None) == (expected is None), (spread, density)
            if found is not None and expected is not None:
                assert_same_bits(found, expected)


def test_every_method_has_a_plain_reference() -> None:
    assert set(plain.METHODS) == set(METHODS)


@pytest.mark.parametrize(
    "kind", [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_K, Type.Q6_K]
)
@pytest.mark.parametrize("consensus", [Consensus.SUM, Consensus.ELECT, Consensus.MEDIAN])
def test_blocks_are_those_of_the_quantized_rows(kind: Type, consensus: Consensus) -> None:
    """Merged and quantized in one pass, or one after the other: the same bytes."""
    rng = np.random.default_rng(3)
    base, *inputs = (as_stored(some_values(rng, (7, 1280), "smooth"), "bfloat16") for _ in "123")
    combination = Combination(InputRows(base, inputs, 0), (0.4, 0.9), consensus, scale=0.8)
    np.testing.assert_array_equal(
        combination.rows_as(kind), quantize_rows(rows_of(combination), kind)
    )


@pytest.mark.parametrize("by_column", [False, True])
def test_factors_of_rows_and_columns(by_column: bool) -> None:
    rng = np.random.default_rng(5)
    base, first, second = (some_values(rng, (7, 715), "smooth") for _ in "123")
    weights, scale, of_base = (rng.random((2, 715 if by_column else 7)).astype("f4") for _ in "123")
    combination = Combination(
        InputRows(base, [first, second], 0),
        weights,
        scale=scale[0],
        base_scale=of_base[0],
        of_values=True,
        by_column=by_column,
    )

    def spread(factors: np.ndarray) -> np.ndarray:
        return factors[None] if by_column else factors[:, None]

    total = first * spread(weights[0]) + second * spread(weights[1])
    expected = total * spread(scale[0]) + base * spread(of_base[0])
    assert_same_bits(rows_of(combination), expected)


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


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].most != 1])
def test_what_is_not_finite_in_a_parent_is_never_merged_away(name: str) -> None:
    """But by a median, which is what medians are for."""
    rng = np.random.default_rng(8)
    base, *inputs = (some_values(rng, (4, 600), "smooth") for _ in "123")
    inputs[1][2, 5] = np.nan
    needs_base = METHODS[name].base is Base.REQUIRED
    values = {"density": (0.5, 0.5), "t": 0.5, "select_topk": 0.5}
    given = {key: value for key, value in values.items() if key in METHODS[name].by_name}
    assert merge(name, Case(base if needs_base else None, inputs, given, [], [2])) is None


def test_rows_may_start_at_odd_bytes() -> None:
    """As in a file whose header has an odd length."""
    rng = np.random.default_rng(4)
    for dtype in STORED:
        rows = as_stored(some_values(rng, (3, 700), "smooth"), dtype)
        raw = np.frombuffer(b"x" + rows.tobytes(), dtype=np.uint8)
        shifted = raw[1:].view(rows.dtype).reshape(rows.shape)
        found = rows_of(Combination(InputRows(None, [shifted, rows], 0), (0.25, 0.5)))
        assert_same_bits(found, plain.weighted_sum([to_float32(rows)] * 2, (0.25, 0.5)))


def test_wrong_arrays_are_refused() -> None:
    rows = np.zeros((2, 256), dtype=np.float32)
    for inputs, base in (([rows, rows[:1]], None), ([rows], rows[:1]), ([rows.astype("f8")], None)):
        combination = Combination(InputRows(base, inputs, 0), (1.0,) * len(inputs))
        with pytest.raises((ValueError, TypeError)):
            combination.rows_as(Type.F32)
    alone = InputRows(None, [rows], 0)
    with pytest.raises(ValueError, match=r"masks, factors or weights|reshape"):
        Combination(alone, (1.0,), factors=(1.0, 2.0)).rows_as(Type.F32)
    with pytest.raises(ValueError, match="one input near a base"):
        Combination(alone, (1.0,), Consensus.NEAR).rows_as(Type.F32)
