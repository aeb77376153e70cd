"""A model of the demo's candidates that scores them in no time, for runs of many seeds.

`search_table.jsonl` (made by search_table.py) holds 123 real candidates of the space of 24
dimensions, each built and scored on 600 items a side of their own. A logistic model says how likely
a candidate solves each of these items,

    logit p = bias_item + factors_candidate . loadings_item

and Gaussian processes over the candidates' weights give the factors of any other candidate. An
emulated candidate is about two points off on either side, so the emulator compares ways to search;
what the demo's parents can reach, only real runs say.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from mergesearch.objectives import ItemResult, Items, MetricValue, Objectives, Rung, TaskResult
from mergesearch.recipe import Recipe
from mergesearch.space import Space
from mergesearch.study.bayesian.gaussian_process import fit_process
from mergesearch.study.bayesian.geometry import Geometry

Floats = NDArray[np.float64]

TABLE = Path(__file__).with_name("search_table.jsonl")
WIDE = Path(__file__).parent / "spaces" / "wide.yaml"
LAYERS = 6
PARENTS = ("demo:instruct", "demo:reason")
BLOCKS = ("self_attn.q_proj", "mlp.up_proj")
SIDE_ITEMS = 600
RANK = 4


def features(recipe: Recipe) -> Floats:
    """Return what the emulator sees: method, density, and each parent's weights by layer."""
    merge = recipe.last
    part = merge.slices[0]
    parameters = {parameter.name: parameter for parameter in merge.method.parameters}
    names = [
        (f"model.layers.{layer}.{block}.weight", layer / (LAYERS - 1))
        for block in BLOCKS
        for layer in range(LAYERS)
    ]
    weights = [
        float(merge.value(parameters["weight"], source, part, name, depth) or 0.0)
        for source in merge.inputs
        if source.model in PARENTS
        for name, depth in [*names, ("model.norm.weight", 0.0)]
    ]
    ties = merge.method.name == "ties"
    first = next(source for source in merge.inputs if source.model in PARENTS)
    density = merge.value(parameters["density"], first, part, *names[0]) if ties else 0.8
    return np.array([float(ties), float(density or 0.8), *weights]) / [1, 1, *[1.5] * len(weights)]


@dataclass(frozen=True)
class Emulator:
    """The model of all candidates.

    Attributes:
        biases: How easy each recorded item is, (items,).
        loadings: Loadings of each item, (items, rank).
        factors_of: Gives the factors (rank,) of a candidate with such features.
    """

    biases: Floats
    loadings: Floats
    factors_of: Callable[[Floats], Floats]

    @classmethod
    def fit(cls) -> Emulator:
        """Fit the model to the recorded table."""
        space = Space.from_yaml(WIDE.read_text(encoding="utf-8"))
        rows = [json.loads(line) for line in TABLE.read_text().splitlines()]
        points = np.array([features(recipe_of(space, row["point"])) for row in rows])
        solved = np.array([solved_items(row["solved"]) for row in rows])
        biases, loadings, factors = _logistic(solved)
        geometry = Geometry.plain(np.arange(points.shape[1]) == 0)
        noise = 0.05 * np.eye(len(points))
        processes = [
            fit_process(points, column, noise * column.var(), geometry) for column in factors.T
        ]

        def factors_of(point: Floats) -> Floats:
            expected = [
                process.given(process.posterior[0][None], point[None]) for process in processes
            ]
            return np.array([means[0, 0] for means, _ in expected])

        return cls(biases, loadings, factors_of)

    def chances(self, point: Floats) -> Floats:
        """Return the chance that a candidate solves each recorded item, (items,)."""
        chances: Floats = expit(self.biases + self.loadings @ self.factors_of(point))
        return chances

    def truth(self, recipe: Recipe) -> tuple[float, float]:
        """Return the share of all items of either side that a candidate solves."""
        chances = self.chances(features(recipe))
        return float(chances[:SIDE_ITEMS].mean()), float(chances[SIDE_ITEMS:].mean())


def recipe_of(space: Space, point: Sequence[float] | Floats) -> Recipe:
    """Return the recipe of a point of the wide space: method (0 or 1), density, weights."""
    method, density, *weights = point
    left = iter(weights)
    values: dict[str, Any] = {}
    for dimension in space.dimensions:
        if dimension.choices:
            values[dimension.name] = ("task_arithmetic", "ties")[int(method > 0.5)]
        elif "density" in dimension.name:
            values[dimension.name] = density
        else:
            values[dimension.name] = next(left)
    return space.recipe(values)


def solved_items(number: str) -> Floats:
    """Return which recorded items a hexadecimal number says are solved, 1 or 0, (items,)."""
    return np.array([float(bit) for bit in f"{int(number, 16):0{2 * SIDE_ITEMS}b}"])


def _logistic(solved: Floats) -> tuple[Floats, Floats, Floats]:
    """Biases (items,), loadings (items, rank) and factors (candidates, rank), drawn towards 0."""
    n_candidates, n_items = solved.shape
    rng = np.random.default_rng(0)
    start = np.r_[np.zeros(n_items), 0.3 * rng.standard_normal((n_items + n_candidates) * RANK)]

    def parts(numbers: Floats) -> tuple[Floats, Floats, Floats]:
        biases, loadings, factors = np.split(numbers, [n_items, n_items * (1 + RANK)])
        return biases, loadings.reshape(n_items, RANK), factors.reshape(n_candidates, RANK)

    def loss(numbers: Floats) -> tuple[float, Floats]:
        biases, loadings, factors = parts(numbers)
        logits = biases + factors @ loadings.T
        error = expit(logits) - solved
        total = np.logaddexp(0, logits).sum() - (solved * logits).sum()
        total += 0.5 * (0.01 * biases @ biases + 0.15 * (loadings**2).sum() + (factors**2).sum())
        gradients = (
            error.sum(axis=0) + 0.01 * biases,
            error.T @ factors + 0.15 * loadings,
            error @ loadings + factors,
        )
        return float(total), np.concatenate([gradient.ravel() for gradient in gradients])

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return parts(found.x)


@dataclass
class EmulatedCandidate:
    """A candidate that is not built."""

    recipe: Recipe
    digest: str
    size: int = 0

    def __enter__(self) -> EmulatedCandidate:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class EmulatedItems:
    """What candidates give on the items of one run.

    Args:
        emulator: Model of the candidates.
        objectives: Objectives of the run.
        seed: Seed of the run, which draws its items from the recorded ones.
    """

    def __init__(self, emulator: Emulator, objectives: Objectives, seed: int) -> None:
        self._emulator = emulator
        self._objectives = objectives
        self._uses = {
            use.task: (use, side)
            for side, objective in enumerate(objectives.objectives)
            for use in objective.uses
        }
        self._seed = seed
        self._recorded = {
            task: side * SIDE_ITEMS
            + self._rng(task).integers(SIDE_ITEMS, size=use.search_items + use.validate_items)
            for task, (use, side) in self._uses.items()
        }
        self.order: dict[Rung, Items] = {
            Rung.SEARCH: {task: range(use.search_items) for task, (use, _) in self._uses.items()},
            Rung.VALIDATE: {
                task: range(use.search_items, use.search_items + use.validate_items)
                for task, (use, _) in self._uses.items()
            },
        }

    def build(self, recipe: Recipe, stop: threading.Event) -> EmulatedCandidate:
        """Return the candidate of a recipe."""
        return EmulatedCandidate(recipe, recipe.digest())

    def score(
        self, candidate: EmulatedCandidate, rung: Rung, on_progress: Any, items: Items | None
    ) -> dict[str, TaskResult]:
        """Score a candidate on items of a rung; the same again for the same candidate and item."""
        chances = self._emulator.chances(features(candidate.recipe))
        return {
            task: self._task(task, candidate.digest, chances, list(numbers))
            for task, numbers in (items or self.order[rung]).items()
        }

    def member(self, recipe: Recipe) -> dict[str, Any]:
        """Return a recipe as a member of a front that is scored on all search items."""
        results = self.score(EmulatedCandidate(recipe, recipe.digest()), Rung.SEARCH, None, None)
        scores = self._objectives.scores(results)
        values = {name: asdict(score) for name, score in scores.items()}
        return {"values": values, "recipe": recipe.to_dict()}

    def _task(self, task: str, digest: str, chances: Floats, numbers: Sequence[int]) -> TaskResult:
        recorded = self._recorded[task]
        drawn = self._rng(task, digest).random(len(recorded))
        solved = (drawn < chances[recorded])[numbers].astype(float)
        metric = self._uses[task][0].metric
        found = tuple(
            ItemResult(task, number, {metric: float(value)})
            for number, value in zip(numbers, solved, strict=True)
        )
        error = float(solved.std() / np.sqrt(len(solved)))
        return TaskResult(
            task, {metric: MetricValue(float(solved.mean()), error)}, len(found), 0, found
        )

    def _rng(self, *names: str) -> np.random.Generator:
        key = hashlib.sha256("/".join((str(self._seed), *names)).encode()).digest()
        return np.random.default_rng(int.from_bytes(key[:8], "big"))
