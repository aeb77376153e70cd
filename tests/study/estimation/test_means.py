import numpy as np
import pytest

from mergesearch.study.estimation.means import estimate_means

POOL, CHUNK = 800, 20


def results_of(n_candidates, n_items, rng):
    """Right and wrong answers by items of varying difficulty that candidates differ on a little."""
    ability = rng.normal(0, 0.3, n_candidates)
    taste = rng.normal(size=(n_candidates, 2))
    difficulty = rng.normal(-1, 3, n_items)
    logit = ability[:, None] + difficulty + taste @ rng.normal(size=(2, n_items))
    return (rng.random((n_candidates, n_items)) < 1 / (1 + np.exp(-logit))).astype(float)


def partly_scored(results, count, rng):
    """The results of `count` items of each candidate, in random chunks."""
    seen = np.full_like(results, np.nan)
    for row, own in zip(seen, results, strict=True):
        chunks = rng.permutation(results.shape[1] // CHUNK)[: count // CHUNK]
        items = (chunks[:, None] * CHUNK + np.arange(CHUNK)).ravel()
        row[items] = own[items]
    return seen


def test_items_scored_by_all_give_plain_means_and_their_errors():
    results = results_of(8, 500, np.random.default_rng(0))
    means = estimate_means(results)
    plain = results.std(axis=1, ddof=1) / np.sqrt(500)
    assert means.values == pytest.approx(results.mean(axis=1))
    assert means.errors == pytest.approx(plain, rel=0.08)


def test_the_whole_pool_leaves_no_error_about_the_pool():
    results = results_of(8, 500, np.random.default_rng(0))
    means = estimate_means(results, pool=500)
    assert means.covariance == pytest.approx(np.zeros((8, 8)), abs=1e-12)


def test_paired_differences_have_the_errors_of_paired_differences():
    results = results_of(6, 600, np.random.default_rng(1))
    covariance = estimate_means(results).covariance
    paired = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert paired == pytest.approx(np.std(results[0] - results[1]) / np.sqrt(600), rel=0.15)


def test_candidates_help_each_other_and_intervals_hold_what_they_promise():
    """Each of 20 candidates is scored on a fifth of the pool; the truth is the whole pool."""
    rng = np.random.default_rng(4)
    told, plain, held = [], [], []
    for _ in range(20):
        results = results_of(20, POOL, rng)
        seen = partly_scored(results, POOL // 5, rng)
        means = estimate_means(seen, pool=POOL)
        error = means.values - results.mean(axis=1)
        told.append(error)
        plain.append(np.nanmean(seen, axis=1) - results.mean(axis=1))
        held.append(np.abs(error) < 1.96 * means.errors)
    assert np.std(told) < 0.85 * np.std(plain)
    assert 0.93 <= np.mean(held) <= 0.97
