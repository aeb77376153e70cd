"""A Modelfile for Ollama: where the GGUF is, how it is talked to, and when it stops.

Ollama's templates are Go's, ours are Jinja's. What stands around a message is found by rendering
conversations whose messages are marks; a template that depends on more than the roles has no
equivalent of this kind, and none is written then: Ollama looks for the template in the GGUF.

Format: Ollama, `docs/modelfile.mdx` and `docs/template.mdx`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergesearch.errors import ScoringError
from mergesearch.scoring.template import ChatTemplate
from mergesearch.vocabulary import Tokenizer
from mergesearch.vocabulary.special import special_tokens

LONGEST_CONTEXT = 8192
"""Context that a Modelfile asks for at most, since its memory is taken at once."""

_SYSTEM, _FIRST, _ANSWER, _SECOND = "«system»", "«first»", "«answer»", "«second»"
_PARAMETERS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}
"""Name in Ollama of each sampling setting of `generation_config.json`."""


def modelfile(
    file: str,
    tokenizer: Tokenizer,
    context: int,
    *,
    license: str = "",
    comments: Sequence[str] = (),
) -> str:
    """Return the Modelfile of a GGUF.

    Args:
        file: Path of the GGUF as the Modelfile sees it.
        context: Tokens that the model may see at once.
        license: Id of the license; empty for none.
        comments: Lines that stand before everything else.
    """
    rows = max(tokenizer.tokens) + 1
    special = special_tokens(tokenizer, rows)
    names = {kind: tokenizer.tokens.get(row, "") for kind, row in special.ids.items()}
    lines = [*(f"# {comment}" for comment in comments), f"FROM {file}"]
    text = tokenizer.chat_template
    if text is not None:
        chat = ChatTemplate(text, names.get("bos", ""), names.get("eos", ""))
        around = read_around(chat)
        if around is None:
            lines.append("# The chat template is in the GGUF; it depends on more than the roles.")
        else:
            bos = names.get("bos", "") if special.added.get("bos") else ""
            lines.append(f'TEMPLATE """{go_template(around, bos)}"""')
    lines += [f"PARAMETER stop {_quoted(stop)}" for stop in _stops(tokenizer, names)]
    for name, theirs in _PARAMETERS.items():
        value = tokenizer.generation.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            lines.append(f"PARAMETER {theirs} {value:g}")
    lines.append(f"PARAMETER num_ctx {min(context, LONGEST_CONTEXT)}")
    if license:
        lines.append(f"LICENSE {_quoted(license)}")
    return "\n".join(lines) + "\n"


def _stops(tokenizer: Tokenizer, names: Mapping[str, str]) -> list[str]:
    ends = tokenizer.generation.get("eos_token_id")
    rows = ends if isinstance(ends, list) else [ends]
    texts = [tokenizer.tokens.get(row, "") for row in rows if isinstance(row, int)]
    texts += [names.get("eos", ""), names.get("eot", "")]
    return [text for text in dict.fromkeys(texts) if text and '"' not in text]


def _quoted(text: str) -> str:
    return f'"{text}"'


@dataclass(frozen=True)
class Around:
    """What a chat template writes around messages.

    Attributes:
        before_system: Before the system's message; None where the template takes none.
        after_system: Between the system's message and the user's.
        before_user: Before a user's message that comes first.
        before_answer: Between a user's message and the answer to it.
        after_answer: Between an answer and the user's next message.
        prompt: After the last message, for the model to go on.
    """

    before_system: str | None
    after_system: str
    before_user: str
    before_answer: str
    after_answer: str
    prompt: str

    def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Return a conversation that ends with a user's message."""
        text, before = "", ""
        for index, message in enumerate(messages):
            match message["role"], before:
                case "system", _:
                    text += self.before_system or ""
                case "user", "":
                    text += self.before_user
                case "user", "system":
                    text += self.after_system
                case "user", _:
                    text += self.after_answer
            text += message["content"]
            if message["role"] == "user":
                text += self.prompt if index == len(messages) - 1 else self.before_answer
            before = message["role"]
        return text


def read_around(chat: ChatTemplate) -> Around | None:
    """Return what a template writes around messages, None where it depends on more than roles."""
    user = _talk(_FIRST, _ANSWER, _SECOND)
    parts = _between(chat, user, (_FIRST, _ANSWER, _SECOND))
    if parts is None:
        return None
    system = _between(chat, _talk(_FIRST, system=_SYSTEM), (_SYSTEM, _FIRST))
    before_system, after_system = (None, "") if system is None else system[:2]
    found = Around(before_system, after_system, *parts)
    return found if _agrees(found, chat) else None


def _talk(*texts: str, system: str | None = None) -> list[dict[str, str]]:
    first = [] if system is None else [{"role": "system", "content": system}]
    roles = ("user", "assistant")
    turns = [{"role": roles[index % 2], "content": text} for index, text in enumerate(texts)]
    return first + turns


def _between(
    chat: ChatTemplate, messages: Sequence[Mapping[str, Any]], marks: Sequence[str]
) -> tuple[str, ...] | None:
    """What stands before, between and after the marks; None where they are not all there once."""
    try:
        text = chat.render(messages)
    except ScoringError:
        return None
    parts = tuple(re.split("|".join(map(re.escape, marks)), text))
    in_order = list(re.findall("|".join(map(re.escape, marks)), text))
    return parts if in_order == list(marks) else None


def _agrees(around: Around, chat: ChatTemplate) -> bool:
    """Whether the parts give what the template gives, for conversations they were not read from."""
    talks = [_talk("a b"), _talk("a", "b", "c", "d", "e")]
    if around.before_system is not None:
        talks += [_talk("a", "b", "c", system="be brief")]
    return all(around.render(talk) == chat.render(talk) for talk in talks)


def go_template(around: Around, bos: str = "") -> str:
    """Return a Go template that writes the same.

    Args:
        bos: Token that llama.cpp puts before a text by itself; empty where it puts none.
    """

    def literal(text: str) -> str:
        return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""

    first_user = literal(around.before_user.removeprefix(bos))
    system = literal((around.before_system or "").removeprefix(bos))
    return (
        '{{ $before := "" }}{{ range $index, $message := .Messages }}'
        f'{{{{ if eq $message.Role "system" }}}}{system}{{{{ $message.Content }}}}'
        '{{ else if eq $message.Role "user" }}'
        f'{{{{ if eq $before "" }}}}{first_user}'
        f'{{{{ else if eq $before "system" }}}}{literal(around.after_system)}'
        f"{{{{ else }}}}{literal(around.after_answer)}{{{{ end }}}}"
        "{{ $message.Content }}"
        "{{ if eq (len (slice $.Messages $index)) 1 }}"
        f"{literal(around.prompt)}{{{{ else }}}}{literal(around.before_answer)}{{{{ end }}}}"
        "{{ else }}{{ $message.Content }}{{ end }}"
        "{{ $before = $message.Role }}{{ end }}"
    )
