"""Processes that are forked from one with the modules of searches, so that each starts at once."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

_TESTS = Path(__file__).parents[1]
_LONGEST_SECONDS = 300.0
_MODULES = ["helpers.study_fakes", "helpers.worker_fakes"]


def run_apart(work: Callable[..., None], *arguments: str) -> BaseProcess:
    """Do work in a process of its own and wait until that has ended, by itself or killed."""
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload(_MODULES)
    # The first one starts the process that the others are forked from.
    paths = [str(_TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(paths)):
        forkserver.ensure_running()
    process = forked.Process(target=work, args=arguments)
    process.start()
    process.join(_LONGEST_SECONDS)
    return process
