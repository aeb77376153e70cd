"""From a document to a merge, refusing everything that is not understood.

What mergekit reads without effect is read here too where it agrees with what holds: published
recipes carry `int8_mask` and `normalize` beside `parameters`, and global parameters at a parent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from mergesearch.methods import METHODS, Base
from mergesearch.quantize.formats import FLOAT_TYPES
from mergesearch.recipe.reading import Location, checked_keys, choice_of, entries_of, string_of
from mergesearch.recipe.tokenizer import parse_tokenizer
from mergesearch.recipe.types import Merge, MergeInput, Slice
from mergesearch.recipe.values import ParameterValue, parse_value, with_fallback

MERGE_KEYS = (
    "name",
    "merge_method",
    "base_model",
    "models",
    "slices",
    "modules",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "tokenizer",
    "chat_template",
    "context_source",
)
"""Keys of a document that feeds another one."""
RECIPE_KEYS = (*MERGE_KEYS, "quantize", "seed")
"""Keys of the last document."""
STRAY_PARAMETERS = ("int8_mask", "normalize")
"""Read for any method and in any place where they change nothing, as in published recipes."""

_MODULE = "default"  # mergekit's name of the only module of a model without vision or speech


def parse_merge(
    document: Mapping[str, Any], location: Location, keys: Sequence[str] = MERGE_KEYS
) -> Merge:
    """Return a validated merge.

    Args:
        document: Document of one merge.
        location: Location that messages begin with.
        keys: Keys that the document may have.

    Raises:
        RecipeError: An unknown key, method or parameter, or a value out of range.
    """
    return _MergeReader(checked_keys(document, keys, location, STRAY_PARAMETERS), location).read()


class _MergeReader:
    """Reads the document of one merge.

    Attributes:
        top: The document; what a module of it holds stands at its top.
        location: Location of the document.
        method: Merge method.
        base: Id of the base, None where none is named.
        parameters: Parameters of the whole merge.
    """

    def __init__(self, top: Mapping[str, Any], location: Location) -> None:
        self.top = dict(top)
        self.location = location
        self.method = METHODS[choice_of(top, "merge_method", tuple(METHODS), None, location)]
        self.base = string_of(top, "base_model", location)
        self.parameters = self._parameters(top, location)
        self._check_stray_keys()
        self._unpack_modules()

    def read(self) -> Merge:
        """Return the merge."""
        dtype = choice_of(self.top, "dtype", tuple(FLOAT_TYPES), "bfloat16", self.location)
        merge = Merge(
            method=self.method,
            slices=self._slices(),
            base_model=self.base,
            parameters=self.parameters,
            dtype=choice_of(self.top, "out_dtype", tuple(FLOAT_TYPES), dtype, self.location),
            tokenizer=parse_tokenizer(self.top, self.location),
            chat_template=string_of(self.top, "chat_template", self.location),
            context_source=string_of(self.top, "context_source", self.location),
            name=string_of(self.top, "name", self.location) or "",
        )
        self._check_needed(merge)
        return merge

    def _check_stray_keys(self) -> None:
        """Refuse a parameter that stands beside `parameters` and disagrees with what holds."""
        for name in STRAY_PARAMETERS:
            parameter = self.method.by_name.get(name)
            if name not in self.top or parameter is None or parameter.only_in_mergekit:
                continue
            holds = self.parameters.get(name, parameter.default)
            if self.top[name] != holds:
                raise self.location.error(
                    f"`{name}` beside `parameters` has no effect, and {self.method.name} takes"
                    f" {holds}",
                    expected=f"`{name}` inside `parameters`",
                )

    def _unpack_modules(self) -> None:
        """Put the contents of the one module at the top; its parameters come before the others."""
        if "modules" not in self.top:
            return
        location = self.location / "modules"
        modules = checked_keys(self.top.pop("modules"), (_MODULE,), location)
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
                self._input(entry, inner, self.parameters, in_slice=False)
                for entry, inner in entries_of(self.top["models"], location)
            )
            self._check_models(sources, self.base, location)
            return (Slice(sources),)
        slices = entries_of(self.top["slices"], self.location / "slices")
        return tuple(self._slice(entry, location) for entry, location in slices)

    def _slice(self, document: Any, location: Location) -> Slice:
        keys = checked_keys(document, ("sources", "parameters", "base_model"), location)
        parameters = self._parameters(keys, location)
        inner = location / "sources"
        sources = tuple(
            self._input(entry, at, self.parameters | parameters, in_slice=True)
            for entry, at in entries_of(keys.get("sources"), inner)
        )
        own_base = string_of(keys, "base_model", location)
        base = own_base or self.base
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
        *,
        in_slice: bool,
    ) -> MergeInput:
        """Read one input; a shared parameter at it must say what holds anyway."""
        allowed = ("model", "parameters", *(("layer_range",) if in_slice else ()))
        keys = checked_keys(document, allowed, location)
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
        return MergeInput(model, found, _layer_range(keys, location) if in_slice else None)

    def _parameters(
        self, holder: Mapping[str, Any], location: Location, named: Sequence[str] = ()
    ) -> dict[str, ParameterValue]:
        """Read the parameters that a merge, a slice or an input holds.

        Args:
            holder: Document with `parameters`.
            location: Location of the document.
            named: Parameters that messages name as known; all of the method's where empty.
        """
        document, location = holder.get("parameters"), location / "parameters"
        if document is None:
            return {}
        known = ", ".join(named or self.method.by_name) or "no parameters"
        if not isinstance(document, dict):
            raise location.error(f"{document!r} is not a mapping", expected=known)
        found = {}
        for name, value in document.items():
            if name in self.method.by_name:
                found[name] = parse_value(self.method.by_name[name], value, location / name)
            elif name not in STRAY_PARAMETERS + self.method.without_effect:
                raise location.error(
                    f"{self.method.name} takes no parameter {name!r} here", expected=known
                )
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
    if not numbers or not 0 <= span[0] < span[1]:
        raise location.error(
            f"`layer_range` {span!r} is not a range", expected="[first, one after the last]"
        )
    return span[0], span[1]


def _parents(number: int) -> str:
    return "one parent" if number == 1 else f"{number} parents"
