"""The two-round space for Qwen2.5-14B on made-up parents: every choice can be built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.command import search
from helpers.parents import make_config, make_tokenizer, make_weights, write_parent

from mergesearch._system import resources
from mergesearch.build import Workshop
from mergesearch.merge import plan_merge
from mergesearch.parents import Checkpoint, open_parents
from mergesearch.runs import check as checking
from mergesearch.space import Space

INSTRUCT, LONG = "Qwen/Qwen2.5-14B-Instruct", "Qwen/Qwen2.5-14B-Instruct-1M"


@pytest.fixture(scope="module")
def space() -> Space:
    return Space.from_yaml(resources.space_file("zyh-v4").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folders(space: Space, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny parents; the distilled ones have other special tokens, as the real ones do."""
    folders = {}
    for seed, ref in enumerate(space.parents()):
        longer = {"max_position_embeddings": 4096, "rope_theta": 1e7} if ref == LONG else {}
        config = make_config(vocab_size=400, num_hidden_layers=5, **longer)
        folder = tmp_path_factory.mktemp("parent") / "p"
        write_parent(folder, config, make_weights(config, seed))
        tokenizer = make_tokenizer("qwen2", 360)
        tokenizer.add_tokens(["<think>", "<bos>"] if "R1" in ref else ["<tool>"])
        tokenizer.save(str(folder / "tokenizer.json"))
        folders[ref] = folder
    return folders


@pytest.fixture(scope="module")
def parents(space: Space, folders: dict[str, Path]) -> dict[str, Checkpoint]:
    return open_parents(space.parents(), space.stages(), folders)


def test_it_names_the_parents_of_the_card(space: Space) -> None:
    assert len(space.parents()) == 7
    assert len(space.dimensions) == 12
    assert space.stages() == ("mixture-1", "mixture-2", "mixture-3")


def test_the_recipe_as_it_is_told_comes_first(space: Space) -> None:
    """Three mixtures of one to one, then three to one with an instruction model."""
    recipe = space.recipe(space.starts()[0])
    assert [source.parameters["weight"] for source in recipe.last.inputs] == [0.25] * 4
    assert {merge.parameters["t"] for merge in recipe.merges[:-1]} == {0.5}
    shares = recipe.shares(48)
    reasoning = sum(share for ref, share in shares.items() if "R1" in ref)
    assert reasoning == pytest.approx(0.375)


def test_every_choice_can_be_merged(space: Space, parents: dict[str, Checkpoint]) -> None:
    for recipe in space.examples():
        plan = plan_merge(recipe, parents)
        assert plan.config["max_position_embeddings"] == 4096
        assert plan.config["rope_theta"] == 1e7
        assert plan.layout.vocab_rows == 361  # the tokens of Instruct-1M


def test_the_first_candidate_is_the_same_each_time(
    space: Space, parents: dict[str, Checkpoint], tmp_path: Path
) -> None:
    recipe = space.recipe(space.starts()[0])
    with (
        Workshop(parents, threads=1).candidate(recipe) as one,
        Workshop(parents, threads=2).candidate(recipe) as two,
    ):
        assert one.digest == two.digest


def test_it_is_checked(
    folders: dict[str, Path], objectives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the large model that the tiny one stands for, 1 and 4 of 5 layers are scored."""
    monkeypatch.setattr(checking, "SMALL_MODEL_BYTES", 0)
    named = [part for ref, folder in folders.items() for part in ("--parent", f"{ref}={folder}")]
    outcome = search("check", "zyh-v4", "--objectives", objectives, *named, "--json")
    assert outcome.code == 0, outcome
    facts = json.loads(outcome.out)
    assert (facts["parents"], facts["layers"]) == (7, 5)
    assert facts["scoring_at_most"]
    assert facts["scoring_seconds"]["search"] > 0
    for config in (folder / "tokenizer_config.json" for folder in folders.values()):
        config.unlink()
    outcome = search("check", "zyh-v4", "--objectives", objectives, *named)
    assert outcome.code == 1
    assert "the model has no chat template" in outcome.err
