"""From ids to checkpoints: what stands for what, and merges across kinds of parents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
from helpers.adapters import make_tensors, write_adapter
from helpers.parents import make_config, make_family, make_parent
from safetensors.numpy import save_file

from mergesearch.build import Workshop
from mergesearch.errors import CheckpointError, InputError
from mergesearch.parents import ids_in, is_parent, open_checkpoint
from mergesearch.recipe import Recipe

WIDE = {"hidden_size": 256, "intermediate_size": 512}


def to_gguf(folder: Path | str, path: Path, quant: str = "F32") -> Path:
    recipe = Recipe.from_dict({"merge_method": "passthrough", "models": [{"model": str(folder)}]})
    Workshop.for_recipe(recipe).gguf(recipe, path, quant=quant)
    return path


def dequantized(path: Path, folder: Path, tokenizer: Path) -> Path:
    """A GGUF's weights as a folder of float32 safetensors, with the tokenizer of another."""
    checkpoint = open_checkpoint(str(path))
    folder.mkdir()
    tensors = {}
    for name, info in checkpoint.tensors.items():
        rows = checkpoint.rows(name, 0, info.shape[0] if len(info.shape) == 2 else 1)
        tensors[name] = np.ascontiguousarray(rows.reshape(info.shape))
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(checkpoint.config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tokenizer / name).read_bytes())
    return folder


def merge(first: Any, second: Any, method: str = "linear") -> Recipe:
    models = [
        {"model": str(first), "parameters": {"weight": 0.7}},
        {"model": str(second), "parameters": {"weight": 0.6}},
    ]
    document = {"merge_method": method, "models": models, "tokenizer_source": str(first)}
    return Recipe.from_dict(document | {"dtype": "float32"})


@pytest.mark.parametrize(
    ("arch", "tied", "quant"),
    [
        ("llama", False, "Q4_K_M"),
        ("llama", True, "Q4_0"),
        ("qwen2", True, "Q4_K_M"),
        ("qwen2", False, "Q8_0"),
    ],
)
def test_merge_of_a_gguf_equals_that_of_its_folder(
    arch: str, tied: bool, quant: str, tmp_path: Path
) -> None:
    """The whole candidate is the same, byte for byte, tokenizer and settings too."""
    family = make_family(
        tmp_path / "parents", ("a", "b"), arch=arch, tie_word_embeddings=tied, **WIDE
    )
    path = to_gguf(family["a"], tmp_path / "a.gguf", quant)
    folder = dequantized(path, tmp_path / "plain", Path(family["a"]))
    digests = []
    for first in (path, folder):
        recipe = merge(first, family["b"])
        with Workshop.for_recipe(recipe).candidate(recipe) as built:
            digests.append(built.digest)
            llama = llama_cpp.Llama(str(built.path), n_ctx=64, verbose=False)
            assert llama.create_completion("The", max_tokens=2)["usage"]["completion_tokens"] > 0
    assert digests[0] == digests[1]


def test_one_gguf_in_and_the_same_gguf_out(tmp_path: Path) -> None:
    """A passthrough of an F32 GGUF gives its bytes again."""
    folder = make_parent(tmp_path / "a", 1, arch="llama")
    path = to_gguf(folder, tmp_path / "a.gguf")
    assert to_gguf(path, tmp_path / "b.gguf").read_bytes() == path.read_bytes()


def test_merge_with_an_adapter_equals_the_merged_folder(tmp_path: Path) -> None:
    """Linear merges of base+adapter and of a folder that holds the sum have the same weights."""
    family = make_family(tmp_path / "parents", ("a", "b"), arch="llama")
    adapter = write_adapter(tmp_path / "lora", make_tensors(make_config("llama")))
    ref = f"{family['a']}+{adapter}"
    alone = Recipe.from_dict(
        {"merge_method": "passthrough", "models": [{"model": ref}], "dtype": "float32"}
    )
    Workshop.for_recipe(alone).safetensors(alone, tmp_path / "sum")
    found = []
    for first in (ref, tmp_path / "sum"):
        recipe = merge(first, family["b"])
        with Workshop.for_recipe(recipe).candidate(recipe) as built:
            found.append(built.digest)
    assert found[0] == found[1]


def test_overrides_stand_for_a_whole_id_or_for_its_sides(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a", 0, arch="llama")
    gguf = to_gguf(folder, tmp_path / "a.gguf", "F16")
    adapter = write_adapter(tmp_path / "lora", make_tensors(make_config("llama")))
    name = "model.layers.0.self_attn.q_proj.weight"

    def dtype(ref: str, **overrides: Path) -> str:
        renamed = {key.replace("__", "/"): path for key, path in overrides.items()}
        return open_checkpoint(ref, renamed).tensors[name].dtype

    assert dtype("o/m", o__m=folder) == "BF16"
    assert dtype("o/m", o__m=gguf) == "F16"
    overrides = {"o/m": folder, "o/l": adapter}
    both = open_checkpoint("o/m+o/l", overrides)
    assert not np.array_equal(both.rows(name, 0, 8), open_checkpoint(str(folder)).rows(name, 0, 8))
    whole = open_checkpoint("o/m+o/l", overrides | {"o/m+o/l": folder})
    assert np.array_equal(whole.rows(name, 0, 8), open_checkpoint(str(folder)).rows(name, 0, 8))
    with pytest.raises(CheckpointError, match="no folder for the parent 'o/m'"):
        open_checkpoint("o/m", {"o/m": tmp_path / "absent"})


def test_parts_that_overrides_may_stand_for() -> None:
    assert list(ids_in("o/m")) == ["o/m"]
    assert list(ids_in("o/m+o/l")) == ["o/m+o/l", "o/m", "o/l"]
    assert list(ids_in("a+b+c")) == ["a+b+c", "a+b", "a", "b", "c"]


def test_a_folder_with_a_plus_in_its_name(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "c++" / "a", 0, arch="llama")
    adapter = write_adapter(tmp_path / "lora", make_tensors(make_config("llama")))
    assert open_checkpoint(str(folder)).layout.n_layers == 2
    assert open_checkpoint(f"{folder}+{adapter}").layout.n_layers == 2


def test_adapter_on_a_bundled_parent(tmp_path: Path) -> None:
    name = "model.layers.0.mlp.down_proj.weight"
    base = open_checkpoint("demo:base")
    tensors = make_tensors(base.config, ["mlp.down_proj"])
    adapted = open_checkpoint(f"demo:base+{write_adapter(tmp_path / 'lora', tensors)}")
    assert adapted.tokenizer is not None
    assert not np.array_equal(adapted.rows(name, 0, 4), base.rows(name, 0, 4))


def test_tokenizer_beside_an_adapter_is_used(tmp_path: Path) -> None:
    base = make_parent(tmp_path / "a", 0, arch="llama")
    adapter = write_adapter(tmp_path / "lora", make_tensors(make_config("llama")))
    settings = {"chat_template": "of the adapter"}
    plain = open_checkpoint(f"{base}+{adapter}").tokenizer
    assert plain is not None
    assert plain.settings["chat_template"] != "of the adapter"
    (adapter / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    (adapter / "tokenizer_config.json").write_text(json.dumps(settings))
    own = open_checkpoint(f"{base}+{adapter}").tokenizer
    assert own is not None
    assert own.settings == settings


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("nowhere", "no folder for the parent 'nowhere'"),
        ("/nowhere/at/all", "no folder for the parent"),
        ("demo:base+/nowhere/at/all", "no folder for the parent '/nowhere/at/all'"),
        ("demo:absent", "no bundled parent"),
        ("demo:../parents/base", "no bundled parent"),
        ("demo:" + "x" * 5000, "no bundled parent"),
        ("demo:absent+x", "no folder for the parent 'x'"),
        ("demo:base+", r"the parent 'demo:base\+' lacks one side of its \+"),
        ("+demo:base", r"the parent '\+demo:base' lacks one side of its \+"),
        ("demo:base++demo:reason", r"the parent 'demo:base\+' lacks one side of its \+"),
        ("model.gguf", "no folder for the parent"),
    ],
)
def test_unknown_ids(ref: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_checkpoint(ref)


def test_a_file_that_is_no_parent(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="not a parent"):
        open_checkpoint(str(tmp_path / "model.bin"))


def test_a_home_that_nobody_knows_is_a_name_like_any_other() -> None:
    with pytest.raises(InputError, match="nobody-at-all"):
        open_checkpoint("~nobody-at-all/model")


def test_a_name_in_a_folder_that_is_here_is_no_id_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "right").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    names = ("models/right", "models/wrong", "demo:base+models/wrong", "org/name")
    assert [is_parent(name) for name in names] == [True, False, False, True]
