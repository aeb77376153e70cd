"""A workshop gives the same bytes whatever the threads, the parents' place and the time."""

from __future__ import annotations

import hashlib
import os
import platform
import signal
import threading
import time
from pathlib import Path
from typing import Any

import llama_cpp
import pytest
from helpers.parents import make_family, make_parent, recipe_of

from mergesearch.build import Workshop, gguf_file, open_gguf, workshop
from mergesearch.errors import (
    BuildError,
    CheckpointError,
    InputError,
    Interrupted,
    ParentChanged,
    RecipeError,
)
from mergesearch.parents import open_parents
from mergesearch.parents.folder import FolderCheckpoint
from mergesearch.recipe import Recipe


def load(path: Path, **options: Any) -> llama_cpp.Llama:
    return llama_cpp.Llama(str(path), n_ctx=128, verbose=False, **options)


@pytest.mark.parametrize("method", ["linear", "task_arithmetic", "ties", "slerp"])
def test_bytes_do_not_depend_on_threads_or_place(
    method: str, family: dict[str, str], tmp_path: Path
) -> None:
    """One thread or two, memory or file: one digest, that of the file's bytes."""
    recipe = recipe_of(family, method)
    parents = open_parents(recipe.parents())
    with (
        Workshop(parents, threads=1).candidate(recipe) as one,
        Workshop.for_recipe(recipe, threads=2).candidate(recipe) as two,
    ):
        data = two.path.read_bytes()
        assert one.path.read_bytes() == data
        assert (one.digest, one.size) == (two.digest, two.size) == (_sha256(data), len(data))
    assert Workshop(parents).gguf(recipe, tmp_path / "m.gguf") == _sha256(data)
    with open_gguf(tmp_path / "m.gguf") as opened:
        assert (opened.digest, opened.size) == (_sha256(data), len(data))
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_bytes_do_not_depend_on_the_parents_place(tmp_path: Path) -> None:
    """The same parents in other folders give the same file."""
    digests = []
    for place in ("here", "elsewhere"):
        recipe = recipe_of(make_family(tmp_path / place))
        with Workshop.for_recipe(recipe).candidate(recipe) as one:
            digests.append(one.digest)
    assert digests[0] == digests[1]


@pytest.mark.parametrize("method", ["linear", "ties"])
def test_threads_that_share_the_statistics_of_a_stage_give_the_same_bytes(
    method: str, family: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage and a stored parent, in blocks so small that every tensor has many."""
    monkeypatch.setattr("mergesearch.merge.rows.BLOCK_ELEMENTS", 1 << 11)
    stage = {"name": "mix", "merge_method": "ties", "base_model": family["base"]}
    stage["models"] = [
        {"model": family[name], "parameters": {"density": 0.4, "weight": 0.8}} for name in "ab"
    ]
    models = [{"model": "mix"}, {"model": family["b"]}]
    recipe = recipe_of(family, method, models=models, stages=[stage])
    digests = set()
    for threads in (1, 2, 3):
        with Workshop.for_recipe(recipe, threads=threads).candidate(recipe) as built:
            digests.add(built.digest)
    assert len(digests) == 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="elsewhere compilers may fuse")
@pytest.mark.parametrize(
    ("method", "digest"),
    [
        ("linear", "21b69da2016997f44ce2e1d82f87690e09a74ad3f7ae0461370ce25182701720"),
        ("task_arithmetic", "30ab17100503d3da164421b5fefb3f1f30a8e4b295259f59561606159112d491"),
        ("ties", "26132275bc78be09b5abbca5c0fe9e241f539fdc67c92536639658264be1f37e"),
    ],
)
def test_published_recipes_keep_their_bytes(method: str, digest: str) -> None:
    """Of recipes over the bundled parents: what was found once can be built again."""
    own: dict[str, Any] = {"weight": 0.3 if method == "linear" else 0.7}
    own |= {"density": 0.4} if method == "ties" else {}
    models = [
        {"model": "demo:instruct", "parameters": own},
        {"model": "demo:reason", "parameters": own | {"weight": [0.2, 1.1]}},
    ]
    document: dict[str, Any] = {"merge_method": method, "models": models}
    document |= {} if method == "linear" else {"base_model": "demo:base"}
    recipe = Recipe.from_dict(document)
    with Workshop.for_recipe(recipe).candidate(recipe) as built:
        assert built.digest == digest


def test_full_safetensors_folder_is_refused(family: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    recipe = recipe_of(family)
    with pytest.raises(InputError, match="not empty"):
        Workshop.for_recipe(recipe).safetensors(recipe, tmp_path)


def test_numbers_that_are_not_finite_leave_nothing(family: dict[str, str], tmp_path: Path) -> None:
    """A merge that divides by zero names the tensor; no file and no descriptor stays."""
    recipe = recipe_of(family)
    models = [
        {"model": family["a"], "parameters": {"weight": 1.0}},
        {"model": family["b"], "parameters": {"weight": -1.0}},
    ]
    recipe = Recipe.from_dict({"merge_method": "linear", "models": models})
    parents = open_parents(recipe.parents())
    before = len(os.listdir("/proc/self/fd"))
    for build in (
        lambda: Workshop(parents).candidate(recipe),
        lambda: Workshop(parents).gguf(recipe, tmp_path / "m.gguf"),
        lambda: Workshop(parents).safetensors(recipe, tmp_path / "m"),
    ):
        with pytest.raises(BuildError, match="embed_tokens"):
            build()
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("threads", [1, 2])
def test_a_build_that_is_stopped_leaves_nothing(
    threads: int, family: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, stop, written = recipe_of(family), threading.Event(), []
    parents = open_parents(recipe.parents())
    Workshop(parents).candidate(recipe).close()
    write_rows = gguf_file._write_rows

    def write_and_stop(*arguments: Any) -> None:
        write_rows(*arguments)
        written.append(arguments)
        if len(written) == 3:
            stop.set()

    monkeypatch.setattr(gguf_file, "_write_rows", write_and_stop)
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    with pytest.raises(Interrupted, match="the build was stopped"):
        Workshop(parents, threads=threads).candidate(recipe, stop=stop)
    assert 3 <= len(written) <= 2 + threads  # what was under way is finished
    after = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    assert len(after) == len(before)


@pytest.mark.parametrize("method", ["ties", "slerp"])
def test_ctrl_c_in_a_pass_over_a_whole_tensor_ends_the_build_at_once(
    method: str, family: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pass is made to take seconds; half a second after the signal the build has ended."""
    recipe = recipe_of(family, method)
    parents = open_parents(recipe.parents())
    stored, sent = FolderCheckpoint.stored, []

    def slow(checkpoint: FolderCheckpoint, name: str, start: int, stop: int) -> Any:
        sent.append(time.monotonic())
        if len(sent) == 40:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.004)
        return stored(checkpoint, name, start, stop)

    monkeypatch.setattr("mergesearch.merge.rows.BLOCK_ELEMENTS", 64)
    monkeypatch.setattr(FolderCheckpoint, "stored", slow)
    with pytest.raises(KeyboardInterrupt):
        Workshop(parents, threads=2).candidate(recipe)
    assert time.monotonic() - sent[39] < 0.5
    assert len(sent) < 60


def test_a_parent_that_is_cut_short_during_a_build_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mergesearch._kernels._guard")
    family = make_family(tmp_path / "parents")
    recipe = recipe_of(family)
    built = Workshop.for_recipe(recipe)
    weights = Path(family["a"]) / "model.safetensors"

    def cut_and_write(*arguments: Any) -> Any:
        os.truncate(weights, 5000)
        return gguf_file.write_gguf(*arguments)

    monkeypatch.setattr(workshop, "write_gguf", cut_and_write)
    with pytest.raises(ParentChanged, match=rf"{weights}: has 5000 bytes"):
        built.gguf(recipe, tmp_path / "m.gguf")
    with pytest.raises(ParentChanged):
        built.safetensors(recipe, tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["parents"]


def test_tokenizer_source_picks_the_vocabulary(tmp_path: Path) -> None:
    """Parents with other vocabularies need a source; then the result carries that one."""
    a = make_parent(tmp_path / "a", 0, tokenizer="gpt-2")
    b = make_parent(tmp_path / "b", 1, tokenizer="qwen2")
    document = {"merge_method": "linear", "models": [{"model": str(a)}, {"model": str(b)}]}
    recipe = Recipe.from_dict(document)
    with pytest.raises(CheckpointError, match="differ in token"):
        Workshop.for_recipe(recipe).candidate(recipe)
    for source, name in ((str(a), "gpt-2"), (str(b), "qwen2"), ("union", "gpt-2")):
        recipe = Recipe.from_dict(document | {"tokenizer_source": source})
        with Workshop.for_recipe(recipe).candidate(recipe) as built:
            assert load(built.path, vocab_only=True).metadata["tokenizer.ggml.pre"] == name
    recipe = Recipe.from_dict(document | {"tokenizer_source": "c"})
    with pytest.raises(RecipeError, match="source 'c' is not a parent of this recipe"):
        Workshop.for_recipe(recipe).candidate(recipe)
