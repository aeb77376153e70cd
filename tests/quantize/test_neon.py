"""The NEON variant, cross-compiled and run by an emulator, against ggml on this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cases import CASES, assert_same, importances, real_weights
from gguf import GGMLQuantizationType as Type

from mergesearch.quantize import ggml
from mergesearch.quantize.formats import TYPES, block_elements

ROOT = Path(__file__).parents[2]
COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"

pytestmark = [
    pytest.mark.cross,
    pytest.mark.skipif(
        not shutil.which(COMPILER) or not shutil.which(EMULATOR),
        reason=f"needs {COMPILER} and {EMULATOR}",
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernels compiled with the flags that CMakeLists.txt gives every variant."""
    found = re.search(r"set\(exact (.*)\)", (ROOT / "CMakeLists.txt").read_text())
    assert found
    kernels = ROOT / "src/mergesearch/_kernels"
    target = tmp_path_factory.mktemp("neon") / "run_variant"
    sources = [kernels / "variants/neon.cpp", kernels / "variants/scalar.cpp"]
    command = [COMPILER, "-std=c++17", "-static", *found[1].split(), "-Werror", f"-I{kernels}"]
    main = Path(__file__).with_name("run_variant.cpp")
    subprocess.run([*command, *sources, main, "-o", target], check=True)
    return target


@pytest.mark.parametrize(
    "kind", [one for one in TYPES if one != Type.F32], ids=lambda one: one.name
)
def test_neon_and_scalar_on_arm_equal_ggml(program: Path, kind: Type) -> None:
    inputs = {name: make() for name, make in CASES.items()}
    fitting = [one for one in real_weights().values() if one.shape[1] % block_elements(kind) == 0]
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
    found = subprocess.run([EMULATOR, program], input=stream, capture_output=True, check=True)
    blocks, place = np.frombuffer(found.stdout, np.uint8), 0
    for name, rows, importance in jobs:
        expected = ggml.quantize_rows(rows, kind, importance)
        for variant in ("neon", "scalar"):
            part = blocks[place : place + expected.size].reshape(expected.shape)
            assert_same(part, expected, rows, kind, f"{name}, {variant}")
            place += expected.size
    assert place == blocks.size
