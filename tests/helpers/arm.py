"""Kernels for Arm, cross-compiled and run by an emulator."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"

MARKS = [
    pytest.mark.cross,
    pytest.mark.skipif(
        not shutil.which(COMPILER) or not shutil.which(EMULATOR),
        reason=f"needs {COMPILER} and {EMULATOR}",
    ),
]


def compiled(main: Path, folder: Path) -> Path:
    """A program with the kernels, compiled with the flags of CMakeLists.txt."""
    found = re.search(r"set\(exact (.*)\)", (ROOT / "CMakeLists.txt").read_text())
    assert found
    kernels = ROOT / "src/mergesearch/_kernels"
    target = folder / main.stem
    sources = [kernels / "variants/neon.cpp", kernels / "variants/scalar.cpp", main]
    command = [COMPILER, "-std=c++17", "-static", *found[1].split(), "-Werror"]
    includes = [f"-I{kernels}", f"-I{Path(__file__).parent}"]
    subprocess.run([*command, *includes, *sources, "-o", target], check=True)
    return target


def run(program: Path, stream: bytes) -> bytes:
    """What an Arm program writes for what it reads."""
    done = subprocess.run([EMULATOR, program], input=stream, capture_output=True, check=True)
    return done.stdout
