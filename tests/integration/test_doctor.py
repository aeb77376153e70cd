"""`search doctor`: what it shows, and its exit code."""

from __future__ import annotations

import importlib
import json

import pytest
from helpers.command import search

from mergesearch._kernels import supported_variants


def test_it_names_what_is_in_use() -> None:
    outcome = search("doctor", "--json")
    facts = json.loads(outcome.out)
    assert outcome.code == 0
    assert facts["kernels"] == supported_variants()[0].name
    assert facts["runtime"]["n_parallel"] == 32
    assert facts["packages"]["llama-cpp-python"]
    assert facts["problems"] == []
    plain = search("doctor")
    assert plain.out.rstrip().endswith("ready")
    assert f"kernels           {facts['kernels']}\n" in plain.out


def test_the_kernels_in_use_follow_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERGESEARCH_ISA", "scalar")
    assert json.loads(search("doctor", "--json").out)["kernels"] == "scalar"


def test_problems_are_named_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("mergesearch.cli.doctor")
    monkeypatch.setattr(module, "_NEEDED", ("numpy", "no-such-package"))
    outcome = search("doctor")
    assert outcome.code == 1
    assert "problem: no-such-package is not installed" in outcome.out
    assert outcome.out.rstrip().endswith("1 problem(s)")
