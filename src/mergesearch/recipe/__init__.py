"""A recipe: one model, fully written down, in mergekit's YAML.

Beside mergekit's keys a recipe may name `quantize`, the GGUF mix of the candidate, and `seed`, of
random numbers. How a parameter is looked up (input, then slice, then global), filtered and
interpolated matches `mergekit/config.py`, `ConfigReader.parameter` and `evaluate_setting`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mergesearch.errors import RecipeError
from mergesearch.methods import METHODS, Base, Method, Parameter, Settings
from mergesearch.recipe.documents import in_order, load_document
from mergesearch.recipe.parse import parse_fields
from mergesearch.recipe.shares import mean_shares
from mergesearch.recipe.types import (
    STRAY_PARAMETERS,
    Filtered,
    Input,
    ParameterValue,
    Quantization,
    Scalar,
    Slice,
    TokenizerChoice,
    TokenSource,
    evaluate,
)
from mergesearch.recipe.write import (
    mergekit_documents,
    quantization_document,
    stage_document,
    to_yaml,
)

__all__ = [
    "STRAY_PARAMETERS",
    "Filtered",
    "Input",
    "ParameterValue",
    "Quantization",
    "Recipe",
    "Scalar",
    "Slice",
    "TokenSource",
    "TokenizerChoice",
    "evaluate",
    "load_document",
]


@dataclass(frozen=True)
class Recipe:
    """One merge as frozen data, with the merges before it; either `models` or `slices` is filled.

    Attributes:
        merge_method: Key of `METHODS`.
        models: the parents of a whole-model merge.
        slices: the slices of a layer-wise merge.
        base_model: id of the base, None where the method needs none.
        parameters: global parameters.
        dtype: of the safetensors output; merging itself is always float32.
        tokenizer: which tokens the result has; None: all parents share one vocabulary.
        chat_template: a template, `auto` or the name of a built-in one; None: the tokenizer's own.
        context_source: `base` or the id of the parent whose long-context settings the result has;
            None for the base's, else the first parent's.
        quantize: the GGUF mix of the candidate.
        seed: of the random numbers of the methods that draw some.
        name: of a stage, by which other merges take its result.
        stages: the merges whose results this one or later stages take, in order.
    """

    merge_method: str
    models: tuple[Input, ...] = ()
    slices: tuple[Slice, ...] = ()
    base_model: str | None = None
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    dtype: str = "bfloat16"
    tokenizer: TokenizerChoice | None = None
    chat_template: str | None = None
    context_source: str | None = None
    quantize: Quantization = field(default_factory=Quantization)
    seed: int = 0
    name: str | None = None
    stages: tuple[Recipe, ...] = ()

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
        last = dict(document)
        given = last.pop("stages", [])
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            raise RecipeError("`stages` is not a list of documents", where=where)
        stages = tuple(
            cls(**parse_fields(one, f"{where}, stage {one['name']}", stage=True))
            for one in in_order(given, where)
        )
        recipe = cls(**parse_fields(last, where, stage=False), stages=stages)
        if recipe.name in recipe.named():
            raise RecipeError(f"{recipe.name!r} takes its own result", where=where)
        used = {ref for merge in (*stages, recipe) for ref in merge.named()}
        for stage in stages:
            if stage.name not in used:
                raise RecipeError(f"no document uses the stage {stage.name!r}", where=where)
        return recipe

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `from_dict` reads back to an equal recipe.

        Stages stand in a list under `stages`.
        """
        document = stage_document(self)
        document["quantize"] = quantization_document(self.quantize)
        if self.seed:
            document["seed"] = self.seed
        if self.stages:
            document["stages"] = [stage_document(stage) for stage in self.stages]
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
            folders: paths or ids to write in the place of parents' ids.

        Raises:
            RecipeError: mergekit does not have a method.
        """
        return to_yaml(mergekit_documents(self.renamed(folders or {})))

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the recipe's canonical JSON."""
        text = json.dumps(_canonical(self.to_dict()), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def parents(self) -> tuple[str, ...]:
        """Return the distinct ids of all parents, base included, in order of appearance."""
        stages = {stage.name for stage in self.stages}
        named = [ref for merge in (*self.stages, self) for ref in merge.named()]
        return tuple(dict.fromkeys(ref for ref in named if ref not in stages))

    def named(self) -> tuple[str, ...]:
        """Return the distinct parents and stages of this merge alone, the base first."""
        named = [one.model for one in self.inputs()]
        named += [part.base_model for part in self.slices if part.base_model is not None]
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

        def of(ref: str | None) -> str | None:
            return None if ref is None else names.get(ref, ref)

        return replace(
            self,
            models=tuple(rename(one) for one in self.models),
            slices=tuple(
                replace(
                    part,
                    sources=tuple(rename(one) for one in part.sources),
                    base_model=of(part.base_model),
                )
                for part in self.slices
            ),
            base_model=of(self.base_model),
            tokenizer=None if self.tokenizer is None else self.tokenizer.renamed(names),
            context_source=of(self.context_source),
            stages=tuple(stage.renamed(names) for stage in self.stages),
        )

    @property
    def method(self) -> Method:
        """The merge method."""
        return METHODS[self.merge_method]

    def settings(
        self,
        part: Slice | None,
        inputs: Sequence[tuple[Input, str]],
        tensor_name: str,
        depth: float,
    ) -> Settings:
        """Return the method's parameters for one tensor.

        A parent's own value comes before the slice's, and that before the global one.

        Args:
            part: Slice of the tensor, None for a whole-model merge.
            inputs: Inputs, each with the Hugging Face name of its tensor, which filters of its
                parameters are matched against.
            tensor_name: Hugging Face name of the merged tensor, which filters of shared parameters
                are matched against.
            depth: Depth of the tensor's layer in its slice, 0 to 1.
        """

        def value(parameter: Parameter, index: int | None) -> Scalar | None:
            source, name = (None, tensor_name) if index is None else inputs[index]
            for holder in (source, part, self):
                if holder is not None and parameter.name in holder.parameters:
                    found = evaluate(holder.parameters[parameter.name], name, depth)
                    if found is not None:
                        return found
            return parameter.default

        return self.method.settings(value, len(inputs))

    def shares(self, n_layers: int) -> dict[str, float]:
        """Return each parent's mean coefficient in the merged weights; the values sum to 1.

        Args:
            n_layers: layers of the parents.
        """
        return mean_shares(self, n_layers)

    def base_of(self, part: Slice | None) -> str | None:
        """Return the base of a slice, or of the whole merge."""
        return part.base_model if part is not None and part.base_model else self.base_model

    def base_and_inputs(self, part: Slice | None) -> tuple[Input | None, tuple[Input, ...]]:
        """Return the base where it is apart from the inputs, else None, and the inputs.

        Args:
            part: Slice, None for a whole-model merge.
        """
        named = self.models if part is None else part.sources
        base = self.base_of(part)
        others = tuple(source for source in named if source.model != base)
        if base is not None and self.method.merges_onto(base):
            return next((source for source in named if source.model == base), Input(base)), others
        if base is not None and part is None and self.method.base is Base.COUNTED:
            return None, named if len(others) < len(named) else (*named, Input(base))
        return None, named


def _canonical(value: Any) -> Any:
    """Numbers as floats, so that 1 and 1.0 are the same recipe."""
    if isinstance(value, dict):
        return {key: _canonical(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_canonical(one) for one in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
