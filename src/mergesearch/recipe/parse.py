"""From a parsed document to the fields of a recipe, refusing everything that is not understood.

What mergekit reads without effect is read here too where it agrees with what holds: published
recipes carry `int8_mask` and `normalize` beside `parameters`, and global parameters at a parent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mergesearch.methods import METHODS, Base, Method, Parameter
from mergesearch.quantize import MIXES
from mergesearch.quantize.formats import FLOAT_TYPES, TYPES
from mergesearch.recipe.fields import Place, checked_keys, choice_of, list_of, text_of
from mergesearch.recipe.tokenizers import parse_tokenizer
from mergesearch.recipe.types import (
    STRAY_PARAMETERS,
    Filtered,
    Input,
    ParameterValue,
    Quantization,
    Scalar,
    Slice,
    as_filters,
    evaluate,
)

_STAGE_KEYS = (
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
_LAST_KEYS = ("quantize", "seed")
_MODULE = "default"  # mergekit's name of the only module of a model without vision or speech


def parse_fields(document: Mapping[str, Any], where: str | Path, stage: bool) -> dict[str, Any]:
    """Return the validated fields of a `Recipe` but for its stages.

    Args:
        document: one merge.
        where: names it in messages.
        stage: it feeds another one, so it has no `quantize` and no `seed`.

    Raises:
        RecipeError: an unknown key, method or parameter, or a value out of range.
    """
    place = Place(str(where))
    if "start_from" in document:
        raise place.error("this is a search space", expected="a recipe, which has no start_from")
    last = () if stage else _LAST_KEYS
    top = checked_keys(document, _STAGE_KEYS + last, place, also=STRAY_PARAMETERS)
    method = METHODS[choice_of(top, "merge_method", tuple(METHODS), None, place)]
    parameters = _parse_parameters(
        top.get("parameters"), method, tuple(method.by_name), place / "parameters"
    )
    _check_stray_keys(top, method, parameters, place)
    top, parameters = _without_modules(top, method, parameters, place)
    if ("models" in top) == ("slices" in top):
        raise place.error("needs either `models` or `slices`")
    base = text_of(top, "base_model", place)
    models: tuple[Input, ...] = ()
    slices: tuple[Slice, ...] = ()
    if "models" in top:
        here = place / "models"
        models = list_of(
            top["models"], here, lambda one, at: _parse_input(one, method, parameters, at, False)
        )
        _check_inputs(models, method, base, here)
    else:
        slices = list_of(
            top["slices"],
            place / "slices",
            lambda one, at: _parse_slice(one, method, parameters, base, at),
        )
    _check_needed(method, slices or (Slice(()),), parameters, place)
    dtype = choice_of(top, "dtype", tuple(FLOAT_TYPES), "bfloat16", place)
    return {
        "name": text_of(top, "name", place),
        "merge_method": method.name,
        "models": models,
        "slices": slices,
        "base_model": base,
        "parameters": parameters,
        "dtype": choice_of(top, "out_dtype", tuple(FLOAT_TYPES), dtype, place),
        "tokenizer": parse_tokenizer(top, place),
        "chat_template": text_of(top, "chat_template", place),
        "context_source": text_of(top, "context_source", place),
        "quantize": _quantization(top.get("quantize", "Q4_K_M"), place / "quantize"),
        "seed": _seed(top, place),
    }


def _quantization(value: Any, place: Place) -> Quantization:
    """The name of a mix, or a mapping with one and types of single tensors."""
    document = value if isinstance(value, dict) else {"mix": value}
    mix = choice_of(
        checked_keys(document, ("mix", "tensors"), place), "mix", tuple(MIXES), "Q4_K_M", place
    )
    tensors = document.get("tensors", {})
    if not isinstance(tensors, dict):
        raise place.error(f"`tensors` {tensors!r} is not a mapping", expected="expression: type")
    if tensors and not MIXES[mix].quantizes:
        raise place.error(f"`tensors` has no effect in {mix}", expected="a mix that quantizes")
    for expression in tensors:
        choice_of(tensors, expression, tuple(kind.name for kind in TYPES), None, place / "tensors")
        try:
            re.compile(expression)
        except (re.error, TypeError) as error:
            raise place.error(f"{expression!r} is no regular expression: {error}") from error
    return Quantization(mix, dict(tensors))


def _check_needed(
    method: Method, slices: Iterable[Slice], shared: Mapping[str, ParameterValue], place: Place
) -> None:
    """Refuse a parameter without a default that has no value for some tensors."""
    for part in slices:
        for name in [one.name for one in method.parameters if one.default is None]:
            held = [one[name] for one in (part.parameters, shared) if name in one]
            if all(evaluate(one, "", 0.0) is None for one in held):
                raise place.error(
                    f"{method.name} has no default for `{name}`",
                    expected=f"`{name}` among the parameters, with a value for every tensor",
                )


def _check_stray_keys(
    top: Mapping[str, Any], method: Method, parameters: Mapping[str, ParameterValue], place: Place
) -> None:
    """Refuse a parameter that stands beside `parameters` and disagrees with what holds."""
    for name in STRAY_PARAMETERS:
        parameter = method.by_name.get(name)
        if name not in top or parameter is None or parameter.only_in_mergekit:
            continue
        holds = parameters.get(name, parameter.default)
        if top[name] != holds:
            raise place.error(
                f"`{name}` beside `parameters` has no effect, and {method.name} takes {holds}",
                expected=f"`{name}` inside `parameters`",
            )


def _without_modules(
    top: Mapping[str, Any], method: Method, parameters: dict[str, ParameterValue], place: Place
) -> tuple[dict[str, Any], dict[str, ParameterValue]]:
    """The document with the contents of its one module at the top.

    A module's parameters come before the global ones.
    """
    if "modules" not in top:
        return dict(top), parameters
    here = place / "modules"
    module = checked_keys(top["modules"], (_MODULE,), here).get(_MODULE)
    keys = checked_keys(module, ("models", "slices", "parameters"), here / _MODULE)
    if "models" in top or "slices" in top:
        raise here.error("the models or slices stand in a module and outside of it")
    own = _parse_parameters(keys.get("parameters"), method, tuple(method.by_name), here / _MODULE)
    rest = {key: value for key, value in top.items() if key != "modules"}
    inner = {key: value for key, value in keys.items() if key != "parameters"}
    return rest | inner, parameters | {
        name: _before(value, parameters.get(name)) for name, value in own.items()
    }


def _before(value: ParameterValue, fallback: ParameterValue | None) -> ParameterValue:
    """A value, and where none of its filters matches another one."""
    entries = as_filters(value)
    if fallback is None or entries[-1].filter in (None, "*"):
        return value
    return entries + as_filters(fallback)


def _seed(top: Mapping[str, Any], place: Place) -> int:
    seed = top.get("seed", 0)
    if type(seed) is not int or seed < 0:
        raise place.error(f"`seed` {seed!r} is not a whole number", expected="0 or more")
    return seed


def _parse_slice(
    document: Any,
    method: Method,
    shared: Mapping[str, ParameterValue],
    base: str | None,
    place: Place,
) -> Slice:
    keys = checked_keys(document, ("sources", "parameters", "base_model"), place)
    here = place / "sources"
    parameters = _parse_parameters(
        keys.get("parameters"), method, tuple(method.by_name), place / "parameters"
    )
    sources = list_of(
        keys.get("sources"),
        here,
        lambda one, at: _parse_input(one, method, {**shared, **parameters}, at, True),
    )
    own_base = text_of(keys, "base_model", place)
    _check_inputs(sources, method, own_base or base, here)
    if method.merges_onto(own_base or base) and all(
        source.model != (own_base or base) for source in sources
    ):
        raise here.error(
            f"a slice does not name the base {own_base or base}",
            expected=f"{method.name} needs the base's layers in every slice",
        )
    lengths = {one.layer_range[1] - one.layer_range[0] for one in sources if one.layer_range}
    if len(lengths) > 1:
        raise here.error("the sources' layer ranges have different lengths")
    return Slice(sources, parameters, own_base)


def _parse_input(
    document: Any,
    method: Method,
    shared: Mapping[str, ParameterValue],
    place: Place,
    in_slice: bool,
) -> Input:
    allowed = ("model", "parameters") + (("layer_range",) if in_slice else ())
    keys = checked_keys(document, allowed, place)
    model = text_of(keys, "model", place)
    if model is None:
        raise place.error("needs `model`")
    here = place / "parameters"
    parameters = _parse_parameters(
        keys.get("parameters"), method, method.per_parent, here, elsewhere=method.shared
    )
    for name in [name for name in parameters if name in method.shared]:
        if parameters.pop(name) != shared.get(name) and not method.by_name[name].only_in_mergekit:
            raise here.error(
                f"{name} of one parent has no effect: it is a parameter of the whole merge",
                expected=f"{name} among the global parameters",
            )
    return Input(model, parameters, _layer_range(keys, place) if in_slice else None)


def _layer_range(keys: Mapping[str, Any], place: Place) -> tuple[int, int]:
    span = keys.get("layer_range")
    if (
        isinstance(span, list)
        and len(span) == 2
        and all(type(one) is int for one in span)
        and 0 <= span[0] < span[1]
    ):
        return span[0], span[1]
    raise place.error(
        f"`layer_range` {span!r} is not a range", expected="[first, one after the last]"
    )


def _check_inputs(
    inputs: tuple[Input, ...], method: Method, base: str | None, place: Place
) -> None:
    models = [one.model for one in inputs]
    for model in models:
        if models.count(model) > 1:
            raise place.error(f"{model!r} is named twice")
    if method.base is Base.REQUIRED and base is None:
        raise place.error(f"{method.name} needs `base_model`")
    apart = method.merges_onto(base)
    counted = [model for model in models if not apart or model != base]
    beside = " beside the base" if apart or method.base is Base.OPTIONAL else ""
    if method.least == method.most != len(counted):
        raise place.error(
            f"{method.name} merges exactly {_parents(method.least)}{beside},"
            f" {len(counted)} are named"
        )
    if len(counted) < method.least:
        raise place.error(f"needs at least {_parents(method.least)}{beside}")
    if method.most is not None and len(counted) > method.most:
        raise place.error(f"takes at most {_parents(method.most)}{beside}")


def _parents(number: int) -> str:
    return "one parent" if number == 1 else f"{number} parents"


def _parse_parameters(
    document: Any,
    method: Method,
    allowed: tuple[str, ...],
    place: Place,
    elsewhere: tuple[str, ...] = (),
) -> dict[str, ParameterValue]:
    """The parsed parameters; those of `elsewhere` are read, for the caller to judge."""
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise place.error(f"{document!r} is not a mapping", expected=", ".join(allowed))
    found, known = {}, allowed + elsewhere
    for name, value in document.items():
        if name in STRAY_PARAMETERS + method.without_effect and name not in known:
            continue
        if name not in known:
            raise place.error(
                f"{method.name} takes no parameter {name!r} here",
                expected=", ".join(allowed) or "no parameters",
            )
        found[name] = _parse_value(method.by_name[name], value, place / name)
    return found


def _parse_value(parameter: Parameter, value: Any, place: Place) -> ParameterValue:
    if isinstance(value, dict) and "value" in value:
        value = [value]
    if not isinstance(value, list):
        return _scalar(parameter, value, place)
    if not value:
        raise place.error("an empty list")
    if not any(isinstance(one, dict) for one in value):
        if parameter.kind is int and len(value) > 1:
            raise place.error(f"{parameter.name} has no gradient", expected="one whole number")
        return tuple(_scalar(parameter, point, place) for point in value)
    entries = []
    for index, entry in enumerate(value):
        keys = checked_keys(entry, ("filter", "value"), place / index)
        if "value" not in keys:
            raise (place / index).error("needs `value`")
        inner = _parse_value(parameter, keys["value"], place / index)
        if isinstance(inner, tuple) and isinstance(inner[0], Filtered):
            raise (place / index).error("a filter list inside a filter list")
        entries.append(Filtered(text_of(keys, "filter", place / index), inner))
    return tuple(entries)


def _scalar(parameter: Parameter, value: Any, place: Place) -> Scalar:
    if parameter.kind is bool:
        if not isinstance(value, bool):
            raise place.error(f"{value!r} is not true or false")
        return value
    if isinstance(value, str):  # YAML reads 1e-5 as a text
        with suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        expected = "a number, a list of numbers, or a list of {filter, value}"
        if isinstance(value, dict):
            expected += "; in a search space also {search: [low, high]}"
        raise place.error(f"{value!r} is not a number", expected=expected)
    name, low, high = parameter.name, parameter.low, parameter.high
    if not low <= value <= high:
        raise place.error(f"{name} {value} is out of range", expected=f"{low} to {high}")
    if parameter.kind(value) != value:
        raise place.error(f"{name} {value} is not a whole number")
    return parameter.kind(value)
