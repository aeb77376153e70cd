"""What a file that is shipped says of itself.

A candidate carries no name: its bytes depend on nothing but the recipe and the parents, and its
SHA-256 is what a run records. A file that goes out into the world carries a label: llama.cpp's
`general.*` keys, and under `mergesearch.*` what it takes to build it again. The weights are the
candidate's, byte for byte, and the label names the SHA-256 of the file without the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gguf import Keys

import mergesearch
from mergesearch.recipe import Recipe

NOT_KNOWN_YET = "0" * 64
"""Stands for the candidate's SHA-256 until the file is written."""
CANDIDATE = "mergesearch.candidate_sha256"
"""Key of the SHA-256 (hex) that the same GGUF has without its label."""


@dataclass(frozen=True)
class Label:
    """What a shipped file says of itself.

    Attributes:
        name: Name of the model.
        recipe: Recipe that it is built from.
        parents: Digest of every byte of the parents.
        base_models: Ids on the hub that it is merged from.
        license: Id of the license, as the hub writes it; empty where none is known.
        languages: Codes of the languages.
        tags: Tags of the hub.
    """

    name: str
    recipe: Recipe
    parents: str
    base_models: tuple[str, ...] = ()
    license: str = ""
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def origin(self) -> dict[str, str]:
        """Return what it takes to build the model again."""
        return {
            "mergesearch.version": mergesearch.__version__,
            "mergesearch.recipe": self.recipe.to_yaml(),
            "mergesearch.recipe_sha256": self.recipe.digest(),
            "mergesearch.parents_sha256": self.parents,
        }

    def gguf_keys(self, candidate: str = NOT_KNOWN_YET) -> dict[str, Any]:
        """Return the label as keys of a GGUF.

        Args:
            candidate: SHA-256 (hex) of the file without its label.
        """
        general = Keys.General
        keys: dict[str, Any] = {
            general.NAME: self.name,
            general.LICENSE: self.license,
            general.TAGS: list(self.tags),
            general.LANGUAGES: list(self.languages),
        }
        if self.base_models:
            keys[general.BASE_MODEL_COUNT] = len(self.base_models)
        for number, model in enumerate(self.base_models):
            organization, _, name = model.partition("/")
            keys[general.BASE_MODEL_NAME.format(id=number)] = name
            keys[general.BASE_MODEL_ORGANIZATION.format(id=number)] = organization
            url = f"https://huggingface.co/{model}"
            keys[general.BASE_MODEL_REPO_URL.format(id=number)] = url
        return keys | self.origin() | {CANDIDATE: candidate}
