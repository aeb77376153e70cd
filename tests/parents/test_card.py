"""What parents say of themselves."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import pytest

from mergesearch.parents.card import ParentCard, hub_ids, read_cards


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


def test_repositories_are_named_without_revisions() -> None:
    assert hub_ids("org/a@main") == ["org/a"]
    assert hub_ids("org/a+you/lora@v1") == ["org/a", "you/lora"]
    assert hub_ids("demo:base") == hub_ids("./folder/model") == []
