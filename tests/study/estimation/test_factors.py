import numpy as np
import pytest

from mergesearch.study.estimation.factors import fit_factors


def made_up(n_candidates, n_items, seed=0):
    """Results of a two-factor model, with the covariance that they were drawn from."""
    rng = np.random.default_rng(seed)
    loadings = np.column_stack([np.full(n_candidates, 0.4), rng.normal(0, 0.1, n_candidates)])
    mean = rng.uniform(0.2, 0.6, n_candidates)
    noise = rng.normal(0, 0.2, (n_candidates, n_items))
    results = mean[:, None] + loadings @ rng.normal(size=(2, n_items)) + noise
    return results, loadings @ loadings.T + 0.04 * np.eye(n_candidates)


def test_factors_find_the_covariance_that_results_were_drawn_from():
    results, covariance = made_up(12, 4000)
    factors = fit_factors(results)
    assert factors.covariance() == pytest.approx(covariance, abs=0.02)
    assert factors.mean == pytest.approx(results.mean(axis=1), abs=1e-3)


@pytest.mark.long
def test_factors_of_partly_scored_items_are_those_of_all():
    results, covariance = made_up(12, 4000)
    results[np.random.default_rng(1).random(results.shape) < 0.5] = np.nan
    assert fit_factors(results).covariance() == pytest.approx(covariance, abs=0.03)


def test_a_candidate_scored_on_easy_items_is_not_thought_to_be_better_than_its_twin():
    rng = np.random.default_rng(2)
    difficulty = np.linspace(0.1, 0.9, 400)
    results = np.tile(difficulty, (6, 1)) + rng.normal(0, 0.05, (6, 400))
    results[5, :200] = np.nan
    mean = fit_factors(results).mean
    assert np.nanmean(results[5]) > 0.69
    assert mean[5] == pytest.approx(mean[0], abs=0.02)


def test_a_constant_table_has_no_spread():
    factors = fit_factors(np.ones((3, 10)))
    assert factors.mean == pytest.approx([1.0, 1.0, 1.0])
    assert factors.covariance() == pytest.approx(np.zeros((3, 3)), abs=1e-11)


def test_a_single_candidate_is_its_mean_and_variance():
    factors = fit_factors(np.array([[0.0, 1.0, 1.0, 0.0, np.nan]]))
    assert factors.mean == pytest.approx([0.5])
    assert factors.covariance() == pytest.approx(np.array([[0.25]]))
