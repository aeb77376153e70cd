"""Chat templates: Jinja out of a GGUF's metadata, rendered in a sandbox.

A template is code from a file somebody downloaded. The sandbox lets it format messages and nothing
else. There is no clock in it (`strftime_now`) either: prompts must not change from day to day, and
templates that ask for the date test for the function and have a fixed date to fall back to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mergesearch.errors import ScoringError

Message = Mapping[str, Any]


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


class ChatTemplate:
    """A chat template with its vocabulary's special tokens.

    Set up as transformers does (transformers/utils/chat_template_utils.py): blocks trimmed,
    `break` and `continue`, `tojson`, `raise_exception`.
    """

    def __init__(self, text: str, bos: str = "", eos: str = "") -> None:
        self.text = text
        self.bos = bos
        self.eos = eos

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
            ScoringError: the template is not valid, fails, or does not take these messages.
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
