"""Every architecture that the gguf package names is built in, for a template, or neither."""

from __future__ import annotations

import gguf

from mergesearch.gguf.architectures import known_architectures


def test_every_architecture_is_in_one_place() -> None:
    known = known_architectures()
    built_in = set(known.built_in.values())
    groups = (built_in, set(known.with_template), set(known.neither))
    assert set().union(*groups) == set(gguf.MODEL_ARCH_NAMES.values())
    assert sum(map(len, groups)) == len(set(gguf.MODEL_ARCH_NAMES.values()))
    assert known.built_in["MistralForCausalLM"] == "llama"
    assert "falcon" in known.with_template
    assert known.neither["bert"] == "makes embeddings"
