"""Chat templates: Jinja out of a GGUF's metadata, rendered in a sandbox.

A template is code from a file somebody downloaded. The sandbox lets it format messages and nothing
else. There is no clock in it (`strftime_now`) either: prompts must not change from day to day, and
templates that ask for the date test for the function and have a fixed date to fall back to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn, Protocol

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mergesearch.errors import ScoringError

Message = Mapping[str, Any]


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


class Model(Protocol):
    """What is asked of a model whose chat template is wanted."""

    @property
    def chat_template(self) -> str | None:
        """Text of the template."""

    @property
    def bos(self) -> int | None:
        """Token that begins a text."""

    @property
    def eos(self) -> int | None:
        """Token that ends a text."""

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return the bytes a token stands for."""


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template with its vocabulary's special tokens.

    Set up as transformers does (transformers/utils/chat_template_utils.py): blocks trimmed,
    `break` and `continue`, `tojson`, `raise_exception`.

    Attributes:
        text: Jinja source.
        bos: Text of the token that begins a text.
        eos: Text of the token that ends a text.
    """

    text: str
    bos: str = ""
    eos: str = ""

    @classmethod
    def of(cls, model: Model) -> ChatTemplate:
        """Return a loaded model's chat template.

        Raises:
            ScoringError: The model has none.
        """

        def name(token: int | None) -> str:
            return "" if token is None else model.piece(token, special=True).decode()

        if model.chat_template is None:
            raise ScoringError(
                "the model has no chat template",
                fix="set apply_chat_template: false in the objectives file",
            )
        return cls(model.chat_template, name(model.bos), name(model.eos))

    @cached_property
    def _compiled(self) -> jinja2.Template:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        return environment.from_string(self.text)

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """Return the prompt for a conversation.

        Without `add_generation_prompt` a last message by the assistant is left open, to be
        continued.

        Raises:
            ScoringError: The template is not valid, fails, or does not take these messages.
        """
        try:
            text = self._compiled.render(
                messages=list(messages),
                add_generation_prompt=add_generation_prompt,
                bos_token=self.bos,
                eos_token=self.eos,
            )
        except Exception as error:  # a template may raise anything
            reason = f"{type(error).__name__}: {error}"
            raise ScoringError(
                f"the chat template fails ({reason})",
                fix="set apply_chat_template: false in the objectives file, or use a base model "
                "whose template takes these messages",
            ) from error
        if add_generation_prompt or not messages or messages[-1]["role"] != "assistant":
            return text
        return _left_open(text, str(messages[-1]["content"]))


def _left_open(text: str, last: str) -> str:
    """Cut a rendered conversation right after the content of its last message."""
    at = text.rfind(last.strip())
    if at < 0:
        raise ScoringError("the chat template does not show the last message as it is")
    return text[: at + len(last.strip())]
