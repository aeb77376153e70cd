"""The chat template of a merged model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from mergesearch.errors import RecipeError
from mergesearch.tokenizer.files import Tokenizer

AUTO = "auto"
BUILT_IN = {
    "chatml": (
        "{% for message in messages %}"
        "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "llama3": (
        "{{ bos_token }}{% for message in messages %}"
        "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
        "{{ message['content'] | trim }}{{ '<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
    ),
    "mistral": (
        "{{ bos_token }}{% for message in messages %}"
        "{% if message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
        "{% else %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% endif %}{% endfor %}"
    ),
}
"""By the name that a recipe may give; the formats of Qwen, Llama 3 and Mistral."""


def with_chat_template(
    tokenizer: Tokenizer, wanted: str, parents: Sequence[Tokenizer]
) -> Tokenizer:
    """Return the tokenizer with another chat template.

    Args:
        tokenizer: of the result.
        wanted: a template, the name of a built-in one, or `auto`: the one that most parents have,
            the first of them where several are as frequent (mergekit `merge.py`).
        parents: the parents' tokenizers.

    Raises:
        RecipeError: neither a template nor a known name, or one that is not valid Jinja.
    """
    if wanted == AUTO:
        found = Counter(one.chat_template.strip() for one in parents if one.chat_template)
        if not found:
            return tokenizer
        template = found.most_common(1)[0][0]
    elif wanted in BUILT_IN:
        template = BUILT_IN[wanted]
    elif "{" in wanted:
        template = wanted
    else:
        raise RecipeError(
            f"unknown chat_template {wanted!r}",
            expected=f"{AUTO}, {', '.join(BUILT_IN)}, or a Jinja template",
        )
    _check(template)
    if template == tokenizer.chat_template:
        return tokenizer
    return replace(tokenizer, settings=tokenizer.settings | {"chat_template": template}, files=None)


def _check(template: str) -> None:
    from jinja2 import TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    try:
        ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"]).parse(template)
    except TemplateSyntaxError as error:
        raise RecipeError(
            f"the chat_template is not valid Jinja: line {error.lineno}: {error.message}"
        ) from error
