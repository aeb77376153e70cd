"""The chat template of a merged model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from jinja2 import TemplateSyntaxError

from mergesearch._system.sandbox import Template, TemplateLimit
from mergesearch.errors import RecipeError
from mergesearch.vocabulary.files import Tokenizer

AUTO = "auto"
BUILT_IN = {
    "alpaca": (
        "{% for message in messages %}"
        "{% if message['role'] == 'system' %}{{ message['content'] | trim }}"
        "{% elif message['role'] == 'user' %}"
        "{{ '### Instruction:\\n' + message['content'] | trim }}"
        "{% elif message['role'] == 'user_context' %}"
        "{{ '### Input:\\n' + message['content'] | trim }}"
        "{% else %}{{ '### Response:\\n' + message['content'] | trim }}{% endif %}"
        "{% if add_generation_prompt or not loop.last %}{{ '\\n\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
    ),
    "chatml": (
        "{% for message in messages %}"
        "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "exaone": (
        "{% if messages[0]['role'] != 'system' %}{{ '[|system|][|endofturn|]\\n' }}{% endif %}"
        "{% for message in messages %}{{ '[|' + message['role'] + '|]' + message['content'] }}"
        "{{ '\\n' if message['role'] == 'user' else '[|endofturn|]\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '[|assistant|]' }}{% endif %}"
    ),
    "llama3": (
        "{{ bos_token }}{% for message in messages %}"
        "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
        "{{ message['content'] | trim }}{{ '<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
    ),
    "mistral": (
        "{% set system, turns = '', messages %}"
        "{% if messages[0]['role'] == 'system' %}"
        "{% set system, turns = messages[0]['content'] + '\\n\\n', messages[1:] %}{% endif %}"
        "{{ bos_token }}{% for message in turns %}"
        "{% if message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
        "{% else %}{{ '[INST] ' + (system if loop.first else '') + message['content'] }}"
        "{{ ' [/INST]' }}{% endif %}{% endfor %}"
    ),
}
"""Templates by mergekit's names: the formats of Alpaca, Qwen, EXAONE, Llama 3 and Mistral.

Mistral's has no place for a system message, which goes before the first one of the user.
"""


def with_chat_template(
    tokenizer: Tokenizer, wanted: str, parents: Sequence[Tokenizer]
) -> Tokenizer:
    """Return the tokenizer with another chat template.

    Args:
        wanted: Template, name of a built-in one, or `auto`: the one that most parents have, the
            first of them where several are as frequent; where none has one it stays as it is
            (mergekit 0.1.5, `merge.py`).

    Raises:
        RecipeError: It is neither a template nor a known name, or it is not valid Jinja.
    """
    if wanted == AUTO:
        found = Counter(parent.chat_template.strip() for parent in parents if parent.chat_template)
        return _with_template(tokenizer, found.most_common(1)[0][0]) if found else tokenizer
    if wanted in BUILT_IN:
        return _with_template(tokenizer, BUILT_IN[wanted])
    if "{" not in wanted:
        raise RecipeError(
            f"unknown chat_template {wanted!r}",
            expected=f"{AUTO}, {', '.join(BUILT_IN)}, or a Jinja template",
        )
    return _with_template(tokenizer, wanted)


def _with_template(tokenizer: Tokenizer, template: str) -> Tokenizer:
    """The tokenizer with a template that compiles."""
    try:
        Template(template)
    except TemplateSyntaxError as error:
        raise RecipeError(
            f"the chat_template is not valid Jinja: line {error.lineno}: {error.message}"
        ) from error
    except TemplateLimit as error:
        raise RecipeError(f"the chat_template is refused: {error}") from error
    if template == tokenizer.settings.get("chat_template"):
        return tokenizer
    return replace(tokenizer, settings=tokenizer.settings | {"chat_template": template}, files=None)
