"""Which architectures are built in, which a template can serve, and which neither."""

from __future__ import annotations

from dataclasses import dataclass

import gguf

from mergesearch.gguf.families import ARCHITECTURES

_ENCODERS = (
    *("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "eurobert"),
    *("jina-bert-v2", "jina-bert-v3", "gemma-embedding", "llama-embed"),
)
_NOT_GOING_ON = (
    dict.fromkeys(_ENCODERS, "makes embeddings")
    | dict.fromkeys(("t5", "t5encoder"), "encodes before it writes")
    | dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), "writes in any order")
    | {"clip": "reads images", "mmproj": "reads images", "wavtokenizer-dec": "makes sounds"}
)
"""GGUF's names of architectures that do not write one token after the other -> what they do."""


@dataclass(frozen=True)
class KnownArchitectures:
    """What can be done with the architectures that the `gguf` package names.

    Attributes:
        built_in: GGUF's name of each architecture that is built in, by Hugging Face's.
        with_template: GGUF's names of those that `--template` can serve.
        neither: GGUF's names of those that do not write one token after the other, with what they
            do.
    """

    built_in: dict[str, str]
    with_template: list[str]
    neither: dict[str, str]


def known_architectures() -> KnownArchitectures:
    """Return what can be done with every architecture that the `gguf` package names."""
    built_in = {name: gguf.MODEL_ARCH_NAMES[family.arch] for name, family in ARCHITECTURES.items()}
    others = sorted(set(gguf.MODEL_ARCH_NAMES.values()) - set(built_in.values()))
    neither = {name: _NOT_GOING_ON[name] for name in others if name in _NOT_GOING_ON}
    return KnownArchitectures(built_in, [name for name in others if name not in neither], neither)
