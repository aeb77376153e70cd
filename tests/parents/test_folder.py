"""Parents in folders: single and sharded, tied heads, and everything that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.parents import make_config, make_parent, make_weights, write_parent

from mergesearch.errors import CheckpointError, InputError
from mergesearch.merge import plan_merge
from mergesearch.parents import open_checkpoint, open_parents
from mergesearch.recipe import Recipe


def linear(*models: Path) -> Recipe:
    return Recipe.from_dict(
        {"merge_method": "linear", "models": [{"model": str(one)} for one in models]}
    )


@pytest.mark.parametrize("shards", [1, 3])
def test_reads_every_tensor(shards: int, tmp_path: Path) -> None:
    config = make_config("llama")
    weights = make_weights(config, 3)
    checkpoint = open_checkpoint(str(write_parent(tmp_path / "a", config, weights, shards=shards)))
    assert set(checkpoint.tensors) == set(weights)
    for name, expected in weights.items():
        info = checkpoint.tensors[name]
        assert (info.shape, info.dtype) == (tuple(expected.shape), "BF16")
        rows = expected.shape[0] if expected.dim() == 2 else 1
        found = checkpoint.rows(name, 0, rows).reshape(expected.shape)
        assert np.array_equal(found, expected.float().numpy())


def test_tied_head_counts_as_absent(tmp_path: Path) -> None:
    """A stored head of a tied model is ignored; a head that is not stored makes the model tied."""
    config = make_config(tie_word_embeddings=False)
    weights = make_weights(config, 0)
    stored = write_parent(tmp_path / "a", config | {"tie_word_embeddings": True}, weights)
    del weights["lm_head.weight"]
    absent = write_parent(tmp_path / "b", config, weights)
    for folder in (stored, absent):
        checkpoint = open_checkpoint(str(folder))
        assert "lm_head.weight" not in checkpoint.tensors
        assert checkpoint.layout.tied
    assert len(open_parents(linear(stored, absent))) == 2


def test_overrides_come_first(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "local", 0)
    assert open_checkpoint("someone/model", {"someone/model": folder}).folder == folder
    with pytest.raises(CheckpointError, match="--parent someone/model=FOLDER"):
        open_checkpoint("someone/model")


def test_unknown_bundled_parent(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no bundled parent"):
        open_checkpoint("demo:absent")


def _edit(folder: Path, name: str, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    document = json.loads((folder / name).read_text())
    change(document)
    (folder / name).write_text(json.dumps(document))


def _pickle_only(folder: Path) -> None:
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def _truncate(folder: Path) -> None:
    file = folder / "model-00002-of-00003.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _index(change: Callable[[dict], None]) -> Callable[[Path], None]:  # type: ignore[type-arg]
    return lambda folder: _edit(folder, "model.safetensors.index.json", change)


def _config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: _edit(folder, "config.json", lambda one: one.update(changes))


NORM = "model.norm.weight"
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "config not JSON": (lambda folder: (folder / "config.json").write_text("{"), "not a config"),
    "config a list": (lambda folder: (folder / "config.json").write_text("[]"), "not a JSON obj"),
    "other architecture": (_config(architectures=["GPT2LMHeadModel"]), "GPT2LMHeadModel"),
    "no architecture": (_config(architectures=None), "unsupported architecture None"),
    "a size missing": (_config(hidden_size=None), "hidden_size is None"),
    "a size that is a text": (_config(num_hidden_layers="2"), "num_hidden_layers is '2'"),
    "fewer layers stored": (_config(num_hidden_layers=3), r"model\.layers\.2\S+ is missing"),
    "more layers stored": (_config(num_hidden_layers=1), r"unknown tensor model\.layers\.1"),
    "another width": (_config(intermediate_size=128), r"gate_proj.weight has shape \(96, 64\)"),
    "quantized": (_config(quantization_config={"bits": 4}), "quantized checkpoint"),
    "pickles only": (_pickle_only, "is a pickle"),
    "no weights": (lambda folder: [one.unlink() for one in folder.glob("*.saf*")], "no weights"),
    "a shard missing": (
        lambda folder: (folder / "model-00002-of-00003.safetensors").unlink(),
        "shard model-00002-of-00003.safetensors is missing",
    ),
    "a shard truncated": (_truncate, "truncated"),
    "index not JSON": (
        lambda folder: (folder / "model.safetensors.index.json").write_text("{"),
        "not an index",
    ),
    "index without a map": (_index(lambda one: one.clear()), "not an index"),
    "index leaving the folder": (
        _index(lambda one: one["weight_map"].update({NORM: "../other.safetensors"})),
        "outside the folder",
    ),
    "index of something else": (
        _index(lambda one: one["weight_map"].update({NORM: 7})),
        "not an index|outside the folder",
    ),
    "index wrong about a tensor": (
        _index(lambda one: one["weight_map"].update({"x": "model-00001-of-00003.safetensors"})),
        "does not hold x",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    damage, message = REFUSED[case]
    folder = make_parent(tmp_path / "a", 0, shards=3)
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_checkpoint(str(folder))
    assert str(folder) in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arch": "llama"}, "architecture: Qwen2 in .*a, Llama in .*b"),
        ({"hidden_size": 128}, r"embed_tokens.weight: \(384, 64\) in .*a, \(384, 128\) in .*b"),
        ({"intermediate_size": 128}, r"mlp.gate_proj.weight: \(96, 64\) .* \(128, 64\)"),
        ({"num_hidden_layers": 3}, "num_hidden_layers: 2 in .*a, 3 in .*b"),
        ({"num_attention_heads": 8, "num_key_value_heads": 4}, "num_attention_heads: 4 .* 8 in"),
        ({"tokenizer": "qwen2"}, r"token \d+"),
    ],
)
def test_parents_that_differ(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    """The first difference is named with both values."""
    a = make_parent(tmp_path / "a", 0)
    b = make_parent(tmp_path / "b", 1, **changes)  # type: ignore[arg-type]
    recipe = linear(a, b)
    with pytest.raises(CheckpointError, match=message):
        plan_merge(recipe, open_parents(recipe))


def test_slices_may_mix_depths(tmp_path: Path) -> None:
    """Parents of different depth fit each other in a recipe of slices."""
    a = make_parent(tmp_path / "a", 0)
    b = make_parent(tmp_path / "b", 1, num_hidden_layers=4)
    slices = [
        {"sources": [{"model": str(a), "layer_range": [0, 2]}]},
        {"sources": [{"model": str(b), "layer_range": [1, 4]}]},
    ]
    recipe = Recipe.from_dict({"merge_method": "linear", "slices": slices})
    assert plan_merge(recipe, open_parents(recipe)).layout.n_layers == 5


def test_mixed_dtypes_are_read(tmp_path: Path) -> None:
    config = make_config()
    weights = make_weights(config, 0)
    weights["model.norm.weight"] = weights["model.norm.weight"].to(torch.float32)
    checkpoint = open_checkpoint(str(write_parent(tmp_path / "a", config, weights)))
    assert checkpoint.tensors["model.norm.weight"].dtype == "F32"
