"""What scoring changes in a process, seen from a fresh one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from mergesearch.scoring.harness.environment import VARIABLES

SHOW = """
import json, os, random, sys
from mergesearch.scoring.harness import environment
loaded = [name for name in ("lm_eval", "llama_cpp", "datasets") if name in sys.modules]
from mergesearch.objectives import Objectives
from mergesearch.scoring.harness.loading import load_tasks
try:
    load_tasks(Objectives(()))
except RuntimeError as error:
    refused = str(error)
before = dict(os.environ)
environment.prepare()
environment.prepare()
import lm_eval.utils, langdetect
environment.seed_generators()
first = random.random()
environment.seed_generators()
print(json.dumps({
    "loaded": loaded,
    # Their templates would be code.
    "refused": refused,
    # Libraries that are imported meanwhile set variables of their own.
    "set": {name: os.environ[name] for name in environment.VARIABLES
            if before.get(name) != os.environ[name]},
    "sandbox": type(lm_eval.utils.env).__name__,
    "filters": "regex_replace" in lm_eval.utils.env.filters,
    "langdetect": langdetect.DetectorFactory.seed,
    "seeded": first == random.random(),
    "prepared": environment.is_prepared(),
}))
"""


def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.whole
def test_a_process_loads_tasks_once_it_is_prepared_and_keeps_what_was_set() -> None:
    found: dict[str, Any] = json.loads(run(SHOW, HF_HUB_OFFLINE="0").stdout)
    assert found == {
        "loaded": [],
        "refused": "call harness.environment.prepare() first: templates are code without it",
        "set": {name: value for name, value in VARIABLES.items() if name != "HF_HUB_OFFLINE"},
        "sandbox": "ImmutableSandboxedEnvironment",
        "filters": True,
        "langdetect": 0,
        "seeded": True,
        "prepared": True,
    }
