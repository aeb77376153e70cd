from __future__ import annotations

import pytest
from helpers import tiny_model

from mergesearch.errors import ScoringError
from mergesearch.scoring.template import ChatTemplate

TALK = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes"},
    {"role": "user", "content": "Bye"},
]


def test_a_conversation_is_rendered():
    template = ChatTemplate(tiny_model.TEMPLATE)
    assert template.render(TALK) == "<|user|>Hi<|bot|>Yes<|end|><|user|>Bye<|bot|>"


def test_a_started_answer_is_left_open():
    template = ChatTemplate(tiny_model.TEMPLATE)
    text = template.render(TALK[:2], add_generation_prompt=False)
    assert text == "<|user|>Hi<|bot|>Yes"


def test_special_tokens_json_and_loop_controls():
    template = ChatTemplate(
        "{{ bos_token }}{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}\n"
        "  {{ m | tojson }}{% endfor %}{{ eos_token }}",
        "<s>",
        "</s>",
    )
    assert template.render(TALK) == '<s>  {"role": "user", "content": "Hi"}</s>'


@pytest.mark.parametrize(
    "text",
    [
        "{{ raise_exception('no system role') }}",
        "{% if %}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ missing.field }}",
    ],
)
def test_what_a_template_must_not_do_is_an_error(text):
    with pytest.raises(ScoringError, match="chat template fails"):
        ChatTemplate(text).render(TALK)


def test_prompts_do_not_change_with_the_day():
    assert ChatTemplate("{{ strftime_now is defined }}").render(TALK) == "False"
