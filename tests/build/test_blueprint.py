"""Templates: how weights are stored is derived from one converted parent, and proved on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from helpers.parents import make_config, make_parent, make_weights, write_parent
from safetensors.torch import load_file, save_file

from mergesearch.build import Workshop, read_blueprint
from mergesearch.errors import CheckpointError, MergeSearchError
from mergesearch.gguf import RowChange
from mergesearch.parents import open_parents
from mergesearch.recipe import Recipe

WIDE = {"hidden_size": 256, "intermediate_size": 256, "num_attention_heads": 4}


def recipe_of(*folders: Path, **changes: Any) -> Recipe:
    models = [{"model": str(folder), "parameters": {"weight": 0.5}} for folder in folders]
    return Recipe.from_dict({"merge_method": "linear", "models": models} | changes)


def convert(folder: Path, target: Path, quant: str = "F32") -> Path:
    """The GGUF of one parent, as the built-in path writes it."""
    Workshop.for_recipe(recipe_of(folder)).gguf(recipe_of(folder), target, quant=quant)
    return target


def through_template(recipe: Recipe, template: Path, target: Path, quant: str = "Q4_K_M") -> Path:
    parents = open_parents(recipe.parents(), as_found=True)
    proved = read_blueprint(template, parents)
    Workshop(parents, blueprint=proved).gguf(recipe, target, quant=quant)
    return target


def change_weights(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> None:
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file)


def change_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("quant", ["F32", "F16", "Q8_0", "Q4_K_M"])
@pytest.mark.parametrize(
    ("arch", "changes"),
    [
        ("llama", {"attention_bias": True, "tie_word_embeddings": True}),
        ("llama", {"rope_scaling": {"type": "llama3", "factor": 8.0}}),
        ("qwen2", {}),
        ("gemma3_text", {}),
        ("phi3", {}),
    ],
)
def test_same_bytes_as_the_built_in_path(
    arch: str, changes: dict[str, Any], quant: str, tmp_path: Path
) -> None:
    """Whatever type the template has, it gives the file that needs no template."""
    a, b = (make_parent(tmp_path / n, s, arch=arch, **WIDE | changes) for s, n in enumerate("ab"))
    template = convert(b, tmp_path / "template.gguf", quant)
    recipe = recipe_of(a, b)
    expected, found = tmp_path / "expected.gguf", tmp_path / "found.gguf"
    Workshop.for_recipe(recipe).gguf(recipe, expected, quant="Q4_K_M")
    through_template(recipe, template, found)
    assert found.read_bytes() == expected.read_bytes()


NAMES = {
    "model.embed_tokens": "net.tokens",
    "model.layers": "net.blocks",
    "self_attn.q_proj": "mix.query",
    "self_attn.k_proj": "mix.key",
    "self_attn.v_proj": "mix.value",
    "self_attn.o_proj": "mix.out",
    "mlp.gate_proj": "dense.a",
    "mlp.up_proj": "dense.b",
    "mlp.down_proj": "dense.c",
    "post_attention_layernorm": "second",
    "input_layernorm": "first",
    "model.norm": "net.last",
    "lm_head": "net.head",
}


def unknown(weights: dict[str, torch.Tensor], joined: bool) -> dict[str, torch.Tensor]:
    """The weights of an architecture that nobody has heard of, perhaps with fewer tensors."""
    renamed = {}
    for name, value in weights.items():
        for old, new in NAMES.items():
            name = name.replace(old, new)
        renamed[name] = value
    if not joined:
        return renamed
    for layer in range(2):
        at = f"net.blocks.{layer}"
        for suffix in ("weight", "bias"):
            parts = [f"{at}.mix.{part}.{suffix}" for part in ("value", "query", "key")]
            if parts[0] in renamed:
                renamed[f"{at}.mix.all.{suffix}"] = torch.cat([renamed.pop(part) for part in parts])
        renamed[f"{at}.dense.c.weight"] = renamed[f"{at}.dense.c.weight"].T.contiguous()
    return renamed


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("quant", ["F32", "BF16", "Q4_0"])
@pytest.mark.parametrize("arch", ["llama", "qwen2"])
def test_an_unknown_architecture(arch: str, quant: str, joined: bool, tmp_path: Path) -> None:
    """Other names, joined and transposed matrices are found by their values alone."""
    a, b = (
        make_parent(tmp_path / n, s, arch=arch, **WIDE, attention_bias=True)
        for s, n in enumerate("ab")
    )
    template = convert(a, tmp_path / "template.gguf", quant)
    expected, found = tmp_path / "expected.gguf", tmp_path / "found.gguf"
    recipe = recipe_of(a, b)
    Workshop.for_recipe(recipe).gguf(recipe, expected, quant="Q4_K_M")
    for folder in (a, b):
        change_weights(folder, lambda weights: unknown(weights, joined))
        change_config(folder, architectures=["NobodyForCausalLM"], model_type="nobody")
    with pytest.raises(CheckpointError, match="--template"):
        open_parents(recipe.parents())
    through_template(recipe, template, found)
    assert found.read_bytes() == expected.read_bytes()


def test_safetensors_of_an_unknown_architecture(tmp_path: Path) -> None:
    """A folder keeps the names and shapes that the parents have."""
    folder = make_parent(tmp_path / "a")
    change_weights(folder, lambda weights: unknown(weights, True))
    change_config(folder, architectures=["NobodyForCausalLM"], num_hidden_layers=None)
    recipe = recipe_of(folder)
    Workshop(open_parents(recipe.parents(), as_found=True)).safetensors(recipe, tmp_path / "m")
    before, after = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "m"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def experts_of(folder: Path, target: Path) -> None:
    """A folder with four experts a layer, and a GGUF that has them in one tensor."""
    config = make_config("llama", num_hidden_layers=1) | {"architectures": ["Nobody"]}
    weights = make_weights(make_config("llama", num_hidden_layers=1), 0)
    up = weights.pop("model.layers.0.mlp.up_proj.weight")
    experts = {
        f"model.layers.0.mlp.experts.{number}.up_proj.weight": up * number
        for number in (1, 2, 3, 4)
    }
    write_parent(folder, config, weights | experts)
    writer = gguf.GGUFWriter(target, "nobody")
    writer.add_block_count(1)
    stacked = torch.stack(list(experts.values())).float().numpy()
    writer.add_tensor("blk.0.ffn_up_exps.weight", stacked)
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"].float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_experts_are_joined(tmp_path: Path) -> None:
    experts_of(tmp_path / "a", tmp_path / "t.gguf")
    recipe = recipe_of(tmp_path / "a")
    proved = read_blueprint(tmp_path / "t.gguf", open_parents(recipe.parents(), as_found=True))
    segments = next(tensor.segments for tensor in proved.tensors if "exps" in tensor.name)
    assert [(part.name.split(".")[5], part.start, part.stop) for part in segments] == [
        (str(expert), 0, 96) for expert in (1, 2, 3, 4)
    ]
    through_template(recipe, tmp_path / "t.gguf", tmp_path / "m.gguf", "F32")
    source, built = (
        {tensor.name: tensor.data for tensor in gguf.GGUFReader(tmp_path / file).tensors}
        for file in ("t.gguf", "m.gguf")
    )
    assert source.keys() == built.keys()
    assert all(np.array_equal(source[name], built[name]) for name in source)


def test_how_the_rows_are_stored_is_derived(tmp_path: Path) -> None:
    a = make_parent(tmp_path / "a", arch="llama", attention_bias=True)
    template = convert(a, tmp_path / "t.gguf")
    proved = read_blueprint(template, open_parents(recipe_of(a).parents(), as_found=True))
    segments = {tensor.name: tensor.segments for tensor in proved.tensors}
    for name in ("blk.0.attn_q.weight", "blk.1.attn_k.bias"):
        assert [part.change for part in segments[name]] == [RowChange(together=16)]
    assert [part.change for part in segments["blk.0.attn_v.weight"]] == [RowChange()]
    gemma = make_parent(tmp_path / "g", arch="gemma2")
    proved = read_blueprint(
        convert(gemma, tmp_path / "g.gguf"), open_parents(recipe_of(gemma).parents(), as_found=True)
    )
    segments = {tensor.name: tensor.segments for tensor in proved.tensors}
    assert segments["output_norm.weight"][0].change == RowChange(added=1.0)


@pytest.mark.parametrize("quant", ["F32", "Q4_K_M"])
def test_a_template_of_another_model_is_refused(quant: str, tmp_path: Path) -> None:
    a, other = (make_parent(tmp_path / n, s, **WIDE) for s, n in enumerate("ao"))
    template = convert(other, tmp_path / "t.gguf", quant)
    with pytest.raises(CheckpointError, match=r"\.(weight|bias): its values are not found"):
        read_blueprint(template, open_parents(recipe_of(a).parents(), as_found=True))


def test_one_changed_value_is_refused_by_its_tensors_name(tmp_path: Path) -> None:
    a = make_parent(tmp_path / "a")
    template = convert(a, tmp_path / "t.gguf")
    reader = gguf.GGUFReader(template, "r+")
    tensor = next(tensor for tensor in reader.tensors if tensor.name == "blk.1.ffn_up.weight")
    tensor.data[5, 7] += 0.25
    reader.data.flush()
    with pytest.raises(CheckpointError, match=r"blk\.1\.ffn_up\.weight"):
        read_blueprint(template, open_parents(recipe_of(a).parents(), as_found=True))


def test_tensors_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    """Two norms of the same values under unknown names could be exchanged in another parent."""

    def same(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        names = [f"model.layers.0.{norm}_layernorm.weight" for norm in ("input", "post_attention")]
        return weights | dict.fromkeys(names, torch.ones(64, dtype=torch.bfloat16))

    def saved(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in same(weights).items()}

    a = make_parent(tmp_path / "a")
    change_weights(a, saved)
    template = convert(a, tmp_path / "t.gguf")
    assert read_blueprint(
        template, open_parents(recipe_of(a).parents(), as_found=True)
    ).parent.ref == str(a)
    change_weights(a, lambda weights: unknown(weights, False))
    with pytest.raises(CheckpointError, match=r"first\.weight and .*second\.weight explain it"):
        read_blueprint(template, open_parents(recipe_of(a).parents(), as_found=True))


def slices(*spans: tuple[Path, int, int]) -> list[dict[str, Any]]:
    return [
        {"sources": [{"model": str(folder), "layer_range": [first, last]}]}
        for folder, first, last in spans
    ]


@pytest.mark.parametrize("kind", ["taller", "lower", "head of another", "stages", "tokenizer"])
@pytest.mark.parametrize("arch", ["llama", "qwen2"])
def test_more_than_whole_parents_through_a_template(arch: str, kind: str, tmp_path: Path) -> None:
    """The same bytes as on the built-in path: layers stacked, a stage, another vocabulary."""
    a, b = (
        make_parent(tmp_path / n, s, arch=arch, num_hidden_layers=3) for s, n in enumerate("ab")
    )
    stack = {"merge_method": "passthrough"}
    match kind:
        case "taller":
            recipe = Recipe.from_dict(stack | {"slices": slices((a, 0, 3), (b, 1, 3), (a, 2, 3))})
        case "lower":
            recipe = Recipe.from_dict(stack | {"slices": slices((b, 0, 1), (a, 2, 3))})
        case "head of another":
            recipe = Recipe.from_dict(stack | {"slices": slices((a, 0, 3), (b, 3, 3))})
        case "stages":
            inner = stack | {"name": "tall", "slices": slices((a, 0, 3), (b, 2, 3))}
            outer = {"merge_method": "linear", "models": [{"model": "tall"}], "stages": [inner]}
            recipe = Recipe.from_dict(outer)
        case _:
            vocabulary = json.loads((b / "tokenizer.json").read_text())
            tokens = vocabulary["model"]["vocab"]
            one, two = list(tokens)[-2:]
            tokens[one], tokens[two] = tokens[two], tokens[one]
            (b / "tokenizer.json").write_text(json.dumps(vocabulary))
            choice = {"source": str(a), "pad_to_multiple_of": 384}
            recipe = recipe_of(a, b, tokenizer=choice, chat_template="chatml")
    template = convert(a, tmp_path / "t.gguf")
    found = through_template(recipe, template, tmp_path / "m.gguf")
    expected = tmp_path / "e.gguf"
    Workshop.for_recipe(recipe).gguf(recipe, expected)
    assert found.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_source": "base"}, "`context_source` goes"),
        ({"tokenizer_source": "union"}, "which the template was converted from"),
    ],
)
def test_what_a_template_cannot_give_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    a, b = (make_parent(tmp_path / n, s) for s, n in enumerate("ab"))
    vocabulary = json.loads((b / "tokenizer.json").read_text())
    vocabulary["model"]["vocab"]["new"] = 370
    (b / "tokenizer.json").write_text(json.dumps(vocabulary))
    template = convert(a, tmp_path / "t.gguf")
    with pytest.raises(MergeSearchError, match=message):
        through_template(recipe_of(a, b, **changes), template, tmp_path / "m.gguf")


def test_layers_of_other_kinds_are_refused(tmp_path: Path) -> None:
    """Where llama.cpp tells the kinds by their places, as in Gemma 3."""
    a = make_parent(tmp_path / "a", arch="gemma3_text")
    kinds = ["sliding_attention"] * 5 + ["full_attention", "sliding_attention"]
    change_config(a, layer_types=kinds)
    template = convert(a, tmp_path / "t.gguf")
    document = {"merge_method": "passthrough", "slices": slices((a, 0, 5), (a, 6, 7), (a, 5, 6))}
    with pytest.raises(CheckpointError, match="layer 5 is like number 6, a sliding_attention"):
        through_template(Recipe.from_dict(document), template, tmp_path / "m.gguf")


def test_other_context_settings_are_refused(tmp_path: Path) -> None:
    a, b = (make_parent(tmp_path / n, s) for s, n in enumerate("ab"))
    template = convert(b, tmp_path / "t.gguf")
    change_config(a, rope_theta=5e5)
    with pytest.raises(CheckpointError, match="rope_theta is 500000"):
        through_template(recipe_of(a, b), template, tmp_path / "m.gguf")


def test_only_folders_are_read_as_they_are_found(tmp_path: Path) -> None:
    template = convert(make_parent(tmp_path / "a"), tmp_path / "t.gguf")
    with pytest.raises(CheckpointError, match="is a GGUF"):
        open_parents(recipe_of(template).parents(), as_found=True)
