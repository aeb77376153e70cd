"""Whole merges against mergekit itself, in float32; skipped where it is not installed.

The parents are float32: among bfloat16 deltas many magnitudes are equal, and which of those at the
threshold mergekit's unstable sort keeps is left to chance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mergekit_runs import compare_with_mergekit
from parents import make_family

from mergesearch.merge import sparsifiers
from mergesearch.merge.noise import noise, noise_key

pytestmark = pytest.mark.mergekit

GRADIENT = [0.1, 0.9, 0.4]
FILTERED = [
    {"filter": "self_attn", "value": [0.2, 1.1]},
    {"filter": "mlp.down_proj", "value": 0.35},
    {"value": 0.6},
]


def whole(method: str, weights: list[Any], density: Any = None, **parameters: Any) -> Any:
    """A recipe over whole models a, b (and base)."""
    models = []
    for name, weight in zip(("a", "b"), weights, strict=True):
        own = {"weight": weight} | ({} if density is None else {"density": density})
        models.append({"model": name, "parameters": own})
    base = {} if method == "linear" else {"base_model": "base"}
    return {"merge_method": method, "models": models, "parameters": parameters} | base


def plain(method: str, parents: str = "ab", **parameters: Any) -> Any:
    """A recipe over whole models without parameters of their own."""
    models = [{"model": one} for one in parents]
    base = {} if method == "passthrough" else {"base_model": "base"}
    return {"merge_method": method, "models": models, "parameters": parameters} | base


def without_base(document: Any) -> Any:
    return {key: value for key, value in document.items() if key != "base_model"}


def sliced(method: str, base: str | None, parameters: Any, ranges: list[Any]) -> Any:
    """A frankenmerge: a slice per pair of layer ranges of a and b."""
    slices = []
    for span_a, span_b in ranges:
        sources = [{"model": "a", "layer_range": span_a}, {"model": "b", "layer_range": span_b}]
        if method == "linear":
            for source, weight in zip(sources, (0.25, [0.5, 1.0]), strict=True):
                source["parameters"] = {"weight": weight}
        slices.append({"sources": sources})
    document = {"merge_method": method, "slices": slices, "parameters": parameters}
    return document | ({} if base is None else {"base_model": base})


SLERP = {"merge_method": "slerp", "base_model": "a", "models": [{"model": "a"}, {"model": "b"}]}
CASES = {
    "linear": whole("linear", [0.7, 0.6]),
    "linear, gradient and filters, not normalized": whole(
        "linear", [GRADIENT, FILTERED], normalize=False
    ),
    "linear, one of ten": whole("linear", [3, 1]),
    "task_arithmetic": whole("task_arithmetic", [0.5, 0.8], **{"lambda": 0.9}),
    "task_arithmetic, gradient and filters, normalized": whole(
        "task_arithmetic", [GRADIENT, FILTERED], normalize=True
    ),
    "ties": whole("ties", [0.5, 0.8], density=0.4),
    "ties, gradient and filters, not normalized": whole(
        "ties", [GRADIENT, FILTERED], density=[0.9, 0.2, 0.55], normalize=False, **{"lambda": 1.2}
    ),
    "ties, int8_mask, density 1": whole("ties", [1.0, -0.5], density=1.0, int8_mask=True),
    "ties, rescaled": whole("ties", [0.5, 0.8], density=0.4, rescale=True),
    "breadcrumbs": whole("breadcrumbs", [0.5, 0.8], density=0.6),
    "breadcrumbs, gradient and filters": whole(
        "breadcrumbs", [GRADIENT, FILTERED], density=[0.9, 0.4], gamma=0.2, normalize=True
    ),
    "breadcrumbs_ties": whole("breadcrumbs_ties", [0.5, 0.8], density=0.6, gamma=0.05),
    "breadcrumbs_ties, rescaled": whole(
        "breadcrumbs_ties", [1.0, -0.5], density=0.95, gamma=0.1, rescale=True, **{"lambda": 0.9}
    ),
    "dare_linear, density 1": whole("dare_linear", [0.5, 0.8], density=1.0),
    "della, density 1": whole("della", [1.0, 0.8], density=1.0, **{"lambda": 0.9}),
    "sce": plain("sce"),
    "sce, three parents, part of the entries": plain("sce", "abc", select_topk=0.3),
    "sce, gradient": plain("sce", "abc", select_topk=[0.9, 0.1, 0.75], int8_mask=True),
    "sce, nothing": plain("sce", select_topk=0.0),
    "model_stock": plain("model_stock"),
    "model_stock, three parents": plain("model_stock", "abc"),
    "model_stock, each row": plain("model_stock", "abc", filter_wise=True),
    "passthrough": plain("passthrough", "a"),
    "passthrough, scaled": {
        "merge_method": "passthrough",
        "models": [{"model": "a", "parameters": {"scale": FILTERED}}],
    },
    "nuslerp": whole("nuslerp", [0.5, 0.8]),
    "nuslerp, gradient and filters": whole("nuslerp", [GRADIENT, FILTERED]),
    "nuslerp, weights that cancel": whole("nuslerp", [1.0, -1.0]),
    "nuslerp, rows": whole("nuslerp", [0.5, 0.8], nuslerp_flatten=False),
    "nuslerp, columns": whole("nuslerp", [0.5, 0.8], nuslerp_flatten=False, nuslerp_row_wise=True),
    "nuslerp without a base": without_base(whole("nuslerp", [0.5, 0.8])),
    "nuslerp without a base, rows": without_base(
        whole("nuslerp", [0.5, 0.8], nuslerp_flatten=False)
    ),
    "nuslerp without a base, columns": without_base(
        whole("nuslerp", [0.5, 0.8], nuslerp_flatten=False, nuslerp_row_wise=True)
    ),
    "slerp": SLERP | {"parameters": {"t": 0.3}},
    "slerp, gradient and filters": SLERP
    | {"parameters": {"t": [{"filter": "mlp", "value": GRADIENT}, {"value": 0.5}]}},
    "slices, linear": sliced("linear", None, {}, [([0, 3], [1, 4]), ([2, 4], [0, 2])]),
    "slices, passthrough": {
        "merge_method": "passthrough",
        "slices": [
            {"sources": [{"model": one, "layer_range": span}]}
            for one, span in (("a", [0, 3]), ("b", [1, 4]))
        ],
    },
    "slices, slerp": sliced(
        "slerp", "a", {"t": GRADIENT}, [([0, 2], [2, 4]), ([1, 2], [3, 4]), ([2, 4], [2, 4])]
    ),
}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_family(
        tmp_path_factory.mktemp("family"),
        ("base", "a", "b", "c"),
        arch="llama",
        num_hidden_layers=4,
        shards=2,
        dtype=torch.float32,
    )


@pytest.mark.parametrize("case", CASES)
def test_merges_equal_mergekit(case: str, family: dict[str, str], tmp_path: Path) -> None:
    """Every tensor is within 1e-6 of its largest value of mergekit's float32 result."""
    difference, count = compare_with_mergekit(CASES[case], family, tmp_path)
    assert count > 30
    print(f"{case}: {difference:.2e} over {count} tensors")
    assert difference < 1e-6


@pytest.mark.parametrize("shape", [(40, 24), (33,)])
@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize(("ours", "theirs"), [("random", "random"), ("by_rank", "della_magprune")])
def test_random_sparsifiers_equal_mergekit_under_the_same_numbers(
    ours: str, theirs: str, rescale: bool, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """mergekit's Bernoulli draws are replaced by comparisons with our random numbers."""
    mergekit = pytest.importorskip("mergekit.sparsify")
    key = noise_key(1, "", "a", "x")

    def bernoulli(chances: torch.Tensor) -> torch.Tensor:
        draws = noise(key, 0, chances.numel()).astype(np.float64) / 2**32
        return (torch.from_numpy(draws).reshape(chances.shape) < chances).float()

    monkeypatch.setattr(torch, "bernoulli", bernoulli)
    delta = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    expected = mergekit.sparsify(
        torch.from_numpy(delta),
        density=0.4,
        method=mergekit.SparsificationMethod(theirs),
        epsilon=0.3,
        rescale_norm=mergekit.RescaleNorm.l1 if rescale else None,
    ).numpy()
    rows = delta.reshape(-1, shape[-1])
    sparse = sparsifiers.sparsified(
        getattr(sparsifiers, ours),
        lambda: [(0, rows)],
        delta.size,
        sparsifiers.Choice(0.4, epsilon=0.3, key=key),
        rescale,
    )
    found = sparse(rows, 0).reshape(shape)
    assert 0 < np.count_nonzero(found) < delta.size
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()
