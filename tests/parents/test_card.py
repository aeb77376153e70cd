"""What parents say of themselves."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import pytest

from mergesearch.parents.card import ParentCard, hub_ids, origins, public_name, read_cards


def of(*files: Path) -> list[ParentCard]:
    parent: Any = SimpleNamespace(files={file.name: file for file in files})
    return read_cards(parent)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\nlicense: mit\nlanguage: [en, de]\n---\n# x", [ParentCard("mit", ("en", "de"))]),
        ("---\nlicense: apache-2.0\nlanguage: en\n---", [ParentCard("apache-2.0", ("en",))]),
        ("---\nlicense: [a, b]\nlanguage: {x: 1}\n---\n", []),
        ("---\nlicense: mit\nlicense: gpl\n---\n", []),
        ("# no metadata\n---\nlicense: mit\n---\n", []),
        ("", []),
    ],
)
def test_the_cards_metadata_is_read(tmp_path: Path, text: str, expected: list[ParentCard]) -> None:
    (tmp_path / "README.md").write_text(text)
    assert of(tmp_path / "config.json", tmp_path / "model.safetensors") == expected


def test_a_gguf_says_it_in_its_metadata(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_license("llama3.2")
    writer.add_languages(["en"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert of(tmp_path / "a.gguf") == [ParentCard("llama3.2", ("en",))]


def origin_of(folder: Path, ref: str | None = None) -> list[str]:
    file = folder / "config.json"
    parent: Any = SimpleNamespace(files={"config.json": file})
    return origins(str(folder) if ref is None else ref, parent)


@pytest.mark.parametrize(
    ("config", "card", "expected"),
    [
        ({"_name_or_path": "org/base"}, "", ["org/base"]),
        ({"_name_or_path": "org/base"}, "base_model: other/one", ["org/base"]),
        ({"_name_or_path": "/data/checkpoint-12"}, "base_model: [a/b, c/d]", ["a/b", "c/d"]),
        ({"_name_or_path": ""}, "base_model: ./here", []),
        ({}, "", []),
    ],
)
def test_a_folder_says_where_it_comes_from(
    config: dict[str, Any], card: str, expected: list[str], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "README.md").write_text(f"---\nlicense: mit\n{card}\n---\n")
    assert origin_of(tmp_path) == expected
    assert origin_of(tmp_path, "org/own@main") == ["org/own"]


def test_a_folder_of_the_hubs_cache_is_its_repository(tmp_path: Path) -> None:
    commit = "0123456789" * 4
    folder = tmp_path / "models--org--name-7B" / "snapshots" / commit
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert origin_of(folder) == ["org/name-7B"]
    assert public_name(str(folder)) == f"org/name-7B@{commit}"


def test_a_gguf_says_its_repository_in_its_metadata(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_repo_url("https://huggingface.co/org/name")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parent: Any = SimpleNamespace(files={"model.gguf": tmp_path / "a.gguf"})
    assert origins(str(tmp_path / "a.gguf"), parent) == ["org/name"]


def test_a_name_for_others_has_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert [public_name(ref) for ref in ("org/name", "./org/name/", "/gone/x.gguf")] == [
        "name",
        "name",
        "x.gguf",
    ]
    assert hub_ids("org/name") == []  # a folder that is here
    for ref in ("demo:base", "other/name@main"):
        assert public_name(ref) == ref
    assert public_name("other/name+/my/lora") == "other/name+lora"


def test_repositories_are_named_without_revisions() -> None:
    assert hub_ids("org/a@main") == ["org/a"]
    assert hub_ids("org/a+you/lora@v1") == ["org/a", "you/lora"]
    assert hub_ids("demo:base") == hub_ids("./folder/model") == []
