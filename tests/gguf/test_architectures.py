"""Every architecture that the gguf package names is built in, for a template, or neither."""

from __future__ import annotations

import gguf

from mergesearch.gguf.architectures import ARCHITECTURES, known_architectures


def test_every_architecture_is_in_one_place() -> None:
    known = known_architectures()
    built_in = set(known.built_in.values())
    groups = (built_in, set(known.with_template), set(known.neither))
    assert set().union(*groups) == set(gguf.MODEL_ARCH_NAMES.values())
    assert sum(map(len, groups)) == len(set(gguf.MODEL_ARCH_NAMES.values()))
    assert known.built_in["MistralForCausalLM"] == "llama"
    assert "falcon" in known.with_template
    assert known.neither["bert"] == "makes embeddings"


def test_rows_of_the_table_are_whole() -> None:
    """Each family has a `model_type` of its own, and layers in one of the two ways."""
    families = ARCHITECTURES.values()
    assert len({family.model_type for family in families}) == len(families)
    assert all(bool(family.weights) != bool(family.kinds) for family in families)
