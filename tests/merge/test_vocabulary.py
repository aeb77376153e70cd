"""Embedding and head rows in the vocabulary of the result, against plain row-by-row rules."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.parents import make_config, make_parent, make_tokenizer, make_weights, write_parent

from mergesearch._system.memo import Memo
from mergesearch.build import Workshop
from mergesearch.errors import CheckpointError, RecipeError
from mergesearch.gguf import EMBEDDING, HEAD
from mergesearch.merge import vocabulary
from mergesearch.merge.vocabulary import Aligned
from mergesearch.parents import Checkpoint, open_checkpoint
from mergesearch.recipe import Recipe, TokenizerChoice, TokenSource
from mergesearch.vocabulary import Tokenizer


def align(
    parents: dict[str, Checkpoint], base: str | None, choice: TokenizerChoice | None
) -> Aligned:
    return vocabulary.align(parents, base, choice, Memo())


def parent(folder: Path, seed: int, size: int, added: list[str], **changes: Any) -> Checkpoint:
    """A parent whose tokenizer was trained to `size` and has further tokens."""
    config = make_config(**changes)
    write_parent(folder, config, make_weights(config, seed), tokenizer=None)
    tokenizer = make_tokenizer("gpt-2", size)
    tokenizer.add_tokens(added)
    tokenizer.save(str(folder / "tokenizer.json"))
    return open_checkpoint(str(folder))


@pytest.fixture
def three(tmp_path: Path) -> dict[str, Checkpoint]:
    return {
        "base": parent(tmp_path / "base", 0, 330, ["<x>"]),
        "a": parent(tmp_path / "a", 1, 360, ["<x>", "<y>", "<z>"]),
        "b": parent(tmp_path / "b", 2, 345, ["<z>"], tie_word_embeddings=True),
    }


def whole(one: Checkpoint, name: str) -> Any:
    stored = name if name in one.tensors else EMBEDDING
    return one.rows(stored, 0, one.tensors[stored].shape[0])


@pytest.mark.parametrize("source", ["union", "base", "a"])
@pytest.mark.parametrize("name", [EMBEDDING, HEAD])
def test_rows_follow_the_tokens(source: str, name: str, three: dict[str, Checkpoint]) -> None:
    """Own rows first; else the base's, else the mean of the others that have the token."""
    aligned = align(three, "base", TokenizerChoice(source))
    assert aligned.tokenizer is not None
    texts = aligned.tokenizer.tokens
    rows = {
        ref: {text: row for row, text in _of(folder).tokens.items()}
        for ref, folder in three.items()
    }
    assert len(texts) == (331 if source == "base" else 363)
    for ref, view in aligned.parents.items():
        assert view.layout.vocab_rows == view.tensors[name].shape[0] == len(texts)
        assert not view.layout.tied
        found = view.rows(name, 0, len(texts))
        for row, text in texts.items():
            having = [parent for parent in three if text in rows[parent]]
            chosen = [ref] if ref in having else ["base"] if "base" in having else having
            expected = np.mean(
                [whole(three[parent], name)[rows[parent][text]] for parent in chosen], axis=0
            )
            np.testing.assert_allclose(found[row], expected, rtol=1e-6)


def _of(one: Checkpoint) -> Tokenizer:
    assert one.tokenizer is not None
    return one.tokenizer


def test_rows_do_not_depend_on_how_they_are_cut(three: dict[str, Checkpoint]) -> None:
    choice = TokenizerChoice("union", pad_to_multiple_of=64)
    view = align(three, "base", choice).parents["b"]
    assert view.layout.vocab_rows == 384
    together = view.rows(HEAD, 0, 384)
    for cuts in ([0, 100, 384], [0, 1, 330, 331, 370, 371, 384]):
        parts = [view.rows(HEAD, a, b) for a, b in pairwise(cuts)]
        np.testing.assert_array_equal(np.concatenate(parts), together)
    tokens = len(_of(view).tokens)
    assert 360 < tokens < 384
    np.testing.assert_allclose(together[383], together[:tokens].mean(axis=0), atol=1e-6)


def test_named_tokens_take_the_rows_that_are_named(three: dict[str, Checkpoint]) -> None:
    tokens = {
        "<new>": TokenSource(None),
        "<like y>": TokenSource("a", token="<y>"),
        "<row>": TokenSource("b", token_id=7),
        "<x>": TokenSource("a", force=True),
        "<z>": TokenSource("a"),
    }
    aligned = align(three, "base", TokenizerChoice("base", tokens))
    rows = {text: row for row, text in _of(aligned.parents["b"]).tokens.items()}
    a, b = three["a"], three["b"]
    in_a = {text: row for row, text in _of(a).tokens.items()}
    in_b = {text: row for row, text in _of(b).tokens.items()}
    for ref, view in aligned.parents.items():
        found = view.rows(EMBEDDING, 0, view.layout.vocab_rows)
        assert not found[rows["<new>"]].any()
        np.testing.assert_array_equal(found[rows["<like y>"]], whole(a, EMBEDDING)[in_a["<y>"]])
        np.testing.assert_array_equal(found[rows["<row>"]], whole(b, EMBEDDING)[7])
        np.testing.assert_array_equal(found[rows["<x>"]], whole(a, EMBEDDING)[in_a["<x>"]])
        z = whole(b, EMBEDDING)[in_b["<z>"]] if ref == "b" else whole(a, EMBEDDING)[in_a["<z>"]]
        np.testing.assert_array_equal(found[rows["<z>"]], z)
    for source, message in (
        (TokenSource("c"), "'c', which is not a parent"),
        (TokenSource("a", token="<q>"), "a has no token '<q>'"),
        (TokenSource("a", token_id=999), "a has no row 999"),
    ):
        with pytest.raises(RecipeError, match=message):
            align(three, "base", TokenizerChoice("base", {"<new>": source}))


def test_padding_rows_of_other_counts_come_from_the_base(tmp_path: Path) -> None:
    """The base has 400 rows: the other's 16 missing ones are the base's; then the other way."""
    base = open_checkpoint(str(make_parent(tmp_path / "base", 0, vocab_size=400)))
    a = open_checkpoint(str(make_parent(tmp_path / "a", 1)))
    view = align({"base": base, "a": a}, "base", None).parents["a"]
    assert (view.layout.vocab_rows, view.config["vocab_size"]) == (400, 400)
    found = view.rows(EMBEDDING, 380, 400)
    np.testing.assert_array_equal(found[:4], a.rows(EMBEDDING, 380, 384))
    np.testing.assert_array_equal(found[4:], base.rows(EMBEDDING, 384, 400))
    swapped = align({"base": base, "a": a}, "a", None)
    assert swapped.parents["a"] is a
    np.testing.assert_array_equal(
        swapped.parents["base"].rows(HEAD, 0, 384), base.rows(HEAD, 0, 384)
    )


def test_rows_whose_tokens_nobody_knows_are_refused(tmp_path: Path) -> None:
    """A parent without a tokenizer is not taken for equal by its number of rows."""
    base = open_checkpoint(str(make_parent(tmp_path / "base", 0)))
    a = open_checkpoint(str(make_parent(tmp_path / "a", 1, tokenizer=None)))
    for parents, first in (({"base": base, "a": a}, "base"), ({"a": a, "base": base}, "a")):
        with pytest.raises(CheckpointError, match=r"^a: no tokenizer\.json") as caught:
            align(parents, first, None)
        assert "expected: the tokens of base" in str(caught.value)
    chosen = align({"base": base, "a": a}, "base", TokenizerChoice("base"))
    np.testing.assert_array_equal(
        chosen.parents["a"].rows(EMBEDDING, 0, 360), a.rows(EMBEDDING, 0, 360)
    )


def test_where_no_parent_has_a_tokenizer_the_rows_are_counted(tmp_path: Path) -> None:
    rows = {"base": 400, "same": 400, "a": 384}
    parents = {
        name: open_checkpoint(
            str(make_parent(tmp_path / name, seed, tokenizer=None, vocab_size=vocab_size))
        )
        for seed, (name, vocab_size) in enumerate(rows.items())
    }
    message = r"differ in model.embed_tokens.weight: \(400, 64\) in base, \(384, 64\) in a"
    with pytest.raises(CheckpointError, match=message):
        align(parents, "base", None)
    del parents["a"]
    assert align(parents, "base", None).parents["same"] is parents["same"]


def test_without_a_base_the_others_give_their_mean(three: dict[str, Checkpoint]) -> None:
    """<z> is in a and b, not in the first parent; with a base that lacks it nothing changes."""
    for base in (None, "base"):
        aligned = align(three, base, TokenizerChoice("a"))
        row = {text: row for row, text in _of(three["a"]).tokens.items()}
        row_b = {text: row for row, text in _of(three["b"]).tokens.items()}["<z>"]
        expected = (
            whole(three["a"], EMBEDDING)[row["<z>"]] + whole(three["b"], EMBEDDING)[row_b]
        ) / 2
        found = aligned.parents["base"].rows(EMBEDDING, row["<z>"], row["<z>"] + 1)
        np.testing.assert_allclose(found[0], expected, rtol=1e-6)
        x = aligned.parents["b"].rows(EMBEDDING, row["<x>"], row["<x>"] + 1)[0]
        in_base = {text: row for row, text in _of(three["base"]).tokens.items()}["<x>"]
        bases = whole(three["base"], EMBEDDING)[in_base]
        both = (bases + whole(three["a"], EMBEDDING)[row["<x>"]]) / 2
        np.testing.assert_allclose(x, both if base is None else bases, rtol=1e-6)


def test_parents_that_agree_are_left_alone(tmp_path: Path) -> None:
    parents = {
        name: open_checkpoint(str(make_parent(tmp_path / name, seed)))
        for seed, name in enumerate("ab")
    }
    for choice in (None, TokenizerChoice("base", pad_to_multiple_of=384)):
        aligned = align(parents, None, choice)
        assert aligned.parents["a"].layout.vocab_rows == 384
    assert align(parents, None, None).parents is not None
    assert all(align(parents, None, None).parents[name] is parents[name] for name in "ab")


def test_a_hundred_thousand_tokens_are_mapped_once(tmp_path: Path) -> None:
    """A search plans again and again: the second time takes no time."""
    config = make_config(vocab_size=100_000, hidden_size=8, num_attention_heads=1)
    config |= {"num_key_value_heads": 1, "tie_word_embeddings": True}
    folders = {}
    for seed, name in enumerate(("base", "a")):
        folder = tmp_path / name
        write_parent(folder, config, make_weights(config, seed), tokenizer=None)
        vocab = {f"{name if row % 10 == 9 else ''}{row}": row for row in range(100_000)}
        document = {"model": {"type": "BPE", "vocab": vocab, "merges": []}, "added_tokens": []}
        (folder / "tokenizer.json").write_text(json.dumps(document))
        folders[name] = open_checkpoint(str(folder))
    memo, choice = Memo(), TokenizerChoice("union")
    aligned = vocabulary.align(folders, "base", choice, memo)
    assert aligned.parents["a"].layout.vocab_rows == 110_000
    started = time.perf_counter()
    again = vocabulary.align(folders, "base", choice, memo)
    assert time.perf_counter() - started < 0.05
    assert again.tokenizer is aligned.tokenizer


def test_a_folder_and_its_gguf_have_the_same_tokens(tmp_path: Path) -> None:
    """A GGUF writes spaces in added tokens as such; another token is still another one."""
    folder = make_parent(tmp_path / "a", tokenizer="spm")
    document = json.loads((folder / "tokenizer.json").read_text())
    document["added_tokens"].append({"id": 370, "content": "▁▁", "special": False})
    (folder / "tokenizer.json").write_text(json.dumps(document))
    recipe = Recipe.from_dict({"merge_method": "linear", "models": [{"model": str(folder)}]})
    Workshop.for_recipe(recipe).gguf(recipe, tmp_path / "a.gguf", quant="F32")
    parents = {name: open_checkpoint(str(tmp_path / name)) for name in ("a", "a.gguf")}
    texts = [parent.tokenizer.tokens[370] for parent in parents.values() if parent.tokenizer]
    assert texts == ["▁▁", "  "]
    assert align(parents, None, None).tokenizer is parents["a"].tokenizer
    other = make_parent(tmp_path / "b", tokenizer="spm")
    with pytest.raises(CheckpointError, match="differ in token 370: '▁▁' in a, None in b"):
        align({"a": parents["a"], "b": open_checkpoint(str(other))}, None, None)
