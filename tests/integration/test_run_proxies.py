"""A search by proxies from the command line, on the bundled parents."""

from __future__ import annotations

import json
from pathlib import Path

from helpers.command import search

OBJECTIVES = """
objectives:
  instruction:
    proxy: likelihood
    specialist: demo:instruct
    tasks:
      - {task: demo_instruct, metric: prompt_strict, search_items: 16, validate_items: 8}
  reasoning:
    proxy: likelihood
    specialist: demo:reason
    reference: 0.15
    tasks: [{task: demo_choice, metric: acc, search_items: 24, validate_items: 8}]
task_folder: TASKS
runtime: {n_ctx: 512, n_parallel: 32, chunk_items: 24, flash_attention: true, threads: 1}
"""


def test_a_search_by_proxies_has_a_front_of_metrics(demo_tasks: Path, tmp_path: Path) -> None:
    (tmp_path / "o.yaml").write_text(OBJECTIVES.replace("TASKS", str(demo_tasks)))
    out = tmp_path / "out"
    ran = search("run", "demo", "--objectives", tmp_path / "o.yaml", "--trials", 6, "--out", out)
    assert ran.code == 0, ran.err
    assert "demo:instruct: instruction" in ran.out
    assert "demo:base: instruction" not in ran.out  # no specialist
    front = json.loads(search("front", out, "--json").out)
    assert front["proxies"].keys() == {"instruction", "reasoning"}
    assert front["proxies"]["instruction"]["trials"] >= 5  # the starts are promoted
    assert front["proxies"]["reasoning"]["correlation"] > 0.5
    assert all(0 <= member["values"]["reasoning"]["value"] <= 1 for member in front["front"])
    assert "proxy: rank correlation with the metric" in search("status", out).out
    assert not (out / "partial").exists()
