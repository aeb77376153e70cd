"""A Gaussian process whose observations carry errors of their own, correlated ones included.

Points have one column per dimension: a place in [0, 1] of a range, or the index of a choice. The
kernel is Matérn 5/2 with a length scale per coordinate (see `geometry`), where two different
choices are as far apart as the two ends of a range. Length scales, amplitude and roughness are
those of the largest posterior density. The prior of the length scales grows with the root of the
number of dimensions (Hvarfner, Hellsten and Nardi, "Vanilla Bayesian Optimization Performs Great in
High Dimensions", 2024, section 4), so that many dimensions are not fitted to few points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from mergesearch.study.bayesian.geometry import Geometry
from mergesearch.study.pareto import Floats

LENGTH_SPREAD = 1.0
"""Standard deviation of the prior of a length scale's logarithm."""
LENGTH_CENTRE = -0.7
"""Centre of the prior of a length scale's logarithm in one dimension."""
ROUGHNESS = -6.0
"""Centre of the prior of the roughness' logarithm, a variance of standardized values."""


def matern(squares: Floats) -> Floats:
    """Matérn 5/2 correlation of points whose scaled squared distance is given."""
    root = np.sqrt(5 * squares)
    correlation: Floats = (1 + root + root**2 / 3) * np.exp(-root)
    return correlation


@dataclass(frozen=True)
class Process:
    """A fitted process; values are standardized inside and as observed outside.

    Attributes:
        points: Observed points, (points, dimensions).
        geometry: How points are compared.
        scales: Inverse squared length scales, (coordinates,).
        amplitude: Variance of the process.
        roughness: Variance that no neighbour explains.
        values: Observed values minus `mean`, (points,).
        noise: Covariance of the errors of the values, (points, points).
        mean: Value far away from every observation.
    """

    points: Floats
    geometry: Geometry
    scales: Floats
    amplitude: float
    roughness: float
    values: Floats
    noise: Floats
    mean: float

    def kernel(self, left: Floats, right: Floats) -> Floats:
        """Prior covariance of the process at two sets of points, (left, right)."""
        squares = np.tensordot(self.scales, self.geometry.distances(left, right), 1)
        return self.amplitude * matern(squares)

    @cached_property
    def prior(self) -> Floats:
        """Prior covariance at the observed points."""
        return self.kernel(self.points, self.points) + self.roughness * np.eye(len(self.points))

    @cached_property
    def posterior(self) -> tuple[Floats, Floats]:
        """Mean (points,) and covariance (points, points) of the process at the observed points."""
        return self._posterior(self.prior)

    def posterior_with_mean(self, variance: float) -> tuple[Floats, Floats]:
        """The posterior where the mean is not known either, but normal with this variance.

        An error that all observations share is then not taken for the mean.
        """
        return self._posterior(self.prior + variance)

    def _posterior(self, prior: Floats) -> tuple[Floats, Floats]:
        factor = cho_factor(prior + self.noise, lower=True)
        mean = self.mean + prior @ cho_solve(factor, self.values)
        covariance = prior - prior @ cho_solve(factor, prior)
        return mean, (covariance + covariance.T) / 2

    @cached_property
    def inverse(self) -> Floats:
        """Inverse of the prior covariance at the observed points."""
        jitter = 1e-8 * self.amplitude * np.eye(len(self.points))
        return np.asarray(cho_solve(cho_factor(self.prior + jitter), np.eye(len(self.points))))

    def given(self, truths: Floats, points: Floats) -> tuple[Floats, Floats]:
        """Means (draws, points) and variances (points,) where the observed points' truth is known.

        Args:
            truths: What the process may be at the observed points, (draws, observed points).
            points: Points at which the process is asked for, (points, dimensions).
        """
        across = self.kernel(self.points, points)
        weights = self.inverse @ across
        means = self.mean + (truths - self.mean) @ weights
        variances = self.amplitude + self.roughness - np.einsum("op,op->p", across, weights)
        return means, np.maximum(variances, 1e-12)

    def slopes(self, truths: Floats, point: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """What `given` gives at one point (dimensions,), with the derivatives by its ranges.

        Returns:
            Means (draws,) and variance (1,), and the derivatives of the means (draws, dimensions)
            and of the variance (dimensions,); those by a choice are 0.
        """
        across, slope = self._kernel_slopes(point)
        weights = self.inverse @ across
        spread = (truths - self.mean) @ self.inverse
        variance = np.maximum(self.amplitude + self.roughness - across @ weights, 1e-12)
        means = self.mean + spread @ across
        return means, np.atleast_1d(variance), spread @ slope, -2 * weights @ slope

    @cached_property
    def observed_inverse(self) -> Floats:
        """Inverse of the covariance of the observed values, errors and all."""
        factor = cho_factor(self.prior + self.noise)
        return np.asarray(cho_solve(factor, np.eye(len(self.points))))

    def foreseen(self, points: Floats) -> tuple[Floats, Floats]:
        """Means (points,) and variances (points,) of the process, given what was observed.

        Args:
            points: Points at which the process is asked for, (points, dimensions).
        """
        across = self.kernel(self.points, points)
        weights = self.observed_inverse @ across
        variances = self.amplitude - np.einsum("op,op->p", across, weights)
        return self.mean + self.values @ weights, np.maximum(variances, 1e-12)

    def foreseen_slopes(self, point: Floats) -> tuple[float, float, Floats, Floats]:
        """What `foreseen` gives at one point, with the derivatives (dimensions,) of both."""
        across, slope = self._kernel_slopes(point)
        weights = self.observed_inverse @ across
        variance = max(float(self.amplitude - across @ weights), 1e-12)
        mean = self.mean + float(self.values @ weights)
        return mean, variance, self.values @ self.observed_inverse @ slope, -2 * weights @ slope

    def _kernel_slopes(self, point: Floats) -> tuple[Floats, Floats]:
        """Prior covariance (points,) with one point, and its derivatives (points, dimensions)."""
        gaps = self.geometry.distances(self.points, point[None])[:, :, 0]
        root = np.sqrt(5 * (self.scales @ gaps))
        decay = self.amplitude * np.exp(-root)
        away = self.geometry.slopes(point - self.points, self.scales)
        slope = (-5 / 6 * (1 + root) * decay)[:, None] * away
        return (1 + root + root**2 / 3) * decay, slope


def fit_process(points: Floats, values: Floats, noise: Floats, geometry: Geometry) -> Process:
    """Fit a process to `values` (points,) with errors of covariance `noise` (points, points).

    Args:
        points: Observed points, (points, dimensions).
        values: Observed values.
        noise: Covariance of the values' errors.
    """
    spread = float(np.std(values)) or 1.0
    centre = float(np.mean(values))
    model = _Evidence(points, (values - centre) / spread, noise / spread**2, geometry)
    found = minimize(
        model.loss,
        model.start(),
        jac=True,
        method="L-BFGS-B",
        bounds=model.bounds(),
        options={"maxiter": 60},
    )
    scales, amplitude, roughness = model.parts(found.x)
    offset = model.offset(found.x)
    return Process(
        points,
        geometry,
        scales,
        amplitude * spread**2,
        roughness * spread**2,
        values - centre - offset * spread,
        noise,
        centre + offset * spread,
    )


class _Evidence:
    """The negative logarithm of the posterior density of the parameters, with its gradient.

    Parameters are logarithms: length scales (dimensions,), amplitude, roughness.
    """

    def __init__(self, points: Floats, values: Floats, noise: Floats, geometry: Geometry) -> None:
        self.values = values
        self.noise = noise
        self.gaps = geometry.distances(points, points)
        centre = LENGTH_CENTRE + np.log(len(geometry.relevance)) / 2
        self.centre = centre - np.log(geometry.relevance) / 2

    def start(self) -> Floats:
        """Where the search for the parameters begins."""
        return np.r_[self.centre - 0.5, 0.0, ROUGHNESS]

    def bounds(self) -> list[tuple[float, float]]:
        """Bounds of the parameters."""
        return [*((centre - 4, centre + 4) for centre in self.centre), (-3.0, 3.0), (-12.0, -1.0)]

    def parts(self, parameters: Floats) -> tuple[Floats, float, float]:
        """Inverse squared length scales, amplitude and roughness."""
        return (
            np.exp(-2 * parameters[:-2]),
            float(np.exp(parameters[-2])),
            float(np.exp(parameters[-1])),
        )

    def offset(self, parameters: Floats) -> float:
        """The mean of the process that fits best, drawn a little towards that of the values."""
        scales, amplitude, roughness = self.parts(parameters)
        squares = np.tensordot(scales, self.gaps, 1)
        covariance = amplitude * matern(squares) + self.noise
        covariance[np.diag_indices_from(covariance)] += roughness
        solved = np.linalg.solve(covariance, np.column_stack([self.values, np.ones(len(squares))]))
        return float(solved[:, 0].sum() / (solved[:, 1].sum() + 1.0))

    def loss(self, parameters: Floats) -> tuple[float, Floats]:
        """The function to minimize and its gradient."""
        scales, amplitude, roughness = self.parts(parameters)
        squares = np.tensordot(scales, self.gaps, 1)
        root = np.sqrt(5 * squares)
        decay = np.exp(-root)
        process = amplitude * (1 + root + root**2 / 3) * decay
        # A unit variance for the mean: it is integrated out.
        covariance = process + self.noise + 1.0
        covariance[np.diag_indices_from(covariance)] += roughness + 1e-9
        factor = np.linalg.cholesky(covariance)
        inverse = cho_solve((factor, True), np.eye(len(factor)))
        solved = inverse @ self.values
        loss = 0.5 * self.values @ solved + np.log(np.diag(factor)).sum()
        slope = 0.5 * (inverse - np.outer(solved, solved))  # d loss / d covariance
        # d matern / d squares = -(5/6) (1 + root) exp(-root)
        weighted = slope * (amplitude * (5 / 6) * (1 + root) * decay)
        lengths = 2 * scales * np.tensordot(self.gaps, weighted, 2)
        gradient = np.r_[lengths, (slope * process).sum(), np.trace(slope) * roughness]
        far = (parameters[:-2] - self.centre) / LENGTH_SPREAD**2
        loss += 0.5 * ((parameters[:-2] - self.centre) ** 2).sum() / LENGTH_SPREAD**2
        loss += 0.5 * parameters[-2] ** 2 + 0.5 * (parameters[-1] - ROUGHNESS) ** 2
        gradient += np.r_[far, parameters[-2], parameters[-1] - ROUGHNESS]
        return float(loss), gradient
