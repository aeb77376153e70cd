"""Parents in folders: single and sharded, tied heads, and everything that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.parents import make_config, make_parent, make_weights, write_parent
from safetensors.torch import load_file, save_file

from mergesearch.errors import CheckpointError, InputError
from mergesearch.merge import plan_merge
from mergesearch.parents import open_checkpoint, open_parents
from mergesearch.recipe import Recipe


def linear(*models: Path) -> Recipe:
    return Recipe.from_dict(
        {"merge_method": "linear", "models": [{"model": str(model)} for model in models]}
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


def head_of(folder: Path, tie: bool | None, *, stored: bool, arch: str = "qwen2") -> Path:
    """A parent whose config.json says that about its head, or nothing at all."""
    config = make_config(arch, tie_word_embeddings=False)
    weights = make_weights(config | {"tie_word_embeddings": arch == "gemma2"}, 0)
    if arch == "gemma2":
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"] * 2
    if not stored:
        del weights["lm_head.weight"]
    del config["tie_word_embeddings"]
    return write_parent(
        folder, config | ({} if tie is None else {"tie_word_embeddings": tie}), weights
    )


@pytest.mark.parametrize(("tie", "arch"), [(True, "qwen2"), (None, "gemma2"), (True, "gemma2")])
def test_a_stray_head_of_a_tied_model_is_left_out(
    tie: bool | None, arch: str, tmp_path: Path
) -> None:
    """Also where only the family's default ties it, as Gemma's does."""
    parents = [
        open_checkpoint(str(head_of(tmp_path / str(stored), tie, stored=stored, arch=arch)))
        for stored in (True, False)
    ]
    for parent in parents:
        assert "lm_head.weight" not in parent.tensors
        assert parent.layout.tied
        assert parent.config["tie_word_embeddings"] is True
    assert list(parents[0].notes) == [
        "lm_head.weight is left out: the model's head is its embedding"
    ]
    assert list(parents[1].notes) == []


@pytest.mark.parametrize("tie", [False, None])
def test_a_missing_head_of_an_untied_model_is_refused(tie: bool | None, tmp_path: Path) -> None:
    """It is not taken for tied: the head may only be missing from the download."""
    with pytest.raises(CheckpointError, match=r"lm_head\.weight is missing") as caught:
        open_checkpoint(str(head_of(tmp_path / "a", tie, stored=False)))
    assert '"tie_word_embeddings": true in config.json' in str(caught.value)


def test_a_head_that_is_missing_from_the_index_is_refused(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a", 0, shards=3)
    _edit(
        folder,
        "model.safetensors.index.json",
        lambda document: document["weight_map"].pop("lm_head.weight"),
    )
    with pytest.raises(CheckpointError, match=r"lm_head\.weight is missing"):
        open_checkpoint(str(folder))


def test_a_single_file_comes_before_an_index(tmp_path: Path) -> None:
    """As for transformers: the index may be that of an older checkpoint."""
    folder = make_parent(tmp_path / "a", 0)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"x": "gone"}}')
    expected = open_checkpoint(str(make_parent(tmp_path / "b", 0)))
    found = open_checkpoint(str(folder))
    assert found.tensors == expected.tensors
    assert np.array_equal(found.rows(NORM, 0, 1), expected.rows(NORM, 0, 1))


@pytest.mark.parametrize("index", ["none", "wrong"])
def test_shards_say_what_they_hold(index: str, tmp_path: Path) -> None:
    """Where there is no index, or one that looks for tensors in the wrong shard; it is noted."""
    folder = make_parent(tmp_path / "a", 0, shards=3)
    expected = open_checkpoint(str(folder))
    file = folder / "model.safetensors.index.json"
    places = json.loads(file.read_text())["weight_map"]
    file.unlink()
    if index == "wrong":
        wrong = dict.fromkeys(places, "model-00001-of-00003.safetensors")
        file.write_text(json.dumps({"weight_map": wrong}))
    found = open_checkpoint(str(folder))
    assert found.tensors == expected.tensors
    for name in found.tensors:
        assert np.array_equal(found.rows(name, 0, 1), expected.rows(name, 0, 1))
    assert "model.safetensors.index.json" in found.notes[0]
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match="00002-of-00003"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("model.embeddings.position_ids", torch.int64),
        ("model.layers.0.self_attn.mask", torch.bool),
        ("model.layers.0.self_attn.rotary_emb.inv_freq", torch.float32),
    ],
)
def test_buffers_are_no_weights(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    config = make_config()
    weights = make_weights(config, 0) | {name: torch.ones(16).to(dtype)}
    checkpoint = open_checkpoint(str(write_parent(tmp_path / "a", config, weights)))
    assert set(checkpoint.tensors) == {*weights} - {name}


def test_layers_that_predict_ahead_are_left_out(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a", arch="qwen3_5_text")
    expected = open_checkpoint(str(folder)).tensors
    tensors = load_file(folder / "model.safetensors")
    ahead = {
        "mtp.layers.0.mlp.up_proj.weight": torch.zeros(96, 64),
        "mtp.norm.weight": torch.ones(64),
    }
    save_file(tensors | ahead, folder / "model.safetensors")
    found = open_checkpoint(str(folder))
    assert found.tensors == expected
    assert found.notes == ("2 tensors that predict several tokens are left out",)


def with_tokens_beyond(folder: Path, **settings: object) -> Path:
    """A parent of 360 rows whose tokenizer has two more tokens."""
    make_parent(folder, 0, vocab_size=360)
    added = [
        {"id": 360 + place, "content": text, "special": True, "normalized": False}
        for place, text in enumerate(("[PAD]", "<extra>"))
    ]
    _edit(folder, "tokenizer.json", lambda document: document["added_tokens"].extend(added))
    _edit(folder, "tokenizer_config.json", lambda document: document.update(settings))
    return folder


@pytest.mark.parametrize("pad", ["[PAD]", {"content": "[PAD]"}])
def test_tokens_beyond_the_embedding_are_left_out(pad: object, tmp_path: Path) -> None:
    """A padding token is not needed to generate; nothing names it afterwards."""
    parent = open_checkpoint(str(with_tokens_beyond(tmp_path / "a", pad_token=pad)))
    assert parent.tokenizer is not None
    assert max(parent.tokenizer.tokens) == 359
    assert "pad_token" not in parent.tokenizer.settings
    assert list(parent.notes) == [
        "'[PAD]', '<extra>' are left out of the tokenizer: the embedding has 360 rows"
    ]


@pytest.mark.parametrize(
    ("settings", "user"),
    [
        ({"eos_token": "<extra>"}, "eos_token"),
        ({"bos_token": {"content": "<extra>"}}, "bos_token"),
        ({"chat_template": "{{ '<extra>' }}"}, "the chat template"),
    ],
)
def test_tokens_beyond_the_embedding_that_are_needed_are_refused(
    settings: dict[str, object], user: str, tmp_path: Path
) -> None:
    folder = with_tokens_beyond(tmp_path / "a", **settings)
    parent = open_checkpoint(str(folder))
    message = f"'<extra>' has row 361 of an embedding of 360 rows, and {user} needs it"
    with pytest.raises(CheckpointError, match=message) as caught:
        _ = parent.tokenizer
    assert str(folder) in str(caught.value)


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
    return lambda folder: _edit(folder, "config.json", lambda document: document.update(changes))


NORM = "model.norm.weight"
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "config not JSON": (lambda folder: (folder / "config.json").write_text("{"), "not valid JSON"),
    "config a list": (
        lambda folder: (folder / "config.json").write_text("[]"),
        "a list is not",
    ),
    "other architecture": (_config(architectures=["GPT2LMHeadModel"]), "GPT2LMHeadModel"),
    "no architecture": (_config(architectures=None), r"config\.json: names no architecture"),
    "a size missing": (_config(hidden_size=None), r"config\.json: needs `hidden_size`"),
    "a size that is a text": (_config(num_hidden_layers="2"), "num_hidden_layers: .2. is not a wh"),
    "no end of layers": (_config(num_hidden_layers=10**7), "27 tensors for 10000000 layers"),
    "architectures of another kind": (_config(architectures=[{}]), "a mapping is not a string"),
    "architectures that are a text": (_config(architectures="x"), '"x" is not a list'),
    "a norm without a size": (_config(rms_norm_eps=float("nan")), "rms_norm_eps: NaN is out of"),
    "positions that do not turn": (_config(rope_theta=0), "rope_theta: 0 is out of range"),
    "a norm that no file can hold": (_config(rms_norm_eps=1e-50), "1e-50 is too close to 0"),
    "another activation": (_config(hidden_act="tanh"), r'config\.json: hidden_act is "tanh"'),
    "heads that cannot share": (_config(num_key_value_heads=3), "4 attention heads share 3 heads"),
    "half a pair": (_config(head_dim=15), "heads of 15 rows"),
    "half a character": (_config(x="\ud800"), "half of a character"),
    "fewer layers stored": (_config(num_hidden_layers=3), r"model\.layers\.2\S+ is missing"),
    "more layers stored": (_config(num_hidden_layers=1), r"unknown tensor model\.layers\.1"),
    "another width": (_config(intermediate_size=128), r"gate_proj.weight has shape \(96, 64\)"),
    "another scaling": (
        _config(rope_scaling={"rope_type": "magic"}),
        r"config\.json: rope_type 'magic' of Qwen2\n  expected: default, dynamic, linear, yarn",
    ),
    "Llama's scaling elsewhere": (
        _config(rope_scaling={"rope_type": "llama3", "factor": 8.0}),
        "rope_type 'llama3' of Qwen2",
    ),
    "no factor": (_config(rope_scaling={"type": "yarn"}), "rope_type 'yarn' needs `factor`"),
    "an end that is a text": (_config(eos_token_id="x"), 'eos_token_id: "x" is not the id of a'),
    "an end below zero": (_config(eos_token_id=[0, -5]), "eos_token_id: a list is not the id of a"),
    "an end beyond the rows": (
        _config(eos_token_id=[0, 384]),
        "eos_token_id: 384 is out of range\n  expected: below 384",
    ),
    "a beginning out of this world": (_config(bos_token_id=10**20), "bos_token_id: 10{20} is not"),
    "quantized": (_config(quantization_config={"bits": 4}), "quantized checkpoint"),
    "pickles only": (_pickle_only, "is a pickle"),
    "no weights": (lambda folder: [file.unlink() for file in folder.glob("*.saf*")], "no weights"),
    "a shard missing": (
        lambda folder: (folder / "model-00002-of-00003.safetensors").unlink(),
        "shard model-00002-of-00003.safetensors is missing",
    ),
    "a shard truncated": (_truncate, "truncated"),
    "index not JSON": (
        lambda folder: (folder / "model.safetensors.index.json").write_text("{"),
        "not valid JSON",
    ),
    "index without a map": (_index(lambda document: document.clear()), "needs `weight_map`"),
    "index leaving the folder": (
        _index(lambda document: document["weight_map"].update({NORM: "../other.safetensors"})),
        'weight_map.model.norm.weight: "../other.safetensors" is not the name of a file',
    ),
    "index of something else": (
        _index(lambda document: document["weight_map"].update({NORM: 7})),
        "weight_map.model.norm.weight: 7 is not a string",
    ),
    "index with an endless name": (
        _index(lambda document: document["weight_map"].update({NORM: "x" * 5000})),
        r'"x+\.\.\. is not the name of a file in the folder',
    ),
    "index wrong about a tensor": (
        _index(
            lambda document: document["weight_map"].update(
                {"x": "model-00001-of-00003.safetensors"}
            )
        ),
        "does not hold x",
    ),
}


@pytest.mark.parametrize("name", ["lm_head.weight", "model.layers.0.mlp.up_proj.qweight"])
def test_weights_of_whole_numbers_are_refused_as_quantized(name: str, tmp_path: Path) -> None:
    config = make_config()
    weights = make_weights(config, 0) | {name: torch.ones((384, 64), dtype=torch.int8)}
    folder = write_parent(tmp_path / "a", config, weights)
    with pytest.raises(CheckpointError, match=f"{name}: dtype I8\n  expected: F32, BF16 or F16"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_told_from_the_file(name: str, tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a", 0)
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(
        CheckpointError, match=f"{name}: cannot be read: it is a pointer of Git LFS"
    ):
        assert open_checkpoint(str(folder)).tokenizer


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
        plan_merge(recipe, open_parents(recipe.parents()))


def test_slices_may_mix_depths(tmp_path: Path) -> None:
    """Parents of different depth fit each other in a recipe of slices."""
    a = make_parent(tmp_path / "a", 0)
    b = make_parent(tmp_path / "b", 1, num_hidden_layers=4)
    slices = [
        {"sources": [{"model": str(a), "layer_range": [0, 2]}]},
        {"sources": [{"model": str(b), "layer_range": [1, 4]}]},
    ]
    recipe = Recipe.from_dict({"merge_method": "linear", "slices": slices})
    assert plan_merge(recipe, open_parents(recipe.parents())).layout.n_layers == 5


def test_mixed_dtypes_are_read(tmp_path: Path) -> None:
    config = make_config()
    weights = make_weights(config, 0)
    weights["model.norm.weight"] = weights["model.norm.weight"].to(torch.float32)
    checkpoint = open_checkpoint(str(write_parent(tmp_path / "a", config, weights)))
    assert checkpoint.tensors["model.norm.weight"].dtype == "F32"


def test_ordinary_tokens_beyond_the_embedding_are_not_left_out(tmp_path: Path) -> None:
    """Text would be split otherwise without them; the result's embedding has to hold them."""
    parent = open_checkpoint(str(make_parent(tmp_path / "a", 0, vocab_size=300)))
    assert parent.tokenizer is not None
    assert max(parent.tokenizer.tokens) == 359
    assert list(parent.notes) == []
