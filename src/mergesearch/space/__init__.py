"""A search space: a recipe with holes, and what fills them.

A hole is a mapping with `search` in the place of a value: two numbers are a range, anything else a
choice. `curve: n` asks for n points over depth, `per: [attn, mlp]` for a value of its own for each
group of tensors; what is in none of the named groups (`rest`) then takes one plain value. In the
place of a method, a model or a base stands a choice; a model may also be null, which leaves that
input out.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from mergesearch.errors import MergeSearchError, SpaceError
from mergesearch.recipe import Recipe, load_document
from mergesearch.recipe.documents import in_order, references
from mergesearch.recipe.parse import STRAY_PARAMETERS
from mergesearch.space.document import (
    choices,
    get,
    input_lists,
    merges,
    methods_of,
    own_copy,
    parameter_mappings,
    put,
    without_absent,
)
from mergesearch.space.holes import STRUCTURE, Dimension, Value, find_holes
from mergesearch.space.starts import mixture_values, neutral, parents_of

__all__ = ["Dimension", "Space", "Value"]


class Space:
    """A search space.

    Attributes:
        dimensions: everything a trial proposes, in a fixed order.
    """

    def __init__(self, document: Mapping[str, Any], where: str | Path = "space") -> None:
        self._where = str(where)
        self._document = own_copy(dict(document))
        self._start_from = self._document.pop("start_from", None)
        if "stages" in self._document:
            self._document["stages"] = in_order(self._document["stages"], where)
        self._holes = find_holes(self._document, self._where)
        self.dimensions = tuple(one for hole in self._holes for one in hole.dimensions())
        self._check()

    @classmethod
    def from_yaml(cls, text: str, where: str | Path = "space") -> Space:
        """Parse and validate a space; a recipe without holes is refused.

        Raises:
            SpaceError: a malformed hole, an unknown key, method, parameter or start.
            RecipeError: not YAML, or documents that do not lead to one model.
        """
        return cls(load_document(text, where), where)

    def to_dict(self) -> dict[str, Any]:
        """Return the document the space was made from."""
        document = own_copy(self._document)
        if self._start_from is not None:
            document["start_from"] = own_copy(self._start_from)
        return document

    def parents(self) -> tuple[str, ...]:
        """Return the distinct ids of all parents that a recipe of the space may have."""
        known = dict.fromkeys(
            ref
            for _, merge in merges(self._document)
            for ref in references(
                {key: merge.get(key) for key in ("base_model", "models", "slices")}
            )
        )
        return tuple(ref for ref in known if ref not in self.stages())

    def stages(self) -> tuple[str, ...]:
        """Return the names of the merges that feed others."""
        return tuple(str(merge["name"]) for place, merge in merges(self._document) if place)

    def recipe(self, values: Mapping[str, Value]) -> Recipe:
        """Return the recipe for one value per dimension; numbers are rounded to four decimals,
        or more where their range is narrow.

        Parameters that the chosen method does not take are left out, and so are inputs whose model
        is null and stages that nothing uses then.

        Raises:
            SpaceError: the filled recipe is not valid.
        """
        document = own_copy(self._document)
        for hole in self._holes:
            put(document, hole.place, hole.fill(values))
        for _, merge in merges(document):
            _leave_out_unused(merge)
        try:
            return Recipe.from_dict(without_absent(document), self._where)
        except MergeSearchError as error:
            expected = error.expected
            if expected and ", merge_method, " in expected:  # the recipe's own keys
                expected += ", start_from"
            raise SpaceError(error.what, where=error.where, expected=expected) from error

    def parameters_of(self, recipe: Recipe) -> dict[str, Value]:
        """Return the value of each dimension that gives a hand-written `recipe`.

        Dimensions that the recipe does not use take their neutral value.

        Raises:
            SpaceError: the recipe differs from the space outside its holes, or a value lies
                outside its range.
        """
        document = self._aligned(recipe.to_dict())
        values = {one.name: neutral(hole) for hole in self._holes for one in hole.dimensions()}
        for hole in self._holes:
            given = get(document, hole.place)
            if given is not None or hole.key == "model":
                values |= hole.read(given)
        for one in self.dimensions:
            if not one.holds(values[one.name]):
                raise SpaceError(f"{values[one.name]!r} is not in the space", where=one.name)
        if self.recipe(values).digest() != recipe.digest():
            raise SpaceError(
                "the recipe differs from the space outside its holes", where=self._where
            )
        return values

    def _aligned(self, document: dict[str, Any]) -> dict[str, Any]:
        """A recipe's document with its stages and inputs where the space has them."""
        given = {stage["name"]: stage for stage in document.get("stages", [])}
        document["stages"] = [
            given.get(stage["name"], {}) for stage in self._document.get("stages", [])
        ]
        for place, merge in merges(self._document):
            own = get(document, place)
            for inner, inputs in input_lists(merge):
                found = get(own, inner) or []
                placed: list[dict[str, Any]] = [
                    next((one for one in found if one["model"] in choices(wanted["model"])), {})
                    for wanted in inputs
                ]
                if get(own, inner) is not None:
                    put(own, inner, placed)
        return document

    def starts(self) -> list[dict[str, Value]]:
        """Return the parameter sets that `start_from` asks to try first.

        `parents` is each parent alone; `ratio` is a mixture, its numbers scaled to sum to 1;
        `values` names dimensions. Where the space says nothing, the parents that lie inside its
        ranges come first.

        Raises:
            SpaceError: an entry is malformed, or its weights lie outside the ranges.
        """
        starts: list[dict[str, Value]] = []
        if self._start_from is None:
            for ratio in self._ratios("parents"):
                with suppress(SpaceError):
                    starts.append(self._mixture(ratio))
            return starts
        if not isinstance(self._start_from, list):
            raise self._start_error(self._start_from)
        for entry in self._start_from:
            for values in self._starts_of(entry):
                if values not in starts:
                    starts.append(values)
        return starts

    def _starts_of(self, entry: Any) -> list[dict[str, Value]]:
        if isinstance(entry, dict) and set(entry) == {"values"}:
            return [self._named_values(entry["values"])]
        return [self._mixture(ratio) for ratio in self._ratios(entry)]

    def _named_values(self, given: Any) -> dict[str, Value]:
        """The values of a start that names dimensions; the others take their neutral one."""
        values = {one.name: neutral(hole) for hole in self._holes for one in hole.dimensions()}
        if not isinstance(given, dict) or not set(given) <= set(values):
            raise SpaceError(
                f"{given!r} does not name dimensions",
                where=f"{self._where}: start_from",
                expected=", ".join(values),
            )
        values |= given
        for one in self.dimensions:
            if not one.holds(values[one.name]):
                raise SpaceError(
                    f"{values[one.name]!r} is not in the space",
                    where=f"{self._where}: start_from, {one.name}",
                )
        return values

    def examples(self, end: Literal["low", "high"] = "low") -> list[Recipe]:
        """Return recipes that show every choice of a method, a model or a base once.

        All numbers stand at the low or high end of their ranges. The last recipe has as few inputs
        as the space allows.

        Raises:
            SpaceError: one of them is not valid.
        """
        first = {
            one.name: one.choices[0] if one.choices else getattr(one, end)
            for one in self.dimensions
        }
        structure = [
            hole.dimension
            for hole in self._holes
            if hole.parameter is None and hole.key in STRUCTURE
        ]
        fewest = {one.name: None for one in structure if None in one.choices}
        variants = [first]
        variants += [first | {one.name: value} for one in structure for value in one.choices[1:]]
        return [self.recipe(one) for one in [*variants, *([first | fewest] if fewest else [])]]

    def _start_error(self, entry: Any) -> SpaceError:
        return SpaceError(
            f"{entry!r} is not a start",
            where=f"{self._where}: start_from",
            expected="a list of `parents`, {values: {DIMENSION: value, ...}} and"
            " {ratio: {PARENT: number, ...}}, with parents "
            + ", ".join(parents_of(self._document)),
        )

    def _ratios(self, entry: Any) -> list[dict[str, float]]:
        models = parents_of(self._document)
        if entry == "parents":
            return [{model: float(model == alone) for model in models} for alone in models]
        if not isinstance(entry, dict) or set(entry) != {"ratio"}:
            raise self._start_error(entry)
        ratio = entry["ratio"]
        if not isinstance(ratio, dict) or not ratio or not set(ratio) <= set(models):
            raise self._start_error(entry)
        numbers = list(ratio.values())
        if not all(type(one) in (int, float) and one >= 0 for one in numbers) or not sum(numbers):
            raise self._start_error(entry)
        return [{model: ratio.get(model, 0) / sum(numbers) for model in models}]

    def _mixture(self, ratio: Mapping[str, float]) -> dict[str, Value]:
        return mixture_values(self._document, self._holes, ratio, self._where)

    def _check(self) -> None:
        """Prove that every method of the space makes a valid recipe, and that starts exist."""
        if not self.dimensions:
            raise SpaceError(
                "nothing to search: the recipe has no hole",
                where=self._where,
                fix="put {search: [low, high]} where a number stands, or use `search build`",
            )
        names = [one.name for one in self.dimensions]
        if len(set(names)) != len(names):
            raise SpaceError("two holes have the same name", where=self._where)
        for _, merge in merges(self._document):
            self._check_parameters(merge)
            self._check_models(merge)
        self.examples("low")
        self.examples("high")
        self.starts()

    def _check_parameters(self, merge: Mapping[str, Any]) -> None:
        """Refuse a parameter that none of a merge's methods takes."""
        methods = methods_of(merge)
        if len(methods) < len(choices(merge.get("merge_method"))):
            return  # an unknown method is refused with the first recipe that has it
        known = {name for method in methods for name in method.by_name}
        ignored = {name for method in methods for name in method.without_effect}
        for parameters in parameter_mappings(merge):
            for name in parameters:
                if name not in known | ignored | set(STRAY_PARAMETERS):
                    raise SpaceError(
                        f"unknown parameter {name!r}",
                        where=self._where,
                        expected=", ".join(sorted(known)),
                    )

    def _check_models(self, merge: Mapping[str, Any]) -> None:
        """Refuse a model that two inputs of one list could choose."""
        for _, inputs in input_lists(merge):
            offered = [model for one in inputs for model in choices(one.get("model"))]
            for model in offered:
                if model is not None and offered.count(model) > 1:
                    raise SpaceError(
                        f"two inputs could be {model!r}",
                        where=self._where,
                        expected="every model among the choices of one input only",
                    )


def _leave_out_unused(merge: dict[str, Any]) -> None:
    """Leave out, in place, the parameters that a merge's method does not take."""
    for method in methods_of(merge):
        for parameters in parameter_mappings(merge):
            for name in [name for name in parameters if name not in method.by_name]:
                del parameters[name]
