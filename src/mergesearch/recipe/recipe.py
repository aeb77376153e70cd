"""A recipe: one model, fully written down, in mergekit's YAML.

Beside mergekit's keys a recipe may name `quantize`, the GGUF mix of the candidate, and `seed`, of
random numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mergesearch._system.yaml_text import as_written
from mergesearch.recipe.documents import in_order, load_document
from mergesearch.recipe.parse import RECIPE_KEYS, parse_merge
from mergesearch.recipe.quantization import Quantization, parse_quantization
from mergesearch.recipe.reading import IN_STAGE, Location
from mergesearch.recipe.references import escaped, renamed, with_plain_references
from mergesearch.recipe.shares import LayerShares, layer_shares, mean_shares
from mergesearch.recipe.types import Merge, parents_of
from mergesearch.recipe.words import in_words
from mergesearch.recipe.write import merge_document, mergekit_documents, to_yaml

_SEEDS = 1 << 63


@dataclass(frozen=True)
class Recipe:
    """One model, fully written down: a merge, or several that feed each other.

    Attributes:
        merges: Merges in order, each after those whose results it takes; the last one is the model.
        quantize: Types of the candidate's GGUF.
        seed: Seed of the random numbers of the methods that draw some.
    """

    merges: tuple[Merge, ...]
    quantize: Quantization = field(default_factory=Quantization)
    seed: int = 0

    @classmethod
    def from_yaml(cls, text: str, where: str | Path = "recipe") -> Recipe:
        """Parse and validate a recipe.

        Raises:
            RecipeError: Not YAML, an unknown key, method or parameter, a value out of range.
        """
        return cls.from_dict(load_document(text, where), where)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], where: str | Path = "recipe") -> Recipe:
        """Build and validate a recipe from a parsed document; raises as `from_yaml`."""
        location = Location(str(where))
        document = with_plain_references(document, location)
        if "start_from" in document:
            raise location.error(
                "this is a search space", expected="a recipe, which has no start_from"
            )
        last = {key: value for key, value in document.items() if key != "stages"}
        stages = document.get("stages", [])
        if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
            raise location.error("`stages` is not a list of documents")
        merges = [
            parse_merge(stage, Location(f"{where}{IN_STAGE}{stage['name']}"))
            for stage in in_order(stages, where)
        ]
        merges.append(parse_merge(last, location, RECIPE_KEYS))
        _check_results(merges, location)
        seed = last.get("seed", 0)
        if type(seed) is not int or not 0 <= seed < _SEEDS:
            raise location.error(
                f"`seed` {as_written(seed)} is not a seed", expected="a whole number below 2^63"
            )
        quantize = parse_quantization(
            last.get("quantize", Quantization().mix), location / "quantize"
        )
        return cls(tuple(merges), quantize, seed)

    @property
    def last(self) -> Merge:
        """The merge whose result is the model."""
        return self.merges[-1]

    def parents(self) -> tuple[str, ...]:
        """Return the distinct ids of all parents, bases included, in order of appearance."""
        return parents_of(self.merges)

    def stages(self) -> tuple[str, ...]:
        """Return the names of the merges before the last."""
        return tuple(merge.name for merge in self.merges[:-1])

    def notes(self) -> list[str]:
        """Return what a person should know of the document that it was read from."""
        found = {key: note for merge in self.merges for key, note in merge.notes.items()}
        return list(found.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `from_dict` reads back to an equal recipe.

        The merges before the last stand in a list under `stages`.
        """
        document = merge_document(self.last)
        document["quantize"] = self.quantize.to_document()
        if self.seed:
            document["seed"] = self.seed
        if len(self.merges) > 1:
            document["stages"] = [merge_document(merge) for merge in self.merges[:-1]]
        return document

    def to_yaml(self) -> str:
        """Return the recipe as YAML that `from_yaml` reads back to an equal recipe."""
        last = self.to_dict()
        return to_yaml([*last.pop("stages", []), last])

    def to_mergekit(self, folders: Mapping[str, str] | None = None) -> str:
        """Return the YAML that mergekit runs to the same weights.

        Stages become documents for `mergekit-multi`. What a method draws at random mergekit draws
        anew, from its own `--random-seed`.

        Args:
            folders: Paths to write in place of parents' ids.

        Raises:
            RecipeError: Mergekit does not have a method, or cannot read a parent.
        """
        places = {ref: escaped(place) for ref, place in (folders or {}).items()}
        return to_yaml(mergekit_documents(self.renamed(places).merges))

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the recipe's canonical JSON."""
        text = json.dumps(_canonical(self.to_dict()), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def renamed(self, names: Mapping[str, str]) -> Recipe:
        """Return the recipe with parents' ids replaced by `names` where it holds them."""
        return Recipe.from_dict(renamed(self.to_dict(), names))

    def shares(self, n_layers: int) -> dict[str, float]:
        """Return each parent's mean coefficient in the merged weights; the values sum to 1.

        Args:
            n_layers: Number of layers of the parents.
        """
        return mean_shares(self.merges, n_layers)

    def layer_shares(self, n_layers: int) -> list[LayerShares]:
        """Return each parent's coefficients in every layer, attention and MLP apart.

        Args:
            n_layers: Number of layers of the parents.
        """
        return layer_shares(self.merges, n_layers)

    def in_words(self, n_layers: int) -> list[str]:
        """Return the ratio of the parents and what is scaled rather than mixed, in words.

        Args:
            n_layers: Number of layers of the parents.
        """
        return in_words(self.merges, n_layers)


def _check_results(merges: list[Merge], location: Location) -> None:
    """Refuse merges whose results nothing takes, or that take their own."""
    last = merges[-1]
    if last.name in last.refs:
        raise location.error(f"{last.name!r} takes its own result")
    used = {ref for merge in merges for ref in merge.refs}
    for merge in merges[:-1]:
        if merge.name not in used:
            raise location.error(f"no document uses the stage {merge.name!r}")


def _canonical(value: Any) -> Any:
    """Numbers as floats, so that 1 and 1.0 are the same recipe."""
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
