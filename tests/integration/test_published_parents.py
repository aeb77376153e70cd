"""Parents with the oddities of published ones: built alone, each is a GGUF that means the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from helpers.adapters import make_tensors, write_adapter
from helpers.parents import CHAT_TEMPLATE, make_config, make_parent

from mergesearch.build import Workshop
from mergesearch.errors import CheckpointError
from mergesearch.recipe import Recipe

TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def built(*parents: Path | str, **keys: Any) -> tuple[Path, list[str]]:
    """The GGUF of a plain average, and what a person is told about it."""
    models = [{"model": str(parent)} for parent in parents]
    recipe = Recipe.from_dict({"merge_method": "linear", "models": models, **keys})
    workshop = Workshop.for_recipe(recipe)
    path = Path(str(parents[0]).partition("+")[0]).with_suffix(".built.gguf")
    path.unlink(missing_ok=True)
    workshop.gguf(recipe, path)
    return path, workshop.notes(recipe)


def metadata(path: Path) -> dict[str, Any]:
    return {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items()}


def edit(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads((folder / name).read_text(encoding="utf-8"))
    change(document)
    (folder / name).write_text(json.dumps(document), encoding="utf-8")


def test_settings_as_transformers_5_writes_them(tmp_path: Path) -> None:
    """`rope_parameters` and `dtype`, a tokenizer class without a family, a list of specials."""
    folder = make_parent(tmp_path / "a", arch="llama")

    def newer(config: dict[str, Any]) -> None:
        del config["rope_theta"], config["torch_dtype"]
        config["dtype"] = "bfloat16"
        config["rope_parameters"] = {"rope_type": "default", "rope_theta": 500000.0}

    edit(folder, "config.json", newer)
    settings = {"backend": "tokenizers", "tokenizer_class": "TokenizersBackend"}
    more = {**settings, "extra_special_tokens": []}
    edit(folder, "tokenizer_config.json", lambda document: document.update(more))
    found = metadata(built(folder)[0])
    assert found["llama.rope.freq_base"] == 500000.0
    assert found["tokenizer.ggml.pre"] == "gpt-2"


def test_scaling_with_the_older_key(tmp_path: Path) -> None:
    scaling = {"type": "linear", "factor": 2.0}
    folder = make_parent(tmp_path / "a", arch="llama", rope_scaling=scaling)
    found = metadata(built(folder)[0])
    assert found["llama.rope.scaling.type"] == "linear"
    assert found["llama.rope.scaling.factor"] == 2.0


def test_heads_that_are_not_the_width_divided(tmp_path: Path) -> None:
    """And a pre-tokenizer that tells upper from lower case, as Mistral Nemo has."""
    folder = make_parent(tmp_path / "a", arch="mistral", head_dim=32, tokenizer="qwen2")

    def tekken(tokenizer: dict[str, Any]) -> None:
        tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = TEKKEN

    edit(folder, "tokenizer.json", tekken)
    found = metadata(built(folder)[0])
    assert found["llama.attention.key_length"] == 32
    assert found["llama.rope.dimension_count"] == 32
    assert found["tokenizer.ggml.pre"] == "tekken"


def test_merges_as_strings_and_as_pairs_are_the_same(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a")
    expected = built(folder)[0].read_bytes()
    written = json.loads((folder / "tokenizer.json").read_text())["model"]["merges"]
    other = [merge.split(" ") if isinstance(merge, str) else " ".join(merge) for merge in written]
    edit(folder, "tokenizer.json", lambda tokenizer: tokenizer["model"].update(merges=other))
    assert built(folder)[0].read_bytes() == expected


def test_a_template_in_two_places_is_that_of_its_own_file(tmp_path: Path) -> None:
    """As transformers reads it."""
    folder = make_parent(tmp_path / "a")
    (folder / "chat_template.jinja").write_text("OWN" + CHAT_TEMPLATE, encoding="utf-8")
    assert metadata(built(folder)[0])["tokenizer.chat_template"] == "OWN" + CHAT_TEMPLATE


def test_parents_with_other_numbers_of_padding_rows(tmp_path: Path) -> None:
    """The result has as many as the first."""
    folders = [make_parent(tmp_path / "a"), make_parent(tmp_path / "b", vocab_size=448)]
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(built(*folders)[0]).tensors}
    assert list(tensors["token_embd.weight"].shape) == [64, 384]


# -- adapters --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [(".weight", ".default.weight"), ("base_model.model.", "")],
)
def test_keys_of_adapters_in_other_forms(old: str, new: str, tmp_path: Path) -> None:
    """With the adapter's name in them, and without PEFT's prefix."""
    folder = make_parent(tmp_path / "a")
    tensors = make_tensors(make_config())
    plain = write_adapter(tmp_path / "plain", tensors)
    expected = built(f"{folder}+{plain}")[0].read_bytes()
    renamed = {name.replace(old, new, 1): values for name, values in tensors.items()}
    other = write_adapter(tmp_path / "other", renamed)
    assert built(f"{folder}+{other}")[0].read_bytes() == expected


def test_an_extracted_adapter_with_whole_tensors_and_ranks_of_its_own(tmp_path: Path) -> None:
    """As mergekit-extract-lora writes them: head and embedding too, norms whole."""
    folder = make_parent(tmp_path / "a")
    config = make_config()
    tensors = make_tensors(config, ("self_attn.q_proj",), rank=2)
    tensors |= make_tensors(config, ("lm_head", "model.embed_tokens"))
    norm = np.full(64, 1.25, np.float32)
    tensors["base_model.model.model.norm.weight"] = norm
    adapter = write_adapter(
        tmp_path / "adapter",
        tensors,
        rank_pattern={"q_proj": 2},
        alpha_pattern={"q_proj": 2},
        modules_to_save=["norm"],
        peft_version="0.18.0",
        use_qalora=False,
        layer_replication=None,
        target_parameters=None,
    )
    path, notes = built(f"{folder}+{adapter}", quantize="F32")
    found = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    assert np.array_equal(found["output_norm.weight"], norm)
    assert notes == []


# -- GGUFs -----------------------------------------------------------------------------------------


def copied(path: Path, **changes: Any) -> Path:
    """A copy of a GGUF with other metadata; None leaves a key out."""
    reader, target = gguf.GGUFReader(path), path.with_name("copy.gguf")
    keys = {key.replace("__", "."): value for key, value in changes.items()}
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture" and key not in keys:
            element = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=element)
    for key, value in keys.items():
        if value is not None:
            writer.add_key_value(key, value, gguf.GGUFValueType.get_type(value))
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


@pytest.fixture
def quantized(tmp_path: Path) -> Path:
    return built(make_parent(tmp_path / "a"), quantize="Q8_0")[0]


def test_a_gguf_with_several_templates_has_the_first(quantized: Path) -> None:
    path = copied(
        quantized, tokenizer__chat_templates=["tool_use"], tokenizer__chat_template__tool_use="X"
    )
    assert metadata(built(path)[0])["tokenizer.chat_template"] == CHAT_TEMPLATE


def test_a_gguf_may_have_fewer_tokens_than_rows(quantized: Path) -> None:
    """The others are padding."""
    keys = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type")
    values = metadata(quantized)
    fewer = {key.replace(".", "__"): values[key][:360] for key in keys}
    found = metadata(built(copied(quantized, **fewer))[0])
    assert found["tokenizer.ggml.tokens"][:360] == values[keys[0]][:360]
    assert len(found["tokenizer.ggml.tokens"]) == 384


def test_a_ggufs_own_pre_tokenizer_is_taken_over(quantized: Path) -> None:
    """Any that llama.cpp knows; a file without one does not say how it splits texts."""
    path = copied(quantized, tokenizer__ggml__pre="tekken")
    assert metadata(built(path)[0])["tokenizer.ggml.pre"] == "tekken"
    with pytest.raises(CheckpointError, match=r"needs `tokenizer\.ggml\.pre`"):
        built(copied(quantized, tokenizer__ggml__pre=None))
