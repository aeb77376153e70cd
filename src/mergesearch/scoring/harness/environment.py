"""Everything that scoring changes in the process that it runs in.

`prepare` is called once, before llama.cpp and lm-eval are loaded, by the scoring process and by
whoever scores in a process of his own. It changes

- environment variables, where they are not set: see `VARIABLES`;
- lm-eval's Jinja environment (`lm_eval.utils.env`), where templates of tasks would be code: a
  sandbox with the same filters takes its place;
- langdetect's seed, since IFEval's guesses of a language are drawn at random otherwise;
- progress bars and log levels of `datasets` and lm-eval, which write to the run's log.

`seed_generators` seeds the global generators of `random` and NumPy, before each task is loaded.
"""

from __future__ import annotations

import logging
import os
import random
from functools import cache
from typing import Any

VARIABLES = {
    # Threads of OpenMP that wait must sleep, not spin: beside another busy process on the same
    # cores, spinning made llama.cpp's decoding a hundred times slower.
    "OMP_WAIT_POLICY": "passive",
    # Data sets must be on this machine: a scorer that downloads is neither quick nor repeatable.
    # Whoever wants downloads sets these to 0.
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # lm-eval's bootstrap would start a pool of processes.
    "DISABLE_MULTIPROC": "1",
}


def set_variables() -> None:
    """Set the environment variables alone, without loading anything."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)


@cache
def prepare() -> None:
    """Change this process as the module says; calling it again does nothing."""
    set_variables()
    import datasets
    import lm_eval.utils
    from langdetect import DetectorFactory

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    DetectorFactory.seed = 0
    lm_eval.utils.env = _sandbox(lm_eval.utils.env)


def is_prepared() -> bool:
    """Whether tasks can be loaded safely: their templates are rendered in a sandbox."""
    import lm_eval.utils
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return isinstance(lm_eval.utils.env, ImmutableSandboxedEnvironment)


def seed_generators() -> None:
    """Seed the global generators: some tasks shuffle their documents with them when loaded."""
    import numpy as np
    from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED

    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)


def _sandbox(open_ended: Any) -> Any:
    from jinja2 import BaseLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    sandbox = ImmutableSandboxedEnvironment(
        loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True
    )
    sandbox.filters.update(open_ended.filters)
    return sandbox
