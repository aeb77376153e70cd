"""A training of a few steps: what it writes, and that it can be repeated."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from tools.zoo import train
from tools.zoo.train import STAGES, main

FILES = {
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
}
PARENTS = Path(__file__).parents[3] / "src" / "mergesearch" / "zoo" / "parents"


@pytest.fixture(autouse=True, scope="module")
def _small_batches() -> Iterator[None]:
    """Few examples a step, nothing measured for a log, and the tokenizer trained once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "BATCH", 2)
        patch.setattr(train, "POOL", 4)
        patch.setattr(train, "probe", lambda model, tokenizer: "")
        patch.setattr(train, "train_tokenizer", cache(train.train_tokenizer))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stages, three steps or fewer each."""
    out = tmp_path_factory.mktemp("zoo")
    main(["--out", str(out), "--steps-scale", "0.001"])
    return out


def test_the_same_seed_gives_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    """Training the base and one of what comes from it again, one at a time, writes equal files."""
    for name in ("base", "reason"):
        main(["--out", str(tmp_path), "--steps-scale", "0.001", "--only", name])
        assert {path.name for path in (tmp_path / name).iterdir()} == FILES
        for file in FILES:
            assert (tmp_path / name / file).read_bytes() == (trained / name / file).read_bytes()


@pytest.mark.parametrize("name", STAGES)
def test_a_parent_loads_in_transformers(trained: Path, name: str) -> None:
    """Shapes and dtype are as promised, and the fine-tunes differ from the base."""
    model = AutoModelForCausalLM.from_pretrained(trained / name)
    assert model.dtype == torch.bfloat16
    assert model.config.vocab_size == 1024
    assert sum(p.numel() for p in model.parameters()) == 3_807_488
    base = AutoModelForCausalLM.from_pretrained(trained / "base")
    equal = torch.equal(model.model.norm.weight, base.model.norm.weight)
    layer = torch.equal(model.lm_head.weight, base.lm_head.weight)
    assert (equal and layer) is (name == "base")


def _sizes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_bundled_parents_are_small_and_share_one_tokenizer() -> None:
    """Three parents under 32 MB, with the same tokenizer and configuration."""
    assert {path.name for path in PARENTS.iterdir()} == set(STAGES)
    assert _sizes(PARENTS) < 32 * 2**20
    for file in FILES - {"model.safetensors"}:
        assert len({(PARENTS / name / file).read_bytes() for name in STAGES}) == 1


def test_the_bundled_tokenizer_is_what_training_makes(trained: Path) -> None:
    """The parents carry the tokenizer that today's generators give."""
    made, bundled = trained / "base", PARENTS / "base"
    for file in FILES - {"model.safetensors"}:
        assert (made / file).read_bytes() == (bundled / file).read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        " Write the words cat, DOG and sea. End with well done.",
        "1. cat\n2. dog\n\n- x  - y:\nit's 12 of 345",
        "\u00e9t\u00e9 \u4f60\u597d \u00bd",
    ],
)
def test_both_pre_tokenizers_agree(text: str) -> None:
    """transformers applies Qwen2's pre-tokenizer and llama.cpp the plain one: the ids are equal."""
    folder = PARENTS / "base"
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    section = json.loads((folder / "tokenizer.json").read_text())["pre_tokenizer"]
    assert section == {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    loaded = AutoTokenizer.from_pretrained(folder)
    ids = plain.encode(text).ids
    assert loaded(text)["input_ids"] == ids
    assert loaded.decode(ids) == text == plain.decode(ids)


def test_chat_template() -> None:
    """A turn is a mark, a space and the text; an answer closes with the end mark."""
    tokenizer = AutoTokenizer.from_pretrained(PARENTS / "base")
    chat = [{"role": "user", "content": "Hi"}]
    prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert prompt == "<|user|> Hi<|bot|>"
    chat.append({"role": "assistant", "content": "Ann"})
    assert tokenizer.apply_chat_template(chat, tokenize=False) == "<|user|> Hi<|bot|> Ann<|end|>"
    assert tokenizer.eos_token == "<|end|>"
    assert tokenizer.bos_token is None
