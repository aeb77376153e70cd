"""The scoring process with a scorer that loads and computes nothing, and so is there at once.

Run as a script it is that process. It refuses objectives that ask for 99 items, and takes for ever
over a candidate whose file is named `slow`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Connection, Pipe
from types import SimpleNamespace
from typing import Any

import pytest

from mergesearch.errors import ObjectivesError
from mergesearch.objectives import Objectives, TaskResult
from mergesearch.scoring import child, process, server
from mergesearch.scoring.protocol import Progress


class LightScorer:
    """What the process asks of its scorer."""

    questionnaire = SimpleNamespace(order=lambda rung: {}, tasks={})

    def score(
        self,
        engine: Any,
        rung: str,
        items: Any,
        on_progress: Callable[[Progress], None],
        partial: Any,
    ) -> Mapping[str, TaskResult]:
        """Say that half is done, then end or wait."""
        on_progress(Progress("quiz", 1, 2))
        time.sleep(600 if engine.path.name == "slow" else 0.1)
        return {}


def load(objectives: Objectives, trust_tasks: bool) -> Any:
    """Return a scorer."""
    if any(use.search_items == 99 for use in objectives.tasks()):
        raise ObjectivesError("109 items are requested", where="quiz")
    return LightScorer()


def _start(module: str, output: object) -> tuple[subprocess.Popen[bytes], Connection]:
    ours, theirs = Pipe()
    with theirs:
        fd = theirs.fileno()
        process = subprocess.Popen([sys.executable, __file__, str(fd)], pass_fds=[fd])
    return process, ours


@contextmanager
def light_scorers() -> Iterator[None]:
    """Let every scoring process that starts be a light one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "start_child", _start)
        yield


if __name__ == "__main__":
    server._load = load
    server.Server._opened = lambda self, path: nullcontext(SimpleNamespace(path=path))
    raise SystemExit(child.main(sys.argv[1:]))
