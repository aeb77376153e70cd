"""Adapters: the plain formula in float64, how rows are cut, and everything that is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl
from helpers.adapters import PREFIX, make_pair, make_tensors, write_adapter
from helpers.parents import make_config, make_parent
from safetensors.numpy import load_file, save_file

from mergesearch._system.spare import Spare
from mergesearch.errors import CheckpointError
from mergesearch.gguf import EMBEDDING, HEAD
from mergesearch.parents import Checkpoint, open_checkpoint
from mergesearch.parents.adapter import LowRankChange

CONFIG = make_config("llama", vocab_size=200)
Q, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_parent(tmp_path_factory.mktemp("base"), 1, arch="llama", vocab_size=200)


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_parent(
        tmp_path_factory.mktemp("tied"), 1, arch="llama", vocab_size=200, tie_word_embeddings=True
    )


def read(checkpoint: Checkpoint, name: str) -> Any:
    """A whole tensor in its own shape."""
    shape = checkpoint.tensors[name].shape
    return checkpoint.rows(name, 0, shape[0] if len(shape) == 2 else 1).reshape(shape)


def change(adapted: Checkpoint, base: Path, name: str) -> Any:
    """What the adapter adds to a tensor, in float64."""
    source = name if name in open_checkpoint(str(base)).tensors else EMBEDDING
    return read(adapted, name).astype(np.float64) - read(open_checkpoint(str(base)), source)


def test_the_files_of_base_and_adapter_count(base: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", make_tensors(CONFIG, [Q]))
    files = open_checkpoint(f"{base}+{adapter}").files
    assert files["base/config.json"] == base / "config.json"
    assert files["base/model.safetensors"] == base / "model.safetensors"
    assert files["base/tokenizer.json"] == base / "tokenizer.json"
    assert files["adapter/adapter_model.safetensors"] == adapter / "adapter_model.safetensors"
    assert files["adapter/adapter_config.json"] == adapter / "adapter_config.json"


@pytest.mark.parametrize(
    ("changes", "scales"),
    [
        ({}, {Q: 2.0, DOWN: 2.0}),
        ({"lora_alpha": 3}, {Q: 0.75, DOWN: 0.75}),
        ({"use_rslora": True}, {Q: 4.0, DOWN: 4.0}),
        ({"use_rslora": True, "lora_alpha": 5}, {Q: 2.5, DOWN: 2.5}),
        ({"alpha_pattern": {"q_proj": 16}}, {Q: 4.0, DOWN: 2.0}),
        ({"alpha_pattern": {r"layers\.1\.mlp\.down_proj": 1, "q_proj": 4}}, {Q: 1.0, DOWN: 0.25}),
        ({"alpha_pattern": {"proj": 16}}, {Q: 2.0, DOWN: 2.0}),
        ({"alpha_pattern": {"^q_proj": 16}}, {Q: 2.0, DOWN: 2.0}),
        ({"fan_in_fan_out": True}, {Q: 2.0, DOWN: 2.0}),
    ],
)
def test_adds_the_scaled_product(
    changes: dict[str, Any], scales: dict[str, float], base: Path, tmp_path: Path
) -> None:
    """Every changed tensor is the base's plus scale * B @ A; every other is the base's own."""
    tensors = make_tensors(CONFIG)
    adapter = write_adapter(tmp_path / "lora", tensors, **changes)
    adapted, plain = open_checkpoint(f"{base}+{adapter}"), open_checkpoint(str(base))
    assert adapted.ref == f"{base}+{adapter}"
    assert adapted.config == plain.config
    for module, scale in scales.items():
        a, b = (tensors[f"{PREFIX}{module}.lora_{part}.weight"] for part in "AB")
        delta = scale * (b.astype(np.float64) @ a.astype(np.float64))
        expected = read(plain, f"{module}.weight") + delta
        found = read(adapted, f"{module}.weight")
        assert np.abs(found - expected).max() <= 2e-6 * np.abs(expected).max()
        assert np.abs(delta).max() > 1
    for name in plain.tensors:
        if f"{PREFIX}{name.removesuffix('.weight')}.lora_A.weight" not in tensors:
            assert np.array_equal(read(adapted, name), read(plain, name))


def test_a_rank_of_its_own(base: Path, tmp_path: Path) -> None:
    """`rank_pattern` gives a module its rank, and with it its scale of 8 / 2."""
    tensors = make_tensors(CONFIG)
    pair = make_pair((64, 64), 2, 9)
    tensors |= {f"{PREFIX}{Q}.{key}": values for key, values in pair.items()}
    adapter = write_adapter(tmp_path / "lora", tensors, rank_pattern={"layers.0.+q_proj": 2})
    found = change(open_checkpoint(f"{base}+{adapter}"), base, f"{Q}.weight")
    expected = 4.0 * (pair["lora_B.weight"] @ pair["lora_A.weight"]).astype(np.float64)
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", [f"{DOWN}.weight", EMBEDDING])
def test_rows_do_not_depend_on_how_they_are_cut(name: str, base: Path, tmp_path: Path) -> None:
    """Single rows, odd pieces and the whole tensor agree to the bit."""
    tensors = make_tensors(CONFIG, ("mlp.down_proj", "embed_tokens"))
    adapter = write_adapter(tmp_path / "lora", tensors)
    adapted = open_checkpoint(f"{base}+{adapter}")
    whole = read(adapted, name)
    for step in (1, 7, 63, 64, 65):
        for start in range(0, len(whole), step):
            stop = min(start + step, len(whole))
            assert np.array_equal(adapted.rows(name, start, stop), whole[start:stop])


@pytest.mark.parametrize("module", ["model.embed_tokens", "lm_head"])
def test_embedding_and_head(module: str, base: Path, tied: Path, tmp_path: Path) -> None:
    """Their changes are added too; a tied model is untied, and its other side keeps its rows."""
    tensors = make_tensors(CONFIG, [module.rpartition(".")[2]])
    adapter = write_adapter(tmp_path / "lora", tensors)
    factors = list(tensors.values())
    product = 2.0 * (factors[1].astype(np.float64) @ factors[0])
    expected = product.T if module.endswith("embed_tokens") else product
    other = HEAD if module.endswith("embed_tokens") else EMBEDDING
    for folder in (base, tied):
        adapted = open_checkpoint(f"{folder}+{adapter}")
        assert adapted.layout.tied is False
        assert adapted.config["tie_word_embeddings"] is False
        assert np.allclose(change(adapted, folder, f"{module}.weight"), expected, atol=1e-4)
        assert not change(adapted, folder, other).any()


def test_whole_tensors_take_the_place_of_the_bases(base: Path, tmp_path: Path) -> None:
    """`modules_to_save` and trained biases; rows may be added to embedding and head together."""
    numbers = np.random.default_rng(3)
    bigger = numbers.standard_normal((208, 64)).astype(np.float32)
    norm = numbers.standard_normal(64).astype(np.float16)
    tensors = make_tensors(CONFIG) | {
        f"{PREFIX}{EMBEDDING}": bigger,
        f"{PREFIX}{HEAD}": bigger * 2,
        f"{PREFIX}model.norm.weight": norm,
    }
    adapter = write_adapter(tmp_path / "lora", tensors, modules_to_save=["embed_tokens"])
    adapted = open_checkpoint(f"{base}+{adapter}")
    assert adapted.config["vocab_size"] == 208
    assert adapted.layout.vocab_rows == 208
    assert np.array_equal(read(adapted, EMBEDDING), bigger)
    assert np.array_equal(adapted.rows(HEAD, 200, 203), 2 * bigger[200:203])
    assert np.array_equal(read(adapted, "model.norm.weight"), norm.astype(np.float32))


def test_trained_biases(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "qwen", 0)
    name = f"{Q}.bias"
    bias = np.arange(64, dtype=np.float32)
    tensors = make_tensors(make_config()) | {f"{PREFIX}{name}": bias}
    adapter = write_adapter(tmp_path / "lora", tensors, bias="lora_only")
    adapted = open_checkpoint(f"{folder}+{adapter}")
    assert np.array_equal(read(adapted, name), bias)


def test_stored_base_of_an_embedding(base: Path, tmp_path: Path) -> None:
    """PEFT stores the embedding that it adapts too: the product is added to that one."""
    own = np.ones((200, 64), np.float32)
    tensors = make_tensors(CONFIG, ["embed_tokens"])
    stored = tensors | {f"{PREFIX}model.embed_tokens.base_layer.weight": own}
    both = open_checkpoint(f"{base}+{write_adapter(tmp_path / 'both', stored)}")
    plain = open_checkpoint(f"{base}+{write_adapter(tmp_path / 'plain', tensors)}")
    assert np.allclose(read(both, EMBEDDING) - own, change(plain, base, EMBEDDING), atol=1e-5)


def test_rows_do_not_depend_on_the_threads_of_blas(base: Path, tmp_path: Path) -> None:
    tensors = make_tensors(CONFIG, ("mlp.gate_proj", "embed_tokens"), rank=61)
    adapter = write_adapter(tmp_path / "lora", tensors, r=61)
    adapted = open_checkpoint(f"{base}+{adapter}")
    for name in ("model.layers.1.mlp.gate_proj.weight", EMBEDDING):
        several = read(adapted, name)
        with threadpoolctl.threadpool_limits(1):
            assert np.array_equal(read(adapted, name), several)


def test_products_are_computed_once_where_there_is_room(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read again is the same to the bit; without room, or cut otherwise, it is computed."""
    adapter = write_adapter(tmp_path / "lora", make_tensors(CONFIG))
    plain = open_checkpoint(f"{base}+{adapter}")
    expected = read(plain, f"{Q}.weight")
    computed: list[int] = []
    compute = LowRankChange.write_product

    def write_product(change: LowRankChange, into: Any, start: int) -> None:
        computed.append(start)
        compute(change, into, start)

    monkeypatch.setattr(LowRankChange, "write_product", write_product)
    for room, times in ((10**6, 1), (0, 3)):
        computed.clear()
        adapted = open_checkpoint(f"{base}+{adapter}", spare=Spare(room))
        for _ in range(3):
            assert np.array_equal(read(adapted, f"{Q}.weight"), expected)
        assert len(computed) == times
        assert np.array_equal(adapted.rows(f"{Q}.weight", 3, 40), expected[3:40])


def test_adapters_are_stacked(base: Path, tmp_path: Path) -> None:
    one = write_adapter(tmp_path / "one", make_tensors(CONFIG))
    two = write_adapter(tmp_path / "two", make_tensors(CONFIG), lora_alpha=12)
    both = open_checkpoint(f"{base}+{one}+{two}")
    name = f"{Q}.weight"
    expected = sum(change(open_checkpoint(f"{base}+{part}"), base, name) for part in (one, two))
    assert np.allclose(change(both, base, name), expected, atol=1e-5)


def _tensors(edit: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = folder / "adapter_model.safetensors"
        tensors = load_file(file)
        edit(tensors)
        save_file(tensors, file)

    return damage


def _put(name: str, *shape: int) -> Callable[[Path], None]:
    return _tensors(lambda tensors: tensors.update({PREFIX + name: np.zeros(shape, np.float32)}))


def _config(**changes: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = folder / "adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return damage


def _pickle(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04.")


def _renamed(*names: str) -> Callable[[Path], None]:
    """The same factors once for every name of an adapter, as PEFT has them in memory."""

    def rename(tensors: dict[str, Any]) -> None:
        keys = list(tensors)
        for name in names:
            for key in keys:
                tensors[key.replace(".weight", f".{name}.weight")] = tensors[key]
        for key in keys:
            del tensors[key]

    return _tensors(rename)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "DoRA's lengths of other rows": (
        _put(f"{Q}.lora_magnitude_vector", 63),
        r"lora_magnitude_vector has shape \(63,\)",
    ),
    "DoRA's lengths alone": (
        _put("model.layers.0.mlp.up_proj.lora_magnitude_vector", 96),
        "up_proj: lora_magnitude_vector",
    ),
    "DoRA of an embedding": (
        _tensors(
            lambda tensors: tensors.update(
                make_tensors(CONFIG, ["embed_tokens"])
                | {
                    f"{PREFIX}model.embed_tokens.lora_magnitude_vector": np.ones(64, np.float32),
                }
            )
        ),
        "a DoRA adapter of an embedding",
    ),
    "several adapters": (_renamed("one", "two"), "several adapters in one file: one, two"),
    "another kind": (_config(peft_type="LOHA"), 'peft_type is "LOHA"'),
    "no kind": (_config(peft_type=None), "needs `peft_type`"),
    "a base of its own": (_config(init_lora_weights="pissa"), '"pissa" changes the base\'s'),
    "an unknown setting": (_config(use_qalora=True), "use_qalora true is not supported"),
    "replicated layers": (_config(layer_replication=[[0, 1]]), "layer_replication"),
    "bias of B": (_config(lora_bias=True), "lora_bias"),
    "no rank": (_config(r=None), "r: null is not a whole number"),
    "rank 0": (_config(r=0), "r: 0 is out of range"),
    "alpha a text": (_config(lora_alpha="8"), 'lora_alpha: "8" is not a number'),
    "alpha a truth": (_config(lora_alpha=True), "lora_alpha: true is not a number"),
    "patterns a list": (_config(rank_pattern=[1]), "rank_pattern: a list is not a mapping"),
    "alpha without a value": (_config(lora_alpha=float("nan")), "lora_alpha: NaN is out of range"),
    "modules that are a number": (_config(target_modules=5), "target_modules: 5 is not the name"),
    "modules with a number": (_config(modules_to_save=["a", 1]), "modules_to_save: a list is not"),
    "layers that are a text": (_config(layers_to_transform="x"), 'layers_to_transform: "x" is not'),
    "lengths or not": (_config(use_dora="maybe"), 'use_dora: "maybe" is not true or false'),
    "another bias": (_config(bias="some"), 'bias: unknown value "some"'),
    "a base that is a number": (_config(base_model_name_or_path=5), "path: 5 is not a string"),
    "a pattern's rank": (
        _config(rank_pattern={"q_proj": -1}),
        "q_proj: -1 is out of range",
    ),
    "a broken pattern": (
        _config(alpha_pattern={"(": 1}),
        "not a regular expression",
    ),
    "a long pattern": (
        _config(alpha_pattern={"a" * 501: 1}),
        r'alpha_pattern\.a+\.\.\.: "a+\.\.\. is a pattern of more than 500 characters',
    ),
    "endless patterns": (
        _config(rank_pattern={f"module_{number}": 4 for number in range(2049)}),
        "rank_pattern: a mapping of 2049 patterns: 2048 at most",
    ),
    "a pattern that never ends": (_config(rank_pattern={"(a+)+b": 4}), "repeats a group"),
    "an endless name": (_put("x" * 300 + ".weight", 4, 4), "unknown tensor base_model.model.xxx"),
    "whole numbers": (
        _tensors(lambda tensors: tensors.update({f"{PREFIX}{Q}.weight": np.zeros((64, 64), "i4")})),
        r"(?s)unknown tensor .*whole tensors, all of floats",
    ),
    "config not JSON": (
        lambda folder: (folder / "adapter_config.json").write_text("{"),
        "not valid JSON",
    ),
    "no config": (lambda folder: (folder / "adapter_config.json").unlink(), "no adapter_config"),
    "pickles": (_pickle, "adapter_model.bin is a pickle"),
    "no weights": (lambda folder: (folder / "adapter_model.safetensors").unlink(), "no adapter_mo"),
    "no tensors": (_tensors(lambda tensors: tensors.clear()), "holds no tensors"),
    "A without B": (
        _tensors(lambda tensors: tensors.pop(f"{PREFIX}{Q}.lora_B.weight")),
        "q_proj: lora_A$",
    ),
    "another rank": (_config(r=8), r"down_proj: A has shape \(4, 96\) and B \(64, 4\)"),
    "a module that the base lacks": (
        _put("model.layers.7.mlp.up_proj.weight", 96, 64),
        r"another base: it changes model\.layers\.7\.mlp\.up_proj\.weight, which .* lacks",
    ),
    "wider": (
        _tensors(
            lambda tensors: tensors.update(
                {
                    f"{PREFIX}{DOWN}.{key}": values
                    for key, values in make_pair((64, 128), 4, 0).items()
                }
            )
        ),
        r"another base: \S+down_proj.weight has shape \(64, 96\) in .*, and \(64, 128\) in the ad",
    ),
    "a longer norm": (_put("model.norm.weight", 65), r"norm.weight has shape \(64,\) in"),
    "more rows of the embedding alone": (
        _put(EMBEDDING, 208, 64),
        r"lm_head.weight has shape \(200, 64\)",
    ),
    "a narrower embedding": (
        _put(EMBEDDING, 200, 32),
        r"embed_tokens.weight has shape \(200, 64\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_its_reason(case: str, base: Path, tmp_path: Path) -> None:
    damage, message = REFUSED[case]
    adapter = write_adapter(tmp_path / "lora", make_tensors(CONFIG))
    damage(adapter)
    with pytest.raises(CheckpointError, match=f"(?m){message}") as caught:
        open_checkpoint(f"{base}+{adapter}")
    assert str(adapter) in str(caught.value)


def test_scale_of_a_rank_that_is_no_square(base: Path, tmp_path: Path) -> None:
    """Rank-stabilised: 8 / sqrt(3)."""
    tensors = make_tensors(CONFIG, rank=3)
    adapter = write_adapter(tmp_path / "lora", tensors, r=3, use_rslora=True)
    a, b = (tensors[f"{PREFIX}{Q}.lora_{part}.weight"].astype(np.float64) for part in "AB")
    found = change(open_checkpoint(f"{base}+{adapter}"), base, f"{Q}.weight")
    assert np.allclose(found, 8 / math.sqrt(3) * (b @ a), atol=1e-4)


@pytest.mark.parametrize("names", [("default",), ("task",), ("other", "default")])
def test_keys_with_the_adapters_name(names: tuple[str, ...], base: Path, tmp_path: Path) -> None:
    """Of several the one named `default`; the name changes nothing else."""
    plain = write_adapter(tmp_path / "plain", make_tensors(CONFIG))
    named = write_adapter(tmp_path / "named", make_tensors(CONFIG))
    _renamed(*names)(named)
    expected, found = (open_checkpoint(f"{base}+{folder}") for folder in (plain, named))
    assert np.array_equal(read(found, f"{Q}.weight"), read(expected, f"{Q}.weight"))
    left_out = ["the adapter other in the same file is left out"]
    assert list(found.notes) == (left_out if len(names) > 1 else [])


def test_whole_tensors_with_the_adapters_name(base: Path, tmp_path: Path) -> None:
    norm = np.arange(64, dtype=np.float32)
    tensors = make_tensors(CONFIG) | {f"{PREFIX}model.norm.modules_to_save.default.weight": norm}
    adapter = write_adapter(tmp_path / "lora", tensors)
    assert np.array_equal(read(open_checkpoint(f"{base}+{adapter}"), "model.norm.weight"), norm)


def test_an_adapter_in_a_folder_of_its_name(base: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path / "lora" / "default", make_tensors(CONFIG))
    found = open_checkpoint(f"{base}+{tmp_path / 'lora'}")
    assert change(found, base, f"{Q}.weight").any()


@pytest.mark.parametrize("ending", ["", ".weight", ".default.weight"])
def test_dora_gives_every_row_its_length(ending: str, base: Path, tmp_path: Path) -> None:
    """Rows of base and product together, scaled to the lengths that are stored."""
    lengths = np.linspace(0.5, 3.0, 64, dtype=np.float32)
    tensors = make_tensors(CONFIG)
    tensors[f"{PREFIX}{Q}.lora_magnitude_vector{ending}"] = lengths
    adapted = open_checkpoint(f"{base}+{write_adapter(tmp_path / 'l', tensors, use_dora=True)}")
    a, b = (tensors[f"{PREFIX}{Q}.lora_{part}.weight"].astype(np.float64) for part in "AB")
    changed = read(open_checkpoint(str(base)), f"{Q}.weight") + 2.0 * (b @ a)
    expected = changed * (lengths / np.linalg.norm(changed, axis=1))[:, None]
    found = read(adapted, f"{Q}.weight")
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()
    assert np.array_equal(adapted.rows(f"{Q}.weight", 5, 9), found[5:9])
