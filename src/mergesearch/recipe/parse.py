"""From a document to a merge, refusing everything that is not understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from mergesearch._system.yaml_text import as_written
from mergesearch.methods import METHODS, Base
from mergesearch.quantize.formats import FLOAT_TYPES
from mergesearch.recipe.reading import (
    Location,
    checked_keys,
    choice_of,
    entries_of,
    string_of,
)
from mergesearch.recipe.tokenizer import parse_tokenizer
from mergesearch.recipe.types import Merge, MergeInput, Slice
from mergesearch.recipe.values import ParameterValue, parse_value, with_fallback
from mergesearch.recipe.without_effect import WithoutEffect

KEYS = {
    "name": "name by which another document takes the result",
    "merge_method": "one of the merge methods",
    "base_model": "the base",
    "models": "parents that are merged whole, each with its `model` and its own `parameters`",
    "slices": "runs of layers of the result, each with `sources` (`model`, `layer_range`,"
    " `parameters`), and with `parameters` and a `base_model` of its own",
    "modules": "mergekit's older form: what `default` holds stands at the top",
    "parameters": "parameters of the whole merge",
    "dtype": "type of a safetensors export; merging is always done in float32",
    "out_dtype": "the same, and comes before `dtype`",
    "tokenizer_source": "`base`, `union` or a parent: whose tokens the result has",
    "tokenizer": "the same with more to say: `source`, `tokens`, `pad_to_multiple_of`",
    "chat_template": "a Jinja template, `auto`, or the name of a built-in one",
    "context_source": "`base`, or the parent whose long-context settings the result has",
    "quantize": "GGUF mix, or `mix` with the types of single `tensors`",
    "seed": "seed of the random numbers of the dare and della methods",
}
"""Keys of a document, with what they hold."""
RECIPE_KEYS = tuple(KEYS)
"""Keys of the last document."""
MERGE_KEYS = tuple(key for key in KEYS if key not in ("quantize", "seed"))
"""Keys of a document that feeds another one."""
OTHER_TOOLS = {
    "experts": "mergekit-moe",
    "gate_mode": "mergekit-moe",
    "genome": "mergekit-evolve",
}
"""Keys of files for tools that make other things of models -> the tool."""

_MODULE = "default"  # mergekit's name of the only module of a model without vision or speech
_MODEL_PARTS = {
    "lora": "`model: {model: ..., lora: ...}`",
    "revision": "`model: {model: {path: ..., revision: ...}}`",
}


def parse_merge(
    document: Mapping[str, Any], location: Location, keys: Sequence[str] = MERGE_KEYS
) -> Merge:
    """Return a validated merge.

    Args:
        location: Location that messages begin with.
        keys: Keys that the document may have.

    Raises:
        RecipeError: A file for another tool, an unknown method, a key or parameter that is probably
            a slip, or a value out of range.
    """
    for key, tool in OTHER_TOOLS.items():
        if key in document:
            raise location.error(f"`{key}`: this is a file for {tool}", expected="a recipe")
    return _MergeReader(document, keys, location).read()


class _MergeReader:
    """Reads the document of one merge.

    Attributes:
        top: Known keys of the document; what a module of it holds stands among them.
        location: Location of the document.
        method: Merge method.
        base: Id of the base, None where none is named.
        parameters: Parameters of the whole merge.
        without_effect: Reader of keys that the merge has no use for.
    """

    def __init__(
        self, document: Mapping[str, Any], keys: Sequence[str], location: Location
    ) -> None:
        self.location = location
        self.method = METHODS[choice_of(document, "merge_method", tuple(METHODS), None, location)]
        self.base = string_of(document, "base_model", location)
        self.without_effect = WithoutEffect(self.method, RECIPE_KEYS)
        self.top = dict(document)
        self.parameters = self._parameters(document, location)
        self.top = self.without_effect.document(document, keys, self.parameters, location)
        self._unpack_modules()

    def read(self) -> Merge:
        """Return the merge."""
        dtype = self._dtype("dtype", "bfloat16")
        merge = Merge(
            method=self.method,
            slices=self._slices(),
            base_model=self.base,
            parameters=self.parameters,
            dtype=self._dtype("out_dtype", dtype),
            tokenizer=parse_tokenizer(self.top, self.location),
            chat_template=string_of(self.top, "chat_template", self.location),
            context_source=string_of(self.top, "context_source", self.location),
            name=string_of(self.top, "name", self.location) or "",
            notes=self.location.notes,
        )
        self._check_needed(merge)
        return merge

    def _dtype(self, key: str, default: str) -> str:
        """Read a type of weights, which mergekit also takes by torch's full name."""
        value = self.top.get(key)
        if isinstance(value, str):
            value = value.removeprefix("torch.")
        if value == "float64":
            self.location.notes[key] = f"`{key}` is read as float32: nothing is stored in float64"
            value = "float32"
        return choice_of({key: value or default}, key, tuple(FLOAT_TYPES), None, self.location)

    def _unpack_modules(self) -> None:
        """Put the contents of the one module at the top; its parameters come before the others."""
        if "modules" not in self.top:
            return
        location = self.location / "modules"
        modules = self.top.pop("modules")
        if isinstance(modules, dict) and modules and _MODULE not in modules:
            raise location.error(
                f"{', '.join(map(str, modules))}: parts of a model that reads more than text",
                expected="the merge of its text model alone, at the top of the document",
            )
        modules = checked_keys(modules, (_MODULE,), location)
        inner = location / _MODULE
        module = checked_keys(modules.get(_MODULE), ("models", "slices", "parameters"), inner)
        if "models" in self.top or "slices" in self.top:
            raise location.error("the models or slices stand in a module and outside of it")
        for name, value in self._parameters(module, inner).items():
            self.parameters[name] = with_fallback(value, self.parameters.get(name))
        self.top |= module

    def _slices(self) -> tuple[Slice, ...]:
        if ("models" in self.top) == ("slices" in self.top):
            raise self.location.error("needs either `models` or `slices`")
        if "models" in self.top:
            location = self.location / "models"
            sources = tuple(
                self._input(entry, inner, self.parameters, self.base, in_slice=False)
                for entry, inner in entries_of(self.top["models"], location)
            )
            self._check_models(sources, self.base, location)
            return (Slice(sources),)
        location = self.location / "slices"
        slices = tuple(
            self._slice(entry, inner) for entry, inner in entries_of(self.top["slices"], location)
        )
        if all(part.length == 0 for part in slices):
            raise location.error("the layer ranges hold no layer")
        return slices

    def _slice(self, document: Any, location: Location) -> Slice:
        elsewhere = {key: f"`sources: [{{{key}: ...}}]`" for key in ("model", "layer_range")}
        known = ("sources", "parameters", "base_model")
        keys = self.without_effect.part(document, known, elsewhere, location)
        parameters = self._parameters(keys, location)
        inner = location / "sources"
        own_base = string_of(keys, "base_model", location)
        base = own_base or self.base
        sources = tuple(
            self._input(entry, at, self.parameters | parameters, base, in_slice=True)
            for entry, at in entries_of(keys.get("sources"), inner)
        )
        self._check_models(sources, base, inner)
        if self.method.merges_onto(base) and all(source.model != base for source in sources):
            raise inner.error(
                f"a slice does not name the base {base}",
                expected=f"{self.method.name} needs the base's layers in every slice",
            )
        spans = [source.layer_range for source in sources if source.layer_range is not None]
        if len({last - first for first, last in spans}) > 1:
            raise inner.error("the sources' layer ranges have different lengths")
        return Slice(sources, parameters, own_base)

    def _input(
        self,
        document: Any,
        location: Location,
        shared: Mapping[str, ParameterValue],
        base: str | None,
        *,
        in_slice: bool,
    ) -> MergeInput:
        """Read one input; a shared parameter at it must say what holds anyway."""
        allowed = ("model", "parameters", *(("layer_range",) if in_slice else ()))
        elsewhere = {"layer_range": "`slices: [{sources: [{layer_range: ...}]}]`"}
        keys = self.without_effect.part(document, allowed, _MODEL_PARTS | elsewhere, location)
        model = string_of(keys, "model", location)
        if model is None:
            raise location.error("needs `model`")
        found = self._parameters(keys, location, named=self.method.per_parent)
        for name in [name for name in found if name in self.method.shared]:
            if (
                found.pop(name) != shared.get(name)
                and not self.method.by_name[name].only_in_mergekit
            ):
                raise (location / "parameters").error(
                    f"{name} of one parent has no effect: it is a parameter of the whole merge",
                    expected=f"{name} among the global parameters",
                )
        if self.method.merges_onto(base) and model == base:
            self.without_effect.base_parameters(tuple(found), model, location)
            found = {}
        return MergeInput(model, found, _layer_range(keys, location) if in_slice else None)

    def _parameters(
        self, holder: Mapping[str, Any], location: Location, named: Sequence[str] = ()
    ) -> dict[str, ParameterValue]:
        """Read the parameters that a merge, a slice or an input holds.

        Args:
            holder: Document with `parameters`.
            named: Parameters that messages name as known; all of the method's where empty.
        """
        document, location = holder.get("parameters"), location / "parameters"
        if document is None:
            return {}
        names = tuple(named or self.method.by_name)
        if not isinstance(document, dict):
            raise location.error(
                f"{as_written(document)} is not a mapping",
                expected=", ".join(names) or "no parameters",
            )
        found = {}
        for name, value in document.items():
            if name in self.method.by_name:
                found[name] = parse_value(self.method.by_name[name], value, location / name)
            else:
                self.without_effect.parameter(name, value, names, self.top, location)
        return found

    def _check_models(
        self, sources: Sequence[MergeInput], base: str | None, location: Location
    ) -> None:
        """Refuse a model that is named twice, a missing base, too few or too many models."""
        method, models = self.method, [source.model for source in sources]
        for model in models:
            if models.count(model) > 1:
                raise location.error(f"{model!r} is named twice")
        if method.base is Base.REQUIRED and base is None:
            raise location.error(f"{method.name} needs `base_model`")
        apart = method.merges_onto(base)
        count = sum(not apart or model != base for model in models)
        beside = " beside the base" if apart or method.base is Base.OPTIONAL else ""
        if method.least == method.most != count:
            raise location.error(
                f"{method.name} merges exactly {_parents(method.least)}{beside},"
                f" {count} {'is' if count == 1 else 'are'} named"
            )
        if count < method.least:
            raise location.error(f"needs at least {_parents(method.least)}{beside}")
        if method.most is not None and count > method.most:
            raise location.error(f"takes at most {_parents(method.most)}{beside}")

    def _check_needed(self, merge: Merge) -> None:
        """Refuse a parameter without a default that has no value for some tensors."""
        needed = [parameter for parameter in self.method.parameters if parameter.default is None]
        for parameter, part in product(needed, merge.slices):
            _, inputs = merge.base_and_inputs(part)
            for source in inputs if parameter.per_parent else (None,):
                if merge.value(parameter, source, part, "", 0.0) is None:
                    name = parameter.name
                    raise self.location.error(
                        f"{self.method.name} has no default for `{name}`",
                        expected=f"`{name}` among the parameters, with a value for every tensor",
                    )


def _layer_range(keys: Mapping[str, Any], location: Location) -> tuple[int, int]:
    span: Any = keys.get("layer_range")
    numbers = isinstance(span, list) and [type(number) for number in span] == [int, int]
    if not numbers or not 0 <= span[0] <= span[1]:
        raise location.error(
            f"`layer_range` {as_written(span)} is not a range",
            expected="[first, one after the last]",
        )
    return span[0], span[1]


def _parents(number: int) -> str:
    return "one parent" if number == 1 else f"{number} parents"
