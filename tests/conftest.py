"""No test reaches a network.

Examples of a property are the same ones at every run, so that a run can be repeated;
`--hypothesis-profile random` tries others each time, and more of them. `--quick` leaves out the
tests that need a heavy library, do a whole search or take long, and tries fewer examples.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest
from helpers.shared_run import demo_tasks as demo_tasks
from helpers.shared_run import objectives as objectives
from helpers.shared_run import run as run
from helpers.shared_run import swept as swept
from hypothesis import HealthCheck, settings

# They stand before anything reads them. Tests run side by side: each has one thread for matrices,
# and threads that wait sleep.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"

# What is imported stays: the garbage collector need not look at it again and again.
gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


# No deadline: a busy machine is slow and not wrong.
settings.register_profile(
    "random", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "full", settings.get_profile("random"), max_examples=50, derandomize=True, database=None
)
settings.register_profile("quick", settings.get_profile("full"), max_examples=10)

_TESTS = Path(__file__).parent
_FIRST = ("integration", "scoring", "study", "test_docs.py", "tools")
"""What takes long: a process that comes to one of these last would keep the others waiting."""
_WITH_MERGEKIT = (
    *("test_chat", "test_declaration", "test_mergekit", "test_peft", "test_published_recipes"),
    "test_references",
)
"""Files that load mergekit or PEFT: one process does so for all of them, which takes seconds."""
_HEAVY = frozenset({"llama_cpp", "lm_eval", "mergekit", "sklearn", "torch", "transformers"})
_LEFT_OUT = frozenset({"long", "whole"})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help=f"skip tests that import {', '.join(sorted(_HEAVY))}"
    )


def pytest_configure(config: pytest.Config) -> None:
    quick = config.getoption("--quick")
    settings.load_profile("quick" if quick else "full")
    if quick:
        sys.meta_path.insert(0, _SkipHeavy())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "mergekit" if Path(file).name.startswith(_WITH_MERGEKIT) else file

    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.relative_to(_TESTS).parts[0] not in _FIRST)
    if config.getoption("--quick"):
        items[:] = [
            item for item in items if not _LEFT_OUT & {mark.name for mark in item.iter_markers()}
        ]


class _SkipHeavy(MetaPathFinder):
    """Skips the test, or the module of tests, that imports a heavy library."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in _HEAVY:
            pytest.skip(f"needs {name}", allow_module_level=True)
