"""From a YAML document to the fields of a recipe, refusing everything that is not understood."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mergesearch.errors import RecipeError
from mergesearch.recipe.types import (
    DTYPES,
    METHOD_SPECS,
    QUANT_MIXES,
    RANGES,
    SWITCHES,
    Filtered,
    Input,
    Parameter,
    Scalar,
    Slice,
)


def load_document(text: str, where: str | Path) -> dict[str, Any]:
    """Parse one YAML document that must be a mapping.

    Raises:
        RecipeError: not YAML, several documents, or not a mapping.
    """
    try:
        documents = [one for one in yaml.safe_load_all(text) if one is not None]
    except yaml.YAMLError as error:
        raise RecipeError(f"not valid YAML: {error}", where=where) from error
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise RecipeError(
            f"{len(documents)} YAML documents" if len(documents) != 1 else "not a mapping",
            where=where,
            expected="one document with `merge_method` and `models` or `slices`",
        )
    return documents[0]


def check_parameters(
    method: str, parameters: Iterable[str], allowed: tuple[str, ...], where: str
) -> None:
    """Refuse parameters that `method` does not take at this place.

    Raises:
        RecipeError: naming the first unknown parameter.
    """
    for name in parameters:
        if name not in allowed:
            raise RecipeError(
                f"{method} takes no parameter {name!r} here",
                where=where,
                expected=", ".join(allowed) or "no parameters",
            )


class _Place:
    """Where in a document a value stands, for error messages."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __truediv__(self, key: object) -> _Place:
        return _Place(f"{self.path}: {key}" if ": " not in self.path else f"{self.path}.{key}")

    def error(self, what: str, expected: str | None = None) -> RecipeError:
        return RecipeError(what, where=self.path, expected=expected)


_TOP_KEYS = (
    "merge_method",
    "base_model",
    "models",
    "slices",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "quantize",
    "seed",
)


def _keys(document: Any, allowed: tuple[str, ...], place: _Place) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise place.error(f"{document!r} is not a mapping", expected=", ".join(allowed))
    for key in document:
        if key not in allowed:
            raise place.error(f"unknown key {key!r}", expected=", ".join(allowed))
    return document


def parse_fields(document: Mapping[str, Any], where: str | Path) -> dict[str, Any]:
    """Return the validated fields of a `Recipe`.

    Raises:
        RecipeError: an unknown key, method or parameter, or a value out of range.
    """
    place = _Place(str(where))
    if "start_from" in document:
        raise place.error("this is a search space", expected="a recipe, which has no start_from")
    top = _keys(document, _TOP_KEYS, place)
    method = _choice(top, "merge_method", tuple(METHOD_SPECS), None, place)
    spec = METHOD_SPECS[method]
    if ("models" in top) == ("slices" in top):
        raise place.error("needs either `models` or `slices`")
    base = _text(top, "base_model", place)
    models: tuple[Input, ...] = ()
    slices: tuple[Slice, ...] = ()
    if "models" in top:
        here = place / "models"
        models = _list(top["models"], here, lambda one, at: _parse_input(one, method, at, False))
        _check_inputs(models, method, base, here)
    else:
        here = place / "slices"
        slices = _list(top["slices"], here, lambda one, at: _parse_slice(one, method, base, at))
    if spec.needs_base and base is None:
        raise place.error(f"{method} needs `base_model`")
    dtype = _choice(top, "dtype", DTYPES, "bfloat16", place)
    parameters = _parse_parameters(
        top.get("parameters"), method, spec.glob + spec.per_parent, place / "parameters"
    )
    return {
        "merge_method": method,
        "models": models,
        "slices": slices,
        "base_model": base,
        "parameters": parameters,
        "dtype": _choice(top, "out_dtype", DTYPES, dtype, place),
        "tokenizer_source": _text(top, "tokenizer_source", place),
        "quantize": _choice(top, "quantize", QUANT_MIXES, "Q4_K_M", place),
        "seed": _seed(top, place),
    }


def _seed(top: Mapping[str, Any], place: _Place) -> int:
    seed = top.get("seed", 0)
    if type(seed) is not int or seed < 0:
        raise place.error(f"`seed` {seed!r} is not a whole number", expected="0 or more")
    return seed


def _parse_slice(document: Any, method: str, base: str | None, place: _Place) -> Slice:
    keys = _keys(document, ("sources", "parameters"), place)
    spec = METHOD_SPECS[method]
    here = place / "sources"
    sources = _list(keys.get("sources"), here, lambda one, at: _parse_input(one, method, at, True))
    _check_inputs(sources, method, base, here)
    lengths = {one.layer_range[1] - one.layer_range[0] for one in sources if one.layer_range}
    if len(lengths) > 1:
        raise here.error("the sources' layer ranges have different lengths")
    parameters = _parse_parameters(
        keys.get("parameters"), method, spec.glob + spec.per_parent, place / "parameters"
    )
    return Slice(sources, parameters)


def _parse_input(document: Any, method: str, place: _Place, in_slice: bool) -> Input:
    allowed = ("model", "parameters") + (("layer_range",) if in_slice else ())
    keys = _keys(document, allowed, place)
    model = _text(keys, "model", place)
    if model is None:
        raise place.error("needs `model`")
    parameters = _parse_parameters(
        keys.get("parameters"), method, METHOD_SPECS[method].per_parent, place / "parameters"
    )
    return Input(model, parameters, _layer_range(keys, place) if in_slice else None)


def _layer_range(keys: Mapping[str, Any], place: _Place) -> tuple[int, int]:
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


def _check_inputs(inputs: tuple[Input, ...], method: str, base: str | None, place: _Place) -> None:
    models = [one.model for one in inputs]
    for model in models:
        if models.count(model) > 1:
            raise place.error(f"{model!r} is named twice")
    spec = METHOD_SPECS[method]
    counted = [model for model in models if spec.counts_base or model != base]
    beside = "" if spec.counts_base else " beside the base"
    if spec.exactly is not None and len(counted) != spec.exactly:
        raise place.error(
            f"{method} merges exactly {spec.exactly} parents{beside}, {len(counted)} are named"
        )
    if method == "slerp" and base is not None and base not in models:
        raise place.error(f"slerp's base_model {base!r} must be one of its two parents")
    if len(counted) < spec.at_least:
        number = "one parent" if spec.at_least == 1 else f"{spec.at_least} parents"
        raise place.error(f"needs at least {number}{beside}")


def _parse_parameters(
    document: Any, method: str, allowed: tuple[str, ...], place: _Place
) -> dict[str, Parameter]:
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise place.error(f"{document!r} is not a mapping", expected=", ".join(allowed))
    check_parameters(method, document, allowed, place.path)
    return {name: _parse_value(name, value, place / name) for name, value in document.items()}


def _parse_value(name: str, value: Any, place: _Place) -> Parameter:
    if not isinstance(value, list):
        return _scalar(name, value, place)
    if not value:
        raise place.error("an empty list")
    if not any(isinstance(one, dict) for one in value):
        return tuple(_number(name, one, place) for one in value)
    entries = []
    for index, one in enumerate(value):
        keys = _keys(one, ("filter", "value"), place / index)
        if "value" not in keys:
            raise (place / index).error("needs `value`")
        inner = _parse_value(name, keys["value"], place / index)
        if isinstance(inner, tuple) and isinstance(inner[0], Filtered):
            raise (place / index).error("a filter list inside a filter list")
        entries.append(Filtered(_text(keys, "filter", place / index), inner))
    return tuple(entries)


def _scalar(name: str, value: Any, place: _Place) -> Scalar:
    if name in SWITCHES:
        if not isinstance(value, bool):
            raise place.error(f"{value!r} is not true or false")
        return value
    return _number(name, value, place)


def _number(name: str, value: Any, place: _Place) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        expected = "a number, a list of numbers, or a list of {filter, value}"
        if isinstance(value, dict):
            expected += "; in a search space also {search: [low, high]}"
        raise place.error(f"{value!r} is not a number", expected=expected)
    low, high = RANGES.get(name, (-math.inf, math.inf))
    if not low <= value <= high:
        raise place.error(f"{name} {value} is out of range", expected=f"{low} to {high}")
    return float(value)


def _text(keys: Mapping[str, Any], name: str, place: _Place) -> str | None:
    value = keys.get(name)
    if value is not None and not (isinstance(value, str) and value):
        raise place.error(f"`{name}` {value!r} is not a text")
    return value


def _choice(
    keys: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str | None, place: _Place
) -> str:
    value = keys.get(name, default)
    if value not in choices:
        what = f"needs `{name}`" if value is None else f"unknown {name} {value!r}"
        raise place.error(what, expected=", ".join(choices))
    return str(value)


def _list(document: Any, place: _Place, parse: Callable[[Any, _Place], Any]) -> tuple[Any, ...]:
    if not isinstance(document, list) or not document:
        raise place.error("needs a list with at least one entry")
    return tuple(parse(one, place / index) for index, one in enumerate(document))
