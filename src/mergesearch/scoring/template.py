"""Chat templates out of a GGUF's metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mergesearch._system.sandbox import Template
from mergesearch.errors import ScoringError
from mergesearch.objectives import Objectives

if TYPE_CHECKING:
    from mergesearch.scoring.engine import Engine

ChatMessage = Mapping[str, Any]
_THINKING_SWITCHES = ("enable_thinking", "thinking")  # Qwen and others; DeepSeek, Granite


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template with its vocabulary's special tokens, and what it is told of the world.

    Attributes:
        text: Jinja source.
        bos: Text of the token that begins a text.
        eos: Text of the token that ends a text.
        today: Day that the template is told it is.
        thinks: Whether the model is to think before it answers; None: the template's own choice.
    """

    text: str
    bos: str = ""
    eos: str = ""
    today: date = Objectives.date
    thinks: bool | None = None

    @classmethod
    def of(cls, model: Engine, objectives: Objectives) -> ChatTemplate:
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
        thinks = None if objectives.thinking is None else objectives.thinking.enable
        names = name(model.bos), name(model.eos)
        return cls(model.chat_template, *names, objectives.date, thinks)

    @cached_property
    def _compiled(self) -> Template:
        return Template(self.text, self.today)

    def render(self, messages: Sequence[ChatMessage], *, add_generation_prompt: bool = True) -> str:
        """Return the prompt for a conversation.

        Without `add_generation_prompt` a last message by the assistant is left open, to be
        continued.

        Raises:
            ScoringError: The template is not valid, fails, does not end, or does not take these
                messages.
        """
        thinks = {} if self.thinks is None else dict.fromkeys(_THINKING_SWITCHES, self.thinks)
        try:
            text = self._compiled.render(
                messages=list(messages),
                tools=None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                bos_token=self.bos,
                eos_token=self.eos,
                **thinks,
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
