"""A tokenizer as it lies in a model's folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mergesearch._system.documents import check, read_json_object, shown
from mergesearch._system.files import read_text
from mergesearch.errors import CheckpointError, InputError
from mergesearch.gguf.documents import GENERATION as GENERATION_DOCUMENT
from mergesearch.vocabulary.documents import (
    SETTINGS_DOCUMENT,
    SPECIAL_TOKENS_DOCUMENT,
    TOKENIZER_DOCUMENT,
    pieces_of,
)
from mergesearch.vocabulary.sentencepiece_model import read_sentencepiece
from mergesearch.vocabulary.stored import StoredTokens

TOKENIZER, SETTINGS, GENERATION, CONFIG = (
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "config.json",
)
SPECIAL = "special_tokens_map.json"  # only copied
TEMPLATE, MORE_TEMPLATES = "chat_template.jinja", "additional_chat_templates"
OLD_TEMPLATE = "chat_template.json"  # older checkpoints of models that read images too
LISTED = "added_tokens_decoder"
PIECES = "tokenizer.model"
KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
"""The special tokens that settings name as `KIND_token`."""

_COPIED = (
    TOKENIZER,
    SETTINGS,
    GENERATION,
    TEMPLATE,
    OLD_TEMPLATE,
    SPECIAL,
    "added_tokens.json",
    PIECES,
    "vocab.json",
    "merges.txt",
)


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A tokenizer and what goes with it; two of them are equal only where they are one object.

    Attributes:
        document: `tokenizer.json`.
        settings: `tokenizer_config.json`, the chat template in it; empty where there is none.
        generation: `generation_config.json`; empty where there is none.
        files: Folder that it was read from and still equals; None where it was made.
        ids: Rows of the special tokens, by kind, that the model's `config.json` names.
        pre: Name of the pre-tokenizer in llama.cpp, where it was read from a GGUF; None where the
            `pre_tokenizer` of the document says what it does.
        stored: Tokens of the GGUF or of the SentencePiece model that it was read from, which hold
            for the rows that still have them; None where there is none.
    """

    document: dict[str, Any]
    settings: dict[str, Any]
    generation: dict[str, Any]
    files: Path | None = None
    ids: Mapping[str, int] = field(default_factory=dict)
    pre: str | None = None
    stored: StoredTokens | None = None

    @property
    def chat_template(self) -> str | None:
        """The chat template; of several the one called `default`."""
        template = self.settings.get("chat_template")
        if isinstance(template, list):
            named = {choice.get("name"): choice.get("template") for choice in template}
            template = named.get("default")
        return template if isinstance(template, str) else None

    @cached_property
    def added_tokens(self) -> dict[int, Mapping[str, Any]]:
        """The added tokens by their rows, as `added_tokens` of `tokenizer.json` has them.

        Those that only the settings list count too, as they do for transformers.
        """
        listed = self.settings.get(LISTED) or {}
        in_document = self.document.get("added_tokens") or []
        return {int(row): {"id": int(row), **entry} for row, entry in listed.items()} | {
            int(entry["id"]): entry for entry in in_document
        }

    @cached_property
    def tokens(self) -> Mapping[int, str]:
        """Every token by its row, added tokens too."""
        texts = {row: text for text, row in self.document["model"]["vocab"].items()}
        return texts | {row: str(entry["content"]) for row, entry in self.added_tokens.items()}


def read_tokenizer(folder: Path, config: Mapping[str, Any] | None = None) -> Tokenizer | None:
    """Read a folder's tokenizer; None where it has no `tokenizer.json`.

    Args:
        config: `config.json` of the model; None for the one in the folder, if there is one.

    Raises:
        CheckpointError: A file is not a JSON object, the tokenizer is not a BPE, or its added
            tokens are damaged.
    """
    if not (folder / TOKENIZER).is_file():
        return None
    document = _read(folder / TOKENIZER)
    model = document.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if isinstance(kind, str) and kind != "BPE":  # others have another kind of vocabulary
        raise CheckpointError(
            f"{kind} tokenizer", where=folder / TOKENIZER, expected="a BPE tokenizer"
        )
    check(TOKENIZER_DOCUMENT, document, folder / TOKENIZER, CheckpointError)
    _check_merges(document["model"], folder / TOKENIZER)
    settings = _read(folder / SETTINGS)
    template = _template(folder, settings.get("chat_template"))
    if template is not None:
        settings["chat_template"] = template
    check(SETTINGS_DOCUMENT, settings, folder / SETTINGS, CheckpointError)
    generation = _read(folder / GENERATION)
    check(GENERATION_DOCUMENT, generation, folder / GENERATION, CheckpointError)
    check(SPECIAL_TOKENS_DOCUMENT, _read(folder / SPECIAL), folder / SPECIAL, CheckpointError)
    config = _read(folder / CONFIG) if config is None else config
    ids = {kind: config.get(f"{kind}_token_id") for kind in KINDS}
    return Tokenizer(
        document,
        settings,
        generation,
        folder,
        {kind: row for kind, row in ids.items() if type(row) is int and row >= 0},
        stored=_stored(folder, document, settings),
    )


def _check_merges(model: Mapping[str, Any], where: Path) -> None:
    """Refuse merges of what is not a token, as the library `tokenizers` does."""
    vocab = model["vocab"]
    for merge in model.get("merges") or ():
        for piece in pieces_of(merge):
            if piece not in vocab:
                raise CheckpointError(
                    f"model.merges: {shown(piece)} is not in the vocabulary", where=where
                )


def _stored(
    folder: Path, document: Mapping[str, Any], settings: Mapping[str, Any]
) -> StoredTokens | None:
    """The scores and types of a SentencePiece model, which a `tokenizer.json` does not have.

    None where there is no such model, or that of another vocabulary.
    """
    if not document["model"].get("byte_fallback") or not (folder / PIECES).is_file():
        return None
    listed = {int(row) for row in settings.get(LISTED) or ()}
    stored = read_sentencepiece(folder / PIECES, listed)
    added = listed | {entry["id"] for entry in document.get("added_tokens") or ()}
    pieces = dict(enumerate(stored.texts))
    vocab = document["model"]["vocab"].items()
    same = all(pieces.get(row) == text for text, row in vocab if row not in added)
    return stored if same else None


DOCUMENTS = (CONFIG, *_COPIED)
"""The files that configure a model and its tokenizer, in a fixed order."""


def documents(folder: Path) -> list[Path]:
    """Return the files of a folder that configure its model and tokenizer, in that order."""
    files = [folder / name for name in DOCUMENTS]
    return [file for file in files if file.is_file()] + _more_templates(folder)


def _more_templates(folder: Path) -> list[Path]:
    return sorted((folder / MORE_TEMPLATES).glob("*.jinja"))


def _template(folder: Path, in_settings: Any) -> Any:
    """The chat template, or several by their names; a file of its own counts before the settings.

    So does transformers (`tokenization_utils_base.py`); llama.cpp's converter takes the settings.
    """
    file = folder / TEMPLATE
    if not file.is_file():
        older = _read(folder / OLD_TEMPLATE).get("chat_template")
        return older if in_settings is None and isinstance(older, str | list) else in_settings
    template = _text(file)
    others = _more_templates(folder)
    if not others:
        return template
    return [
        {"name": name, "template": text}
        for name, text in (
            ("default", template),
            *((other.stem, _text(other)) for other in others),
        )
    ]


def _text(file: Path) -> str:
    try:
        return read_text(file)
    except InputError as error:
        raise CheckpointError(error.what, where=file) from error


def _read(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no file."""
    if not file.is_file():
        return {}
    return read_json_object(file, CheckpointError)


def text_of(token: Any) -> str | None:
    """Return the text of a token that settings name, as a string or as an object with `content`."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write a tokenizer's files into a folder, those that it was read from as they are.

    Raises:
        CheckpointError: Only llama.cpp knows how it splits text.
    """
    if tokenizer.files is not None:
        for name in _COPIED:
            if (tokenizer.files / name).is_file():
                shutil.copyfile(tokenizer.files / name, folder / name)
        return
    if tokenizer.pre is not None and tokenizer.document.get("pre_tokenizer") is None:
        raise CheckpointError(
            f"llama.cpp's pre-tokenizer {tokenizer.pre!r} has no tokenizer.json here",
            fix="build a GGUF, or name a parent in a folder of safetensors: tokenizer_source",
        )
    for name, document in (
        (TOKENIZER, tokenizer.document),
        (SETTINGS, tokenizer.settings),
        (GENERATION, tokenizer.generation),
    ):
        if document:
            text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
            (folder / name).write_text(text, encoding="utf-8")
