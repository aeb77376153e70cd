"""What the installed llama.cpp can do, as it tells."""

from __future__ import annotations

from mergesearch.scoring.engine.features import parse_backends


def test_each_backend_has_its_features() -> None:
    info = "CUDA : ARCHS = 900 | USE_GRAPHS = 1 | CPU : SSE3 = 1 | AVX2 = 1 | REPACK = 1 | "
    assert parse_backends(info) == {
        "CUDA": ["ARCHS", "USE_GRAPHS"],
        "CPU": ["SSE3", "AVX2", "REPACK"],
    }


def test_a_processor_alone_is_a_backend() -> None:
    assert parse_backends("CPU : NEON = 1 | ") == {"CPU": ["NEON"]}
    assert parse_backends("") == {}
