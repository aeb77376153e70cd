"""The NEON variant, cross-compiled and run by an emulator, against ggml on this machine."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from helpers import arm
from helpers.cases import CASES, assert_same, importances, real_weights

from mergesearch.quantize.formats import TYPES, block_elements
from tools.quantization import ggml

pytestmark = arm.MARKS


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return arm.compiled(
        Path(__file__).with_name("run_variant.cpp"), tmp_path_factory.mktemp("neon")
    )


@pytest.mark.parametrize(
    "kind", [kind for kind in TYPES if kind != Type.F32], ids=lambda kind: kind.name
)
def test_neon_and_scalar_on_arm_equal_ggml(program: Path, kind: Type) -> None:
    inputs = {name: make() for name, make in CASES.items()}
    fitting = [
        rows for rows in real_weights().values() if rows.shape[1] % block_elements(kind) == 0
    ]
    inputs["real weights"] = fitting[0]
    jobs = [
        (f"{name}, importance {which}", rows, importance)
        for name, rows in inputs.items()
        for which, importance in importances(rows.shape[1]).items()
    ]
    stream = b"".join(
        np.array([kind, *rows.shape, importance is not None], np.int64).tobytes()
        + (b"" if importance is None else importance.tobytes())
        + rows.tobytes()
        for _, rows, importance in jobs
    )
    found = arm.run(program, stream)
    blocks, place = np.frombuffer(found, np.uint8), 0
    for name, rows, importance in jobs:
        expected = ggml.quantize_rows(rows, kind, importance)
        for variant in ("neon", "scalar"):
            part = blocks[place : place + expected.size].reshape(expected.shape)
            assert_same(part, expected, rows, kind, f"{name}, {variant}")
            place += expected.size
            again = blocks[place : place + rows.nbytes].view(np.float32).reshape(rows.shape)
            with np.errstate(all="ignore"):
                assert np.array_equal(again, gguf.dequantize(part, kind), equal_nan=True)
            place += rows.nbytes
    assert place == blocks.size
