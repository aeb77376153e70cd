"""A parent whose architecture nobody knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.command import search
from helpers.parents import make_parent
from helpers.scorer_thread import scorer_in_thread


@pytest.fixture(autouse=True, scope="module")
def _scorer_in_thread() -> Iterator[None]:
    """No process has to load lm-eval and llama.cpp anew, but for the shared run's."""
    with scorer_in_thread():
        yield


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A GGUF of a parent whose architecture nobody knows."""
    monkeypatch.chdir(tmp_path)
    config = make_parent(Path("a")) / "config.json"
    Path("recipe.yaml").write_text(
        "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n"
    )
    assert search("build", "recipe.yaml", "--quant", "F16", "-o", "template.gguf").code == 0
    document = json.loads(config.read_text()) | {"architectures": ["NobodyForCausalLM"]}
    config.write_text(json.dumps(document))
    return "template.gguf"
