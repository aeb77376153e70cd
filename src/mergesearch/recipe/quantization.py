"""The key of a recipe that says how the candidate's GGUF is quantized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mergesearch._system.patterns import check_pattern
from mergesearch._system.yaml_text import as_written
from mergesearch.quantize import MIXES
from mergesearch.quantize.formats import TYPES
from mergesearch.recipe.reading import Location, checked_keys, choice_of

_DEFAULT = "Q4_K_M"
_TENSOR_TYPES = tuple(kind.name for kind in TYPES)


@dataclass(frozen=True)
class Quantization:
    """How the candidate's GGUF is quantized.

    Attributes:
        mix: Key of `quantize.MIXES`.
        tensors: Types of single tensors, in place of the mix's own: regular expression,
            searched in a tensor's GGUF name -> name of a ggml type; the first one that matches
            counts.
    """

    mix: str = _DEFAULT
    tensors: Mapping[str, str] = field(default_factory=dict)

    def to_document(self) -> str | dict[str, Any]:
        """Return the mix by its name, or with the types of single tensors."""
        return {"mix": self.mix, "tensors": dict(self.tensors)} if self.tensors else self.mix


def parse_quantization(value: Any, location: Location) -> Quantization:
    """Return the choice of `quantize`: the name of a mix, or a mapping with one.

    Raises:
        RecipeError: An unknown key, mix or type, or something that is not a regular expression.
    """
    document = value if isinstance(value, dict) else {"mix": value}
    keys = checked_keys(document, ("mix", "tensors"), location)
    mix = choice_of(keys, "mix", tuple(MIXES), _DEFAULT, location)
    tensors = keys.get("tensors", {})
    if not isinstance(tensors, dict):
        raise location.error(
            f"`tensors` {as_written(tensors)} is not a mapping", expected="expression: type"
        )
    if tensors and not MIXES[mix].quantizes:
        raise location.error(f"`tensors` has no effect in {mix}", expected="a mix that quantizes")
    for expression in tensors:
        choice_of(tensors, expression, _TENSOR_TYPES, None, location / "tensors")
        try:
            check_pattern(expression)
        except ValueError as error:
            raise location.error(f"{expression!r}: {error}") from error
    return Quantization(mix, dict(tensors))
