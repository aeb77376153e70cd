"""Links in the folders of parents: within the folder and the hub's cache, never to elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers.adapters import make_tensors, write_adapter
from helpers.parents import make_config, make_parent

from mergesearch.build import Workshop
from mergesearch.errors import CheckpointError
from mergesearch.parents import open_checkpoint
from mergesearch.parents.links import check_links
from mergesearch.recipe import Recipe


def moved(path: Path, target: Path) -> None:
    """A file at another place, and a link to it at its own."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, target)
    path.symlink_to(target)


READ = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


@pytest.mark.parametrize("name", READ)
def test_a_file_elsewhere_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a")
    moved(folder / name, tmp_path / "elsewhere" / name)
    with pytest.raises(CheckpointError, match=f"{name} is a link to .*elsewhere"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize("name", ["model-00002-of-00002.safetensors", "merges.txt", "vocab.json"])
def test_so_are_shards_and_what_is_only_copied(name: str, tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a", shards=2)
    (folder / name).touch()
    moved(folder / name, tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=f"{name} is a link"):
        open_checkpoint(str(folder))


def test_so_are_a_folder_of_templates_and_an_adapters_files(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a")
    adapter = write_adapter(tmp_path / "lora", make_tensors(make_config()))
    moved(adapter / "adapter_model.safetensors", tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors is a link"):
        open_checkpoint(f"{folder}+{adapter}")
    (tmp_path / "templates").mkdir()
    (folder / "additional_chat_templates").symlink_to(tmp_path / "templates")
    with pytest.raises(CheckpointError, match="additional_chat_templates is a link"):
        open_checkpoint(str(folder))


def test_links_within_the_folder_and_to_what_is_not_read_are_followed(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a")
    moved(folder / "tokenizer.json", folder / "files" / "tokenizer.json")
    (folder / "notes").symlink_to("/etc/hostname")
    linked = tmp_path / "link"
    linked.symlink_to(folder)
    assert open_checkpoint(str(linked)).tensors == open_checkpoint(str(folder)).tensors


def test_a_snapshot_of_the_hubs_cache_is_made_of_links(tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name"
    folder = make_parent(repository / "snapshots" / "0123")
    for name in READ:
        moved(folder / name, repository / "blobs" / f"{len(name):040x}")
    check_links(folder)
    assert open_checkpoint(str(folder)).tokenizer is not None


def test_a_file_that_is_named_itself_may_be_a_link(tmp_path: Path) -> None:
    """What the person names is trusted."""
    folder = make_parent(tmp_path / "a")
    made = Recipe.from_dict({"merge_method": "linear", "models": [{"model": str(folder)}]})
    Workshop.for_recipe(made).gguf(made, tmp_path / "elsewhere.gguf")
    (tmp_path / "named.gguf").symlink_to(tmp_path / "elsewhere.gguf")
    assert open_checkpoint(str(tmp_path / "named.gguf")).tokenizer is not None
