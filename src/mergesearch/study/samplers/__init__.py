"""What proposes the next recipe: samplers by name, each a pure function of the study's history.

Every trial gets a fresh sampler, seeded from (seed, trial number) and fed what is on record. So a
proposal depends on nothing but its arguments, and a resumed study proposes what an unbroken one
would have.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import optuna

from mergesearch.errors import InputError
from mergesearch.study.records import Observation
from mergesearch.study.samplers.from_optuna import by_generations, optuna_gp, random, tpe
from mergesearch.study.samplers.problem import Problem, Proposal, Sampler
from mergesearch.study.samplers.sobol import after_startup, sobol
from mergesearch.study.samplers.weighted import cmaes

_log = logging.getLogger(__name__)


def _noisy_gp(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    """Propose by `noisy.noisy_gp`, whose scipy is loaded where something is proposed."""
    from mergesearch.study.samplers.noisy import noisy_gp

    return noisy_gp(problem, history, number)


SAMPLERS: Mapping[str, Sampler] = {
    "gp": after_startup(optuna_gp),
    "noisy-gp": after_startup(_noisy_gp),
    "tpe": after_startup(tpe),
    "nsga2": partial(by_generations, optuna.samplers.NSGAIISampler),
    "nsga3": partial(by_generations, optuna.samplers.NSGAIIISampler),
    "cmaes": cmaes,
    "sobol": sobol,
    "random": random,
}
"""Samplers by name."""
DEFAULT = "noisy-gp"
"""What `auto` is."""


def check_sampler(name: str) -> str:
    """Return the name of a sampler, or `auto`.

    Raises:
        InputError: There is no such sampler.
    """
    known = ["auto", *SAMPLERS]
    if name not in known:
        raise InputError(f"unknown sampler {name!r}", where="--sampler", expected=", ".join(known))
    return name


def chosen_sampler(name: str) -> str:
    """Return the name of the sampler that `name`, perhaps `auto`, is.

    Raises:
        InputError: There is no such sampler.
    """
    return DEFAULT if check_sampler(name) == "auto" else name


def propose(name: str, problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    """Return what sampler `name` proposes for trial `number`, given all trials before it.

    Trials that still run (see `lagged`) count as such for the samplers that can allow for them. A
    sampler that fails numerically never ends a night: a Sobol point takes the proposal's place.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental features, chosen knowingly
        try:
            return SAMPLERS[name](problem, history, number)
        except (ArithmeticError, ValueError, RuntimeError, np.linalg.LinAlgError) as error:
            _log.warning(
                "the sampler %s failed for trial %d, a Sobol point takes its place: %s",
                name,
                number,
                error,
            )
            return sobol(problem, history, number)
