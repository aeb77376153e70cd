"""Modelfiles: read by a parser of Ollama's published grammar, templates run as Go would."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from helpers.modelfile_grammar import parsed

from mergesearch.report.modelfile import Around, go_template, modelfile, read_around
from mergesearch.scoring.template import ChatTemplate
from mergesearch.vocabulary import Tokenizer
from mergesearch.vocabulary.chat import BUILT_IN


def go(template: str, messages: list[dict[str, str]]) -> str:
    """What Go's text/template writes, for the actions that our templates use."""
    tokens = re.split(r"(\{\{.*?\}\})(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", template)
    state: dict[str, Any] = {"before": "", "index": 0, "message": {}}

    def truth(condition: str) -> bool:
        if match := re.fullmatch(r'eq \$message\.Role "(\w+)"', condition):
            return bool(state["message"]["role"] == match[1])
        if match := re.fullmatch(r'eq \$before "(\w*)"', condition):
            return bool(state["before"] == match[1])
        assert condition == "eq (len (slice $.Messages $index)) 1", condition
        return bool(len(messages) - state["index"] == 1)

    def block(place: int, active: bool) -> tuple[str, int, str]:
        """The text up to the next else or end, its place, and that action."""
        out = ""
        while place < len(tokens):
            action = tokens[place][2:-2].strip() if tokens[place].startswith("{{") else None
            if action is None:
                out += tokens[place] if active else ""
            elif action == "end" or action.startswith("else"):
                return out, place, action
            elif action.startswith("range"):
                end = place
                for state["index"], state["message"] in enumerate(messages):
                    text, end, _ = block(place + 1, active)
                    out += text
                place = end
            elif action.startswith("if"):
                text, place = branch(place, action.removeprefix("if "), active)
                out += text
            elif active and action.startswith('"'):
                out += json.loads(action)
            elif active and action == "$message.Content":
                out += state["message"]["content"]
            elif active and action == "$before = $message.Role":
                state["before"] = state["message"]["role"]
            else:
                assert not active or action == '$before := ""', action
            place += 1
        return out, place, "end"

    def branch(place: int, condition: str, active: bool) -> tuple[str, int]:
        out, open_ = "", active
        taken = active and truth(condition)
        text, place, action = block(place + 1, taken)
        out += text
        open_ = active and not taken
        while action != "end":
            condition = action.removeprefix("else").strip().removeprefix("if ")
            taken = open_ and (not condition or truth(condition))
            text, place, action = block(place + 1, taken)
            out += text
            open_ = open_ and not taken
        return out, place

    return block(0, True)[0]


TALKS: list[list[dict[str, str]]] = [
    [{"role": "user", "content": "Hello {{ you }}"}],
    [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": 'c "quoted"'},
    ],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}],
    [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ],
]


@pytest.mark.parametrize("name", ["chatml", "llama3", "alpaca"])
def test_the_go_template_writes_what_jinja_writes(name: str) -> None:
    chat = ChatTemplate(BUILT_IN[name], "<s>", "</s>")
    around = read_around(chat)
    assert around is not None
    for talk in TALKS:
        assert go(go_template(around), talk) == chat.render(talk)


def test_what_llama_cpp_puts_before_a_text_is_not_written_twice() -> None:
    around = read_around(ChatTemplate(BUILT_IN["llama3"], "<s>", "</s>"))
    assert around is not None
    assert not go(go_template(around, "<s>"), TALKS[0]).startswith("<s>")
    assert not go(go_template(around, "<s>"), TALKS[2]).startswith("<s>")


def test_a_template_that_counts_messages_has_no_equivalent() -> None:
    text = "{% for m in messages %}{{ loop.index }}{{ m['content'] }}{% endfor %}"
    assert read_around(ChatTemplate(text)) is None
    assert read_around(ChatTemplate("{{ raise_exception('no') }}")) is None


def test_a_template_without_a_system_message_has_none() -> None:
    text = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "[{{ m.content }}]{% endfor %}"
    )
    assert read_around(ChatTemplate(text)) == Around(None, "", "[", "][", "][", "]")


def tokenizer(**changes: Any) -> Tokenizer:
    tokens = {"<|im_start|>": 0, "<|im_end|>": 1, "a": 2, "<|endoftext|>": 3}
    parts: dict[str, Any] = {
        "document": {"model": {"type": "BPE", "vocab": tokens, "merges": []}},
        "settings": {"chat_template": BUILT_IN["chatml"], "eos_token": "<|im_end|>"},
        "generation": {"eos_token_id": [1, 3], "temperature": 0.7, "top_k": 20, "do_sample": True},
    }
    return Tokenizer(**(parts | changes))


def test_a_modelfile_has_template_stops_and_parameters() -> None:
    text = modelfile("./a.gguf", tokenizer(), 32768, license="mit", comments=["a night"])
    found = parsed(text)
    assert text.startswith("# a night\n")
    assert [name for name, _ in found] == [
        "FROM",
        "TEMPLATE",
        "PARAMETER stop",
        "PARAMETER stop",
        "PARAMETER temperature",
        "PARAMETER top_k",
        "PARAMETER num_ctx",
        "LICENSE",
    ]
    values = [value for _, value in found]
    assert values[0] == "./a.gguf"
    assert values[2:] == ["<|im_end|>", "<|endoftext|>", "0.7", "20", "8192", "mit"]


def test_a_short_context_and_no_template() -> None:
    found = parsed(modelfile("./a.gguf", tokenizer(settings={}, generation={}), 512))
    assert found == [("FROM", "./a.gguf"), ("PARAMETER num_ctx", "512")]
