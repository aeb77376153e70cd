r"""The ways of splitting text into words that llama.cpp knows by name.

llama.cpp has one hand-written pre-tokenizer for each family of byte-level tokenizers
(`src/llama-vocab.cpp`), and a GGUF says which by its name. A `tokenizer.json` says how it splits in
steps of its own, which may be written in many ways. So it is recognized by what it does: it has to
split a text that holds everything the known ones treat differently as one of them does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SYMBOLS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}%s|{_SYMBOLS}|{_SPACES}"
"""Words as GPT-4 splits them, with a place for how many digits stay together."""

_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*%s"
_CASED_END = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
_ASCII_SYMBOLS = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"
_CJK = "[一-龥\u3040-ゟ゠-ヿ]+"
_DEEPSEEK_CJK = "[一-龥ࠀ-一가-퟿]+"
_CASED_WORDS = _CASED % (_CONTRACTIONS + "?", _CONTRACTIONS + "?")
_MARKED_WORDS = rf"{_ASCII_SYMBOLS}[A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+"
_SENTENCES = " ?[^(\\s|.,!?…。，、।۔،)]+"

BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": False,
    "use_regex": False,
}
_GPT2 = BYTE_LEVEL | {"use_regex": True}
_DIGITS = {"type": "Digits", "individual_digits": True}
_NUMBERS = {"type": "Digits", "individual_digits": False}
_PUNCTUATION = {"type": "Punctuation", "behavior": "Contiguous"}


def _split(regex: str) -> dict[str, Any]:
    return {
        "type": "Split",
        "pattern": {"Regex": regex},
        "behavior": "Isolated",
        "invert": False,
    }


def _steps(*steps: str | dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Regular expressions and other steps, then the bytes as letters."""
    return (*(_split(step) if isinstance(step, str) else step for step in steps), BYTE_LEVEL)


@dataclass(frozen=True, eq=False)
class PreTokenizer:
    """A way of splitting text that llama.cpp knows.

    Attributes:
        names: Names that llama.cpp gives it; the first is the one that is written.
        alike: Names of others that split alike and differ in how tokens become text again.
        steps: Steps of the `pre_tokenizer` section of a `tokenizer.json` that split like it.
        takes_words: Whether llama.cpp takes a word that is a token as it is, without its merges
            (`ignore_merges`).
        adds_bos: Whether llama.cpp begins a text with the bos token where nothing is said.
    """

    names: tuple[str, ...]
    steps: tuple[Mapping[str, Any], ...]
    alike: tuple[str, ...] = ()
    takes_words: bool = False
    adds_bos: bool = False

    @property
    def section(self) -> Mapping[str, Any]:
        """The `pre_tokenizer` section of a `tokenizer.json`."""
        if len(self.steps) == 1:
            return self.steps[0]
        return {"type": "Sequence", "pretokenizers": list(self.steps)}


PRE_TOKENIZERS = (
    PreTokenizer(
        ("gpt-2", "phi-2", "gigachat", "a.x-4.0", "mellum", "exaone4"),
        (_GPT2,),
        alike=("mpt", "olmo", "jais", "trillion", "granite-docling"),
    ),
    PreTokenizer(
        ("qwen2", "deepseek-r1-qwen", "megrez", "kormo", "f2llmv2"),
        _steps(WORDS % ""),
        alike=("stablelm2", "hunyuan", "solar-open", "grok-2", "bailingmoe", "bailingmoe2"),
    ),
    PreTokenizer(
        ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
        _steps(WORDS % "{1,3}"),
        takes_words=True,
        adds_bos=True,
    ),
    PreTokenizer(("glm4", "glm5"), _steps(WORDS % "{1,3}"), alike=("minicpm5",), takes_words=True),
    PreTokenizer(("dbrx", "smaug-bpe"), _steps(WORDS % "{1,3}"), alike=("chatglm-bpe",)),
    PreTokenizer(
        ("smollm",),
        (_DIGITS, _GPT2),
        alike=("starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"),
    ),
    PreTokenizer(
        ("tekken",),
        _steps(rf"{_CASED % ('', '')}|\p{{N}}|{_CASED_END}"),
        takes_words=True,
        adds_bos=True,
    ),
    PreTokenizer(
        ("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"),
        _steps(rf"{_CASED_WORDS}|\p{{N}}{{1,3}}|{_CASED_END}"),
    ),
    PreTokenizer(
        ("qwen35",),
        _steps(
            rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
            rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
        ),
    ),
    PreTokenizer(
        ("deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"),
        _steps(r"\p{N}{1,3}", _CJK, rf"{_MARKED_WORDS}| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}"),
    ),
    PreTokenizer(
        ("spark2_5",),
        _steps(
            r"\p{N}{1,3}",
            _CJK,
            rf"{_MARKED_WORDS}| ?[\p{{P}}\p{{S}}]+|[\r\n]|\s+(?!\S)|\s+",
            r"\p{N}",
        ),
    ),
    PreTokenizer(("laguna",), _steps(r"[^\n]+|[\n]+", WORDS % "")),
    PreTokenizer(("superbpe",), _steps(r"\p{N}+", r"(?=(\d{3})+(?!\d))")),
    PreTokenizer(
        ("deepseek-coder",),
        _steps(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _DEEPSEEK_CJK, _DIGITS),
    ),
    PreTokenizer(
        ("deepseek-llm",),
        _steps(
            r"[\r\n]",
            r"\s?[\p{Lu}\p{Ll}\p{Lt}]+",
            "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+",
            r"\s+$",
            _DEEPSEEK_CJK,
            _DIGITS,
        ),
    ),
    PreTokenizer(("falcon",), (_PUNCTUATION, _GPT2, _NUMBERS, _split("[0-9][0-9][0-9]"))),
    PreTokenizer(("bloom", "gpt3-finnish"), _steps(_SENTENCES), alike=("poro-chat",)),
    PreTokenizer(("viking",), _steps(_SENTENCES, _DIGITS)),
    PreTokenizer(
        ("tiny_aya", "cohere2moe"),
        _steps(r"\d{1,3}(?=(?:\d{3})*\b)", rf"{_CASED_WORDS}|\p{{N}}{{1,3}}|{_CASED_END}"),
    ),
    PreTokenizer(
        ("seed-coder",),
        _steps(rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}"),
    ),
    PreTokenizer(("ufakzeka",), _steps(rf"{_LETTERS}|\p{{N}}|{_SYMBOLS}|{_SPACES}")),
    PreTokenizer(
        ("exaone-moe",),
        _steps(
            rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+"
            rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
        ),
    ),
    PreTokenizer(
        ("jais-2",),
        _steps(
            rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}{{1,3}}|{_SYMBOLS}|\s*[\r\n]+|"
            + "|".join(rf"\s{{{1 << power}}}(?!\S)" for power in range(9, 1, -1))
            + r"|\s{1,2}(?!\S)|\s{1}"
        ),
    ),
    PreTokenizer(
        ("youtu",),
        _steps(
            "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + _CJK,
            rf"{_CASED_WORDS}|\p{{N}}|{_CASED_END}",
        ),
        takes_words=True,
    ),
)
"""Those that differ in what they do, or in the tokens that llama.cpp makes of it."""

_PROBE = (
    "Hello World's END, it'S we'Ll THEY'VE o'clock d'Or Ankara'da  camelCase HTTPServer iPhoneX\n"
    " 1 22 333 4444 55555 666666 7777777 3.14 1,000,000 x2 2x v1.2.3 ３４５ Ⅷ ½ x² 12:30\r\n"
    "\t\ttabs  two   three    four     five\n\n\n \n  \n\t\n"
    "(abc) [x]{y} #tag @user $5 _id __init__ a_b a-b -- --- !!! ??? ... …… \"q\" 'q' `c` ~/a/b\n"
    "http://a.b/c?d=e&f=g //x\n\n;)\n}\n\n/* c */\n= == += <= => | || ^ + $ < >\n"
    "Überraschung ÉCOLE naïve cafe\u0301 E\u0301a straße Ž Привет МИР Ёлка αβγ Ωμέγα\n"
    "你好，世界。東京タワー です。 カタカナ한국어 ㄱㄴ ㄅㄆ 中文mixed英文123中\n"
    "नमस्ते दुनिया। สวัสดีครับ កាន់តែ שָׁלוֹם مرحبا، بالعالم ہے۔ বাংলা\n"
    "😀 👩\u200d🚀🦙 ✅x \u00a0nbsp\u2003em \u3000wide“quotes”—dash–\u200bzero '\n   tail   "
)
"""A text that any two ways of splitting split otherwise."""


def recognized(section: Any, *, takes_words: bool, bos: bool) -> PreTokenizer | None:
    """Return llama.cpp's pre-tokenizer that splits text as a `tokenizer.json` does, None if none.

    Args:
        section: `pre_tokenizer` section.
        takes_words: Whether the tokenizer takes a word that is a token as it is, without its
            merges. llama.cpp may do so where it does not, but not the other way round: Llama 3's
            tokenizers are the same with the setting and without it.
        bos: Whether the model has a bos token.
    """
    pieces = _pieces(section)
    alike = [known for known in PRE_TOKENIZERS if pieces is not None and pieces == _known(known)]
    fitting = [known for known in alike if known.takes_words or not takes_words]
    fitting.sort(key=lambda known: (known.adds_bos != bos, known.takes_words != takes_words))
    return fitting[0] if fitting else None


def known_as(name: str) -> PreTokenizer | None:
    """Return the pre-tokenizer that a GGUF names, None where it is none of these."""
    return next((known for known in PRE_TOKENIZERS if name in known.names + known.alike), None)


@cache
def _known(known: PreTokenizer) -> list[str] | None:
    return _pieces(known.section)


def _pieces(section: Any, text: str = _PROBE) -> list[str] | None:
    """A text as a section splits it; None where the section is not one."""
    import tokenizers

    document = {"version": "1.0", "pre_tokenizer": section, "model": _EMPTY, "added_tokens": []}
    try:
        splitter = tokenizers.Tokenizer.from_str(json.dumps(document)).pre_tokenizer
    except Exception:  # what the library raises has no class of its own
        return None
    if splitter is None:
        return None
    return [piece for piece, _ in splitter.pre_tokenize_str(text)]


_EMPTY = {"type": "BPE", "vocab": {}, "merges": []}


def names() -> Iterator[str]:
    """Yield llama.cpp's names of the pre-tokenizers that are recognized."""
    for known in PRE_TOKENIZERS:
        yield known.names[0]
