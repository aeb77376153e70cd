"""How llama.cpp splits text before BPE, found out by merging single pairs of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path

import llama_cpp
from tokenizers.pre_tokenizers import ByteLevel

from mergesearch.gguf.pack import Metadata, packed_header

Pair = tuple[str, str]


def byte_level(text: str) -> str:
    """A text in the letters that byte-level tokenizers have for bytes."""
    splitter = ByteLevel(add_prefix_space=False, use_regex=False)
    return "".join(piece for piece, _ in splitter.pre_tokenize_str(text))


def llama_splits(pre: str, text: str, file: Path) -> list[str]:
    """The pieces that llama.cpp's pre-tokenizer of a name makes of a text, in bytes' letters.

    Two neighbours are in one piece where a vocabulary with the pair as its only merge joins them;
    pairs without a common byte share a vocabulary.
    """
    letters = byte_level(text)
    joined: set[int] = set()
    for pairs in disjoint(letters):
        place = 0
        for token in tokens(pre, [*merges(pairs, letters)], text, file):
            joined.update(range(place + 1, place + len(token)))
            place += len(token)
        assert place == len(letters)
    cuts = [place for place in range(len(letters) + 1) if place not in joined]
    return [letters[start:stop] for start, stop in pairwise(cuts)]


def disjoint(letters: str) -> list[list[Pair]]:
    """All pairs of neighbours in groups whose pairs have no letter in common."""
    groups: list[tuple[list[Pair], set[str]]] = []
    for pair in dict.fromkeys(pairwise(letters)):
        for pairs, used in groups:
            if not used & {*pair}:
                pairs.append(pair)
                used.update(pair)
                break
        else:
            groups.append(([pair], {*pair}))
    return [pairs for pairs, _ in groups]


def merges(pairs: list[Pair], letters: str) -> Iterator[Pair]:
    """The pairs; of a letter with itself, whatever makes runs of it, the shorter ones first."""
    for first, second in pairs:
        if first != second:
            yield first, second
            continue
        longest = max(len([*run]) for letter, run in groupby(letters) if letter == first)
        for length in range(2, longest + 1):
            yield from ((first * left, first * (length - left)) for left in range(1, length))


def tokens(pre: str, pairs: list[Pair], text: str, file: Path) -> list[str]:
    """The tokens of a text in a vocabulary of all bytes with some merges."""
    made = dict.fromkeys(left + right for left, right in pairs)
    vocabulary = [*sorted(ByteLevel.alphabet()), *made]
    keys = Metadata("llama")
    keys.add("general.architecture", "llama")
    keys.add("tokenizer.ggml.model", "gpt2")
    keys.add("tokenizer.ggml.pre", pre)
    keys.add("tokenizer.ggml.tokens", vocabulary)
    keys.add("tokenizer.ggml.token_type", [1] * len(vocabulary))
    keys.add("tokenizer.ggml.merges", [f"{left} {right}" for left, right in pairs])
    keys.add("tokenizer.ggml.bos_token_id", 0)
    keys.add("tokenizer.ggml.eos_token_id", 0)
    file.write_bytes(packed_header([keys.packed()], []))
    llama = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
    return [vocabulary[row] for row in llama.tokenize(text.encode(), add_bos=False)]
