"""Special tokens, and which of them go around a text, as GGUF's metadata names them.

Results match `SpecialVocab` of the `gguf` package (`gguf/vocab.py`), which reads a model's folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gguf

from mergesearch.gguf.pack import Metadata
from mergesearch.vocabulary.files import KINDS, Tokenizer, text_of

_KEY = gguf.Keys.Tokenizer
_ID_KEYS = {
    "bos": _KEY.BOS_ID,
    "eos": _KEY.EOS_ID,
    "unk": _KEY.UNK_ID,
    "sep": _KEY.SEP_ID,
    "pad": _KEY.PAD_ID,
    "mask": _KEY.MASK_ID,
    "eot": _KEY.EOT_ID,
}
_ADDED_KEYS = {"bos": _KEY.ADD_BOS, "eos": _KEY.ADD_EOS, "sep": _KEY.ADD_SEP}


@dataclass
class SpecialTokens:
    """The special tokens of a vocabulary.

    Attributes:
        ids: Rows by kind, such as `bos`.
        added: Whether tokens go around a text, by kind.
        chat_template: Chat template, or several, each a mapping with `name` and `template`.
    """

    ids: dict[str, int] = field(default_factory=dict)
    added: dict[str, bool] = field(default_factory=dict)
    chat_template: str | Sequence[Mapping[str, str]] | None = None

    def add_to(self, keys: Metadata) -> None:
        """Add the tokens and the chat template to the metadata of a GGUF."""
        for kind, row in self.ids.items():
            if kind in _ID_KEYS:
                keys.add(_ID_KEYS[kind], row)
        for kind, added in self.added.items():
            if kind in _ADDED_KEYS:
                keys.add(_ADDED_KEYS[kind], added)
        if isinstance(self.chat_template, str):
            keys.add(_KEY.CHAT_TEMPLATE, self.chat_template)
        elif self.chat_template is not None:
            _add_templates(keys, self.chat_template)


def _add_templates(keys: Metadata, templates: Sequence[Mapping[str, str]]) -> None:
    """Several chat templates: the default one under the plain key, the others by their names."""
    texts = {
        re.sub(r"[^a-zA-Z0-9]", "_", template.get("name", "")): template["template"]
        for template in templates
        if template.get("template") is not None
    }
    others = {name: text for name, text in texts.items() if name not in ("", "default")}
    for name, text in others.items():
        keys.add(_KEY.CHAT_TEMPLATE_N.format(name=name), text)
    if others:
        keys.add(_KEY.CHAT_TEMPLATES, list(others))
    if "default" in texts:
        keys.add(_KEY.CHAT_TEMPLATE, texts["default"])


def special_tokens(tokenizer: Tokenizer, rows: int) -> SpecialTokens:
    """Return the special tokens that a tokenizer, its settings and the model's config name.

    Args:
        rows: Rows of the token embedding; ids beyond them do not count.
    """
    settings = {key: value for key, value in tokenizer.settings.items() if key != "eot_token"}
    for kind, stand_in in (("bos", "cls"), ("eos", "sep")):
        if settings.get(f"{stand_in}_token") and not settings.get(f"{kind}_token"):
            settings[f"{kind}_token"] = settings[f"{stand_in}_token"]
    special = SpecialTokens()
    processor = tokenizer.document.get("post_processor") or {}
    for step in processor.get("processors", [processor]):
        if step.get("type") == "TemplateProcessing":
            _read_template(step, settings, bool(tokenizer.settings), special.added)
    if tokenizer.settings:
        template = settings.get("chat_template")
        special.chat_template = template if isinstance(template, str | list) else None
    listed = {
        entry.get("content"): entry.get("id")
        for entry in reversed(tokenizer.document.get("added_tokens") or [])
    }
    kinds = (*KINDS, "eot") if "eot_token" in settings else KINDS
    for kind in kinds if tokenizer.settings else ():
        if isinstance(settings.get(f"add_{kind}_token"), bool):
            special.added[kind] = settings[f"add_{kind}_token"]
        row = listed.get(text_of(settings.get(f"{kind}_token")))
        if isinstance(row, int) and row < rows:
            special.ids[kind] = row
    for kind in KINDS:
        if tokenizer.ids.get(kind, rows) < rows:
            special.ids.setdefault(kind, tokenizer.ids[kind])
    known = {token: row for token, row in listed.items() if isinstance(row, int) and row < rows}
    if set(_GLM) <= set(known):
        special.ids |= {kind: known[token] for kind, token in _OF_GLM.items()}
    return special


_GLM = ("[gMASK]", "<|user|>", "<|endoftext|>")
_OF_GLM = {"eos": _GLM[2], "eot": _GLM[1], "unk": _GLM[2], "bos": _GLM[2]}
"""What GLM-4's tokens mean, which its settings leave open: an answer ends where the user speaks.

As llama.cpp's converter has it (`conversion/glm.py`).
"""


def _read_template(
    step: Mapping[str, Any], settings: dict[str, Any], named: bool, added: dict[str, bool]
) -> None:
    """Read which tokens a template puts around a text, into `settings` and `added`.

    Args:
        named: Whether the settings are those of a file.
    """
    single, pair = step.get("single", []), step.get("pair", [])
    first, last = (_special(single[place]) if len(single) > 1 else None for place in (0, -1))
    bos, eos = settings.get("bos_token"), settings.get("eos_token")
    if first:
        added["bos"] = not named or first in (bos, settings.get("cls_token"))
    if last:
        if named and last != eos:
            settings |= {"eot_token": eos, "eos_token": last}
        added["eos"] = True
        eos = last
    start = 1 if pair and first and _special(pair[0]) == first else 0
    stop = -1 if pair and last and _special(pair[-1]) == last else None
    match [(entry.get("Sequence", {}).get("id"), _special(entry)) for entry in pair[start:stop]]:
        case [("A", _), *between, ("B", _)] if between:
            separators = [token for _, token in between]
            closing = [token in (settings.get("sep_token"), eos) for token in separators]
            added["sep"] = (closing[0] and bool(separators[0]) and not last) or (
                len(between) == 2 and bool(separators[1]) and closing[1]
            )
            if added["sep"] and named and not settings.get("sep_token"):
                settings["sep_token"] = eos


def _special(entry: Mapping[str, Any]) -> str | None:
    token = entry.get("SpecialToken", {}).get("id")
    return None if token is None else str(token)
