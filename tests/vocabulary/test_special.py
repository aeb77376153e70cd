"""Special tokens against the `gguf` package, which reads them from a model's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.gguf.pack import Metadata
from mergesearch.vocabulary import Tokenizer
from mergesearch.vocabulary.special import SpecialTokens, special_tokens

ROWS = 8
NAMES = ["<s>", "</s>", "<x>", "<y>"]
ADDED = [{"id": row, "content": name} for row, name in enumerate([*NAMES, "<beyond>", "<s>"])]
ADDED[4]["id"] = 9
KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")

names = st.sampled_from([*NAMES, "<beyond>"])
entries = st.one_of(
    names.map(lambda name: {"SpecialToken": {"id": name, "type_id": 0}}),
    st.sampled_from("AB").map(lambda name: {"Sequence": {"id": name, "type_id": 0}}),
)
steps = st.one_of(
    st.just({"type": "ByteLevel"}),
    st.fixed_dictionaries(
        {
            "type": st.just("TemplateProcessing"),
            "single": st.lists(entries, max_size=4),
            "pair": st.lists(entries, max_size=6),
        }
    ),
)
processors = st.one_of(
    st.none(),
    steps,
    st.tuples(st.just({"type": "ByteLevel"}), steps).map(
        lambda both: {"type": "Sequence", "processors": list(both)}
    ),
)
tokens = st.one_of(names, names.map(lambda name: {"content": name}), st.none())
documents = st.dictionaries(
    st.sampled_from([f"{kind}_token" for kind in (*KINDS, "eot")]), tokens, max_size=5
)
flags = st.dictionaries(
    st.sampled_from(["add_bos_token", "add_eos_token", "add_sep_token", "add_pad_token"]),
    st.sampled_from([True, False, None]),
    max_size=2,
)
ids = st.dictionaries(st.sampled_from(KINDS), st.integers(0, 9), max_size=3)


def by_gguf(folder: Path, tokenizer: Tokenizer) -> SpecialTokens:
    """What `gguf.SpecialVocab` reads from the same documents as files."""
    config = {f"{kind}_token_id": row for kind, row in tokenizer.ids.items()}
    files = {"tokenizer.json": tokenizer.document, "config.json": config}
    if tokenizer.settings:
        files["tokenizer_config.json"] = tokenizer.settings
    for file in folder.iterdir():
        file.unlink()
    for name, document in files.items():
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    found = gguf.SpecialVocab(folder, n_vocab=ROWS)
    return SpecialTokens(found.special_token_ids, found.add_special_token, found.chat_template)


@given(processor=processors, document=documents, added=flags, ids=ids)
def test_special_tokens_equal_those_of_gguf(
    processor: Any,
    document: dict[str, Any],
    added: dict[str, Any],
    ids: dict[str, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """In the same order too, as it is that of the file."""
    folder = tmp_path_factory.getbasetemp() / "special"
    folder.mkdir(exist_ok=True)
    tokenizer = Tokenizer(
        {"added_tokens": ADDED, "post_processor": processor, "model": {"vocab": {}}},
        document | added,
        {},
        ids=ids,
    )
    ours, theirs = special_tokens(tokenizer, ROWS), by_gguf(folder, tokenizer)
    assert list(ours.ids.items()) == list(theirs.ids.items())
    assert list(ours.added.items()) == list(theirs.added.items())


def keys_of(special: SpecialTokens) -> list[str]:
    keys = Metadata()
    special.add_to(keys)
    return list(keys._values)


def test_several_chat_templates_keep_their_order() -> None:
    """The default one is under the plain key; a name that a key cannot hold is changed."""
    templates = [
        {"name": "tool-use", "template": "T"},
        {"name": "default", "template": "D"},
        {"name": "rag", "template": "R"},
    ]
    assert keys_of(SpecialTokens(chat_template=templates)) == [
        "tokenizer.chat_template.tool_use",
        "tokenizer.chat_template.rag",
        "tokenizer.chat_templates",
        "tokenizer.chat_template",
    ]
    assert keys_of(SpecialTokens(chat_template="D")) == ["tokenizer.chat_template"]


def test_kinds_that_gguf_has_no_key_for_are_left_out() -> None:
    special = SpecialTokens({"cls": 1, "bos": 2}, {"pad": True, "sep": False})
    assert keys_of(special) == ["tokenizer.ggml.bos_token_id", "tokenizer.ggml.add_sep_token"]


def test_an_answer_of_glm_ends_where_the_user_speaks() -> None:
    """As the converter says (`conversion/glm.py`), though nothing in the folder does."""
    names = ["<|endoftext|>", "[MASK]", "[gMASK]", "<|user|>"]
    document = {"added_tokens": [{"id": row, "content": name} for row, name in enumerate(names)]}
    settings = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    found = special_tokens(Tokenizer(document, settings, {}), 8)
    assert found.ids == {"eos": 0, "pad": 0, "eot": 3, "unk": 0, "bos": 0}
    del document["added_tokens"][2]
    assert "eot" not in special_tokens(Tokenizer(document, settings, {}), 8).ids
