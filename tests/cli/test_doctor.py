"""`search doctor`: what it shows, and its exit code."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace

import pytest
from helpers.command import search

from mergesearch._kernels import supported_variants


def test_it_names_what_is_in_use() -> None:
    outcome = search("doctor", "--json")
    facts = json.loads(outcome.out)
    assert outcome.code == 0
    fastest = supported_variants()[0].name
    kinds = ["merging", "quantizing", "dequantizing", "log-probabilities"]
    assert facts["kernels"] == dict.fromkeys(kinds, fastest)
    assert facts["kernels_chosen_by"] == "this processor"
    assert facts["runtime"]["n_parallel"] == 32
    assert facts["packages"]["llama-cpp-python"]
    assert facts["problems"] == []
    plain = search("doctor")
    assert plain.out.rstrip().endswith("ready")
    assert f"kernels           merging {fastest}, quantizing {fastest}, " in plain.out


def test_the_kernels_in_use_follow_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERGESEARCH_ISA", "scalar")
    facts = json.loads(search("doctor", "--json").out)
    assert set(facts["kernels"].values()) == {"scalar"}
    assert facts["kernels_chosen_by"] == "MERGESEARCH_ISA"


@pytest.mark.parametrize(("name", "speed"), [("neon", "not measured"), ("avx2", "docs/benchmarks")])
def test_a_variant_whose_speed_is_unknown_is_said(
    name: str, speed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("mergesearch.cli.doctor")
    monkeypatch.setattr(module, "kernels", lambda: SimpleNamespace(name=name))
    assert module._facts()["kernels_speed"].startswith(speed)


def test_problems_are_named_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("mergesearch.cli.doctor")
    monkeypatch.setattr(module, "_NEEDED", ("numpy", "no-such-package"))
    outcome = search("doctor")
    assert outcome.code == 1
    assert "problem: no-such-package is not installed" in outcome.out
    assert outcome.out.rstrip().endswith("1 problem(s)")


def test_what_could_be_installed_is_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("mergesearch.cli.doctor")
    monkeypatch.setattr(module, "_OPTIONAL", {"numpy": ("x", "x"), "no-such": ("dark", "magic")})
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    outcome = search("doctor")
    hints = [line for line in outcome.out.splitlines() if line.startswith("hint: ")]
    assert hints[0] == "hint: for magic: pip install 'mergesearch[dark]'"
    uses_gpu = json.loads(search("doctor", "--json").out)["llama_cpp_gpu"]
    assert (outcome.code, len(hints)) == (0, 1 if uses_gpu else 2)


def test_architectures_are_listed() -> None:
    known = json.loads(search("doctor", "--architectures", "--json").out)
    assert known["built_in"]["Olmo3ForCausalLM"] == "olmo2"
    plain = search("doctor", "--architectures").out
    assert "  Olmo3ForCausalLM (olmo2)\n" in plain
    assert "bert (makes embeddings)" in plain.splitlines()[-1]
