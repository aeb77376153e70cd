"""Chat templates: prompts are those of transformers, and nothing else can be done in them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import jinja2
import pytest
from helpers import tiny_model
from helpers.chat_templates import OPENS_A_THOUGHT, TEMPLATES, THINKING_SWITCH
from transformers.utils import chat_template_utils

from mergesearch.errors import ScoringError
from mergesearch.objectives import Objectives, Thinking
from mergesearch.scoring.template import ChatTemplate

TALK = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes"},
    {"role": "user", "content": "Bye"},
]
CONVERSATIONS = {
    "a question": [{"role": "user", "content": ' What\'s <b>2 + 2</b>,\n "Éva"? '}],
    "several turns": TALK,
    "a system message": [{"role": "system", "content": "Be brief.\n"}, *TALK],
    "examples": [
        {"role": role, "content": f"{role} {number}"}
        for number in range(5)
        for role in ("user", "assistant")
    ][:-1],
    "an open answer": TALK[:2],
}


class FixedDay(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> FixedDay:
        return cls(2024, 7, 26, 13, 5)


@pytest.mark.parametrize("messages", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("text", TEMPLATES.values(), ids=TEMPLATES)
def test_prompts_are_those_of_transformers(
    text: str, messages: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_template_utils, "datetime", FixedDay)
    arguments: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>"}
    asks = messages[-1]["role"] == "user"
    try:
        (expected,), _ = chat_template_utils.render_jinja_template(
            [messages], chat_template=text, add_generation_prompt=asks, **arguments
        )
    except jinja2.TemplateError:
        with pytest.raises(ScoringError, match="the chat template fails"):
            ChatTemplate(text, "<s>", "</s>").render(messages)
        return
    if asks:
        assert ChatTemplate(text, "<s>", "</s>").render(messages) == expected


def test_there_are_thirty_kinds() -> None:
    assert len(TEMPLATES) >= 30


def test_a_conversation_is_rendered() -> None:
    template = ChatTemplate(tiny_model.TEMPLATE)
    assert template.render(TALK) == "<|user|>Hi<|bot|>Yes<|end|><|user|>Bye<|bot|>"


def test_a_started_answer_is_left_open() -> None:
    template = ChatTemplate(tiny_model.TEMPLATE)
    text = template.render(TALK[:2], add_generation_prompt=False)
    assert text == "<|user|>Hi<|bot|>Yes"


@pytest.mark.parametrize(
    "text",
    [
        "{{ raise_exception('no system role') }}",
        "{% if %}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ missing.field }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    ],
)
def test_what_a_template_must_not_do_is_an_error(text: str) -> None:
    with pytest.raises(ScoringError, match="the chat template fails"):
        ChatTemplate(text).render(TALK)


def test_it_is_always_the_day_of_the_objectives_file() -> None:
    text = "{{ strftime_now('%Y-%m-%d %H:%M') }}"
    assert ChatTemplate(text).render(TALK) == "2024-07-26 00:00"
    assert ChatTemplate(text, today=dt.date(2026, 1, 2)).render(TALK) == "2026-01-02 00:00"


class Model:
    """A model with special tokens of its own."""

    bos, eos = 1, None

    def __init__(self, template: str | None) -> None:
        self.chat_template = template

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return b"<s>" if special else b""


def test_special_tokens_are_the_model_s() -> None:
    template = ChatTemplate.of(Model("{{ bos_token }}|{{ eos_token }}"), Objectives(()))
    assert template.render(TALK) == "<s>|"
    with pytest.raises(ScoringError, match="no chat template"):
        ChatTemplate.of(Model(None), Objectives(()))


@pytest.mark.parametrize(
    ("enable", "ending"),
    [(None, "assistant\n"), (True, "assistant\n"), (False, "<think>\n\n</think>\n\n")],
)
def test_thinking_is_switched_as_the_objectives_file_says(enable: bool | None, ending: str) -> None:
    objectives = Objectives((), thinking=Thinking(budget=8, enable=enable))
    assert ChatTemplate.of(Model(THINKING_SWITCH), objectives).render(TALK).endswith(ending)
    assert ChatTemplate.of(Model(OPENS_A_THOUGHT), objectives).render(TALK).endswith("<think>\n")
