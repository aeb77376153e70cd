"""Whole GGUFs of single parents against llama.cpp's own converter, where its source tree is named.

`MERGESEARCH_LLAMA_CPP` names the folder that holds `convert_hf_to_gguf.py`; the source package of
llama-cpp-python has it in `vendor/llama.cpp`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import pytest
from helpers.parents import make_parent

from mergesearch.build import Workshop
from mergesearch.parents import open_parents
from mergesearch.recipe import Recipe

VARIABLE = "MERGESEARCH_LLAMA_CPP"
TREE = Path(os.environ.get(VARIABLE, ""))

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} is not set"),
]

# The converter knows pre-tokenizers by a digest of real vocabularies, and wants SentencePiece's
# own files of the families that have them; made-up ones get the plain byte-level vocabulary, and
# no tokens beside their own, as transformers adds to some families.
RUN = """
import sys
sys.path.insert(0, {tree!r})
sys.argv = ["convert_hf_to_gguf.py", "--outtype", {outtype!r}, "--outfile", {target!r}, {source!r}]
import transformers
transformers.AutoTokenizer = transformers.PreTrainedTokenizerFast
import conversion
conversion.load_all_models()
from conversion.base import TextModel
def every(kind):
    for subclass in kind.__subclasses__():
        yield subclass
        yield from every(subclass)
TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
for model in every(TextModel):
    model.set_vocab = TextModel._set_vocab_gpt2
import convert_hf_to_gguf
convert_hf_to_gguf.main()
"""

LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0}
LLAMA3 |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 64}
LONG = {"rope_type": "longrope", "short_factor": [1.5] * 8, "long_factor": [2.5] * 8}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {"attention_bias": True, "mlp_bias": True}),
    ("llama", {"tie_word_embeddings": True, "rope_scaling": LLAMA3}),
    ("mistral", {"head_dim": 32, "rope_theta": 1e6}),
    ("qwen2", {"num_key_value_heads": 1}),
    ("qwen2", {"rope_scaling": YARN}),
    ("qwen3", {"tie_word_embeddings": True}),
    ("qwen3", {"num_key_value_heads": 4}),
    ("gemma2", {}),
    ("gemma3_text", {"vocab_size": 360}),
    ("gemma3_text", {"rope_scaling": {"rope_type": "linear", "factor": 8.0}, "vocab_size": 360}),
    ("gemma4_text", {"vocab_size": 360, "vocab_size_per_layer_input": 360}),
    (
        "gemma4_text",
        {"vocab_size": 360, "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0}
        | {"attention_k_eq_v": True, "num_global_key_value_heads": 1, "use_double_wide_mlp": False},
    ),
    ("phi3", {"tie_word_embeddings": True, "partial_rotary_factor": 0.5}),
    ("phi3", {"max_position_embeddings": 512, "rope_scaling": LONG}),
    ("mixtral", {}),
    ("qwen3_moe", {}),
    ("olmo2", {}),
    ("granite", {"tie_word_embeddings": True}),
    ("smollm3", {"tie_word_embeddings": True}),
    ("glm4", {"partial_rotary_factor": 0.5}),
]


def convert(source: Path, target: Path, outtype: str) -> None:
    code = RUN.format(tree=str(TREE), outtype=outtype, target=str(target), source=str(source))
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)


def metadata(path: Path) -> dict[str, Any]:
    """All keys but the counts of the file itself and what the converter guesses from its place."""
    guessed = ("general.name", "general.basename", "general.finetune", "general.version")
    fields = gguf.GGUFReader(path).fields
    return {
        name: field.contents()
        for name, field in fields.items()
        if not name.startswith("GGUF.") and name not in guessed
    }


def tensors(path: Path) -> dict[str, tuple[str, list[int], bytes]]:
    return {
        tensor.name: (
            tensor.tensor_type.name,
            [int(size) for size in tensor.shape],
            tensor.data.tobytes(),
        )
        for tensor in gguf.GGUFReader(path).tensors
    }


@pytest.mark.parametrize(("arch", "changes"), FAMILIES)
def test_files_equal_the_converters(arch: str, changes: dict[str, Any], tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a", arch=arch, **changes)
    recipe = Recipe.from_dict({"merge_method": "linear", "models": [{"model": str(folder)}]})
    parents = open_parents(recipe.parents())
    for outtype in ("f32", "f16"):
        ours, theirs = tmp_path / "ours.gguf", tmp_path / "theirs.gguf"
        convert(folder, theirs, outtype)
        Workshop(parents).gguf(recipe, ours, quant=outtype.upper())
        assert tensors(ours) == tensors(theirs)
        assert metadata(ours) == metadata(theirs)
