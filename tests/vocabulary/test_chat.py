"""Chat templates: written out, built in, and the parents' most frequent one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest

from mergesearch.errors import RecipeError
from mergesearch.vocabulary import Tokenizer, with_chat_template
from mergesearch.vocabulary.chat import BUILT_IN

MESSAGES = [
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "Two."},
    {"role": "user", "content": "Three?"},
]


def tokenizer(template: Any = None) -> Tokenizer:
    return Tokenizer({}, {} if template is None else {"chat_template": template}, {})


def test_the_most_frequent_template_of_the_parents() -> None:
    parents = [tokenizer(template) for template in ("{{a}}", "{{b}} ", None, "{{b}}")]
    assert with_chat_template(tokenizer("{{c}}"), "auto", parents).chat_template == "{{b}}"
    plain = tokenizer()
    assert with_chat_template(plain, "auto", [plain]) is plain


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "chatml",
            "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\nTwo.<|im_end|>\n"
            "<|im_start|>user\nThree?<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            "llama3",
            "<s><|start_header_id|>user<|end_header_id|>\n\nOne?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nTwo.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nThree?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        ("mistral", "<s>[INST] One? [/INST] Two.</s>[INST] Three? [/INST]"),
        (
            "alpaca",
            "### Instruction:\nOne?\n\n### Response:\nTwo.\n\n"
            "### Instruction:\nThree?\n\n### Response:\n",
        ),
        (
            "exaone",
            "[|system|][|endofturn|]\n[|user|]One?\n[|assistant|]Two.[|endofturn|]\n"
            "[|user|]Three?\n[|assistant|]",
        ),
    ],
)
def test_built_in_templates_give_the_known_formats(name: str, expected: str) -> None:
    made = with_chat_template(tokenizer(), name, [])
    assert made.chat_template == BUILT_IN[name]
    given = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}
    assert jinja2.Template(BUILT_IN[name]).render(messages=MESSAGES, **given) == expected


def test_mistrals_system_message_goes_before_the_first_of_the_user() -> None:
    messages = [{"role": "system", "content": "Be brief."}, *MESSAGES]
    rendered = jinja2.Template(BUILT_IN["mistral"]).render(
        messages=messages, bos_token="<s>", eos_token="</s>"
    )
    expected = "<s>[INST] Be brief.\n\nOne? [/INST] Two.</s>[INST] Three? [/INST]"
    assert rendered == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alpaca", "Be brief.\n\n### Instruction:\nOne?\n\n### Input:\n1\n\n### Response:\n"),
        ("exaone", "[|system|]Be brief.[|endofturn|]\n[|user|]One?\n[|assistant|]"),
    ],
)
def test_system_messages_and_inputs(name: str, expected: str) -> None:
    messages = [{"role": "system", "content": "Be brief."}, MESSAGES[0]]
    messages += [{"role": "user_context", "content": "1"}] if name == "alpaca" else []
    template = jinja2.Template(BUILT_IN[name])
    assert template.render(messages=messages, add_generation_prompt=True) == expected


@pytest.mark.mergekit
def test_every_template_that_mergekit_names_is_built_in() -> None:
    from mergekit._data import chat_templates

    names = {file.stem for file in Path(chat_templates.__file__).parent.glob("*.jinja")}
    assert names <= set(BUILT_IN)


def test_a_new_template_leaves_the_files_behind() -> None:
    assert with_chat_template(tokenizer(), "chatml", []).files is None


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("chatmll", "unknown chat_template 'chatmll'"),
        ("{% for x in %}", "not valid Jinja"),
        ("{{ messages | nothing }}", "not valid Jinja.*nothing"),
    ],
)
def test_what_is_no_template(wanted: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        with_chat_template(tokenizer(), wanted, [])
