"""A recipe: one merge, fully written down, in mergekit's YAML.

Beside mergekit's keys a recipe may name `quantize`, the GGUF mix of the candidate, and `seed`, of
random numbers. How a parameter is looked up (input, then slice, then global), filtered and
interpolated matches `mergekit/config.py`, `ConfigReader.parameter` and `evaluate_setting`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from mergesearch.errors import RecipeError
from mergesearch.recipe.parse import load_document, parse_fields
from mergesearch.recipe.types import (
    METHOD_SPECS,
    QUANT_MIXES,
    Filtered,
    Input,
    MethodSpec,
    Parameter,
    Scalar,
    Slice,
    evaluate,
)

__all__ = [
    "METHOD_SPECS",
    "QUANT_MIXES",
    "Filtered",
    "Input",
    "MethodSpec",
    "Parameter",
    "Recipe",
    "Scalar",
    "Slice",
    "evaluate",
    "load_document",
]


@dataclass(frozen=True)
class Recipe:
    """One merge as frozen data; either `models` or `slices` is filled.

    Attributes:
        merge_method: a key of `METHOD_SPECS`.
        models: the parents of a whole-model merge.
        slices: the slices of a layer-wise merge.
        base_model: id of the base, None where the method needs none.
        parameters: global parameters.
        dtype: of the safetensors output; merging itself is always float32.
        tokenizer_source: `base` or a parent's id; None: all parents share one vocabulary.
        quantize: the GGUF mix of the candidate, one of `QUANT_MIXES`.
        seed: of the random numbers of the methods that draw some.
    """

    merge_method: str
    models: tuple[Input, ...] = ()
    slices: tuple[Slice, ...] = ()
    base_model: str | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    dtype: str = "bfloat16"
    tokenizer_source: str | None = None
    quantize: str = "Q4_K_M"
    seed: int = 0

    @classmethod
    def from_yaml(cls, text: str, where: str | Path = "recipe") -> Recipe:
        """Parse and validate a recipe.

        Raises:
            RecipeError: not YAML, an unknown key, method or parameter, a value out of range.
        """
        return cls.from_dict(load_document(text, where), where)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], where: str | Path = "recipe") -> Recipe:
        """Build and validate a recipe from a parsed document; raises as `from_yaml`."""
        return cls(**parse_fields(document, where))

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `from_dict` reads back to an equal recipe."""
        document: dict[str, Any] = {"merge_method": self.merge_method}
        if self.base_model is not None:
            document["base_model"] = self.base_model
        if self.models:
            document["models"] = [_input_to_dict(one) for one in self.models]
        if self.slices:
            document["slices"] = [_slice_to_dict(one) for one in self.slices]
        if self.parameters:
            document["parameters"] = _parameters_to_dict(self.parameters)
        document["dtype"] = self.dtype
        if self.tokenizer_source is not None:
            document["tokenizer_source"] = self.tokenizer_source
        document["quantize"] = self.quantize
        if self.seed:
            document["seed"] = self.seed
        return document

    def to_yaml(self) -> str:
        """Return the recipe as YAML that `from_yaml` reads back to an equal recipe."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def to_mergekit(self, folders: Mapping[str, str] | None = None) -> str:
        """Return the YAML that mergekit runs to the same weights.

        Args:
            folders: paths or ids to write in the place of parents' ids.

        mergekit casts weights to the working dtype, so the merge is asked for in float32 and only
        the result is stored in `dtype`. What a method draws at random mergekit draws anew, from its
        own `--random-seed`. Linear and passthrough have no base; mergekit would
        take one that is named for a parent without weight.

        Raises:
            RecipeError: mergekit does not have the method.
        """
        spec = METHOD_SPECS[self.merge_method]
        if not spec.in_mergekit:
            raise RecipeError(f"mergekit has no {self.merge_method}; export the recipe instead")
        document = self.renamed(folders or {}).to_dict()
        if spec.counts_base and not spec.needs_base:
            document.pop("base_model", None)
        del document["quantize"]
        document.pop("seed", None)
        document["dtype"], document["out_dtype"] = "float32", self.dtype
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the recipe's canonical JSON."""
        text = json.dumps(_canonical(self.to_dict()), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def parents(self) -> tuple[str, ...]:
        """Return the distinct ids of all parents, base included, in order of appearance."""
        named = [one.model for one in self.inputs()]
        if self.base_model is not None:
            named.insert(0, self.base_model)
        return tuple(dict.fromkeys(named))

    def inputs(self) -> tuple[Input, ...]:
        """Return every input of `models` and `slices`, in order."""
        return self.models + tuple(one for part in self.slices for one in part.sources)

    def renamed(self, names: Mapping[str, str]) -> Recipe:
        """Return the recipe with parents' ids replaced by `names` where it holds them."""

        def rename(one: Input) -> Input:
            return replace(one, model=names.get(one.model, one.model))

        base, source = self.base_model, self.tokenizer_source
        return replace(
            self,
            models=tuple(rename(one) for one in self.models),
            slices=tuple(
                replace(part, sources=tuple(rename(one) for one in part.sources))
                for part in self.slices
            ),
            base_model=None if base is None else names.get(base, base),
            tokenizer_source=None if source is None else names.get(source, source),
        )

    def value(
        self,
        name: str,
        source: Input | None,
        part: Slice | None,
        tensor_name: str,
        t: float,
        default: Scalar,
    ) -> Scalar:
        """Return a parameter for one tensor: the input's, else the slice's, else the global one.

        Args:
            name: the parameter.
            source: the input whose own value comes first, None for global parameters.
            part: the slice, None for a whole-model merge.
            tensor_name: Hugging Face name that filters are matched against.
            t: depth of the tensor's layer in its slice, 0 to 1.
            default: the value where nothing is named.
        """
        for holder in (source, part, self):
            if holder is not None and name in holder.parameters:
                found = evaluate(holder.parameters[name], tensor_name, t)
                if found is not None:
                    return found
        return default

    def shares(self, n_layers: int) -> dict[str, float]:
        """Return each parent's mean coefficient in the merged weights; the values sum to 1.

        The mean runs over the attention and the MLP of every layer. Sparsifying and sign
        consensus leave the coefficients as they are. Where the coefficients depend on the tensors
        (sce, model_stock, the medians) the parents beside the base have equal parts.
        """
        totals = dict.fromkeys(self.parents(), 0.0)
        places = list(self._places(n_layers))
        for part, inputs, tensor_name, t in places:
            for parent, share in self._coefficients(part, inputs, tensor_name, t).items():
                totals[parent] += share / len(places)
        return totals

    def _places(
        self, n_layers: int
    ) -> Iterable[tuple[Slice | None, tuple[Input, ...], str, float]]:
        for part in self.slices or (None,):
            inputs = self.models if part is None else part.sources
            span = inputs[0].layer_range or (0, n_layers)
            depth = span[1] - span[0]
            for layer in range(depth):
                t = layer / (depth - 1) if depth > 1 else 1.0
                for group in ("self_attn.q_proj", "mlp.down_proj"):
                    yield part, inputs, f"model.layers.{layer}.{group}.weight", t

    def _coefficients(
        self, part: Slice | None, inputs: tuple[Input, ...], tensor_name: str, t: float
    ) -> dict[str, float]:
        def look(name: str, source: Input | None, default: Scalar) -> float:
            return float(self.value(name, source, part, tensor_name, t, default))

        base = self.base_model
        if self.merge_method == "slerp":
            first, second = _slerp_pair(inputs, base)
            ratio = look("t", None, 0.5)
            return {first: 1.0 - ratio, second: ratio}
        spec = METHOD_SPECS[self.merge_method]
        parents = [one for one in inputs if spec.counts_base or one.model != base]
        equal = {one.model: 1.0 / len(parents) for one in parents}
        if "weight" not in spec.per_parent:
            return equal
        weights = {one.model: look("weight", one, 1.0) for one in parents}
        total = sum(weights.values())
        if self.merge_method == "nuslerp" and abs(total) < 1e-6:
            return equal
        if look("normalize", None, "normalize" in spec.on) and total != 0:
            weights = {model: weight / total for model, weight in weights.items()}
        if spec.counts_base or base is None:
            return weights
        scale = look("lambda", None, 1.0)
        shares = {model: weight * scale for model, weight in weights.items()}
        return {base: 1.0 - sum(shares.values())} | shares


def _slerp_pair(inputs: tuple[Input, ...], base: str | None) -> tuple[str, str]:
    """The two parents of a slerp, the base (t = 0) first."""
    models = [one.model for one in inputs]
    if base in models:
        return str(base), next(model for model in models if model != base)
    return models[0], models[1]


def _value_to_dict(value: Parameter) -> Any:
    if not isinstance(value, tuple):
        return value
    if not isinstance(value[0], Filtered):
        return list(value)
    return [
        ({} if one.filter is None else {"filter": one.filter})
        | {"value": _value_to_dict(one.value)}
        for one in value
        if isinstance(one, Filtered)
    ]


def _parameters_to_dict(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    return {name: _value_to_dict(value) for name, value in parameters.items()}


def _input_to_dict(one: Input) -> dict[str, Any]:
    document: dict[str, Any] = {"model": one.model}
    if one.layer_range is not None:
        document["layer_range"] = list(one.layer_range)
    if one.parameters:
        document["parameters"] = _parameters_to_dict(one.parameters)
    return document


def _slice_to_dict(part: Slice) -> dict[str, Any]:
    document: dict[str, Any] = {"sources": [_input_to_dict(one) for one in part.sources]}
    if part.parameters:
        document["parameters"] = _parameters_to_dict(part.parameters)
    return document


def _canonical(value: Any) -> Any:
    """Numbers as floats, so that 1 and 1.0 are the same recipe."""
    if isinstance(value, dict):
        return {key: _canonical(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_canonical(one) for one in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
