"""A search space: a recipe with holes, which a value for each dimension fills."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from mergesearch.errors import RecipeError, SpaceError
from mergesearch.recipe import Recipe, load_document
from mergesearch.recipe.documents import in_order
from mergesearch.recipe.reading import Location
from mergesearch.recipe.references import references, with_plain_references
from mergesearch.space.check import check_merges, dimensions_of
from mergesearch.space.cuts import Cut, cut_by_mass
from mergesearch.space.document import (
    containers,
    leave_out_absent_models,
    leave_out_other_methods,
    location_of,
    merges_of,
    own_copy,
    put_at,
    value_at,
)
from mergesearch.space.find import find_holes
from mergesearch.space.holes import Value
from mergesearch.space.matching import Matching
from mergesearch.space.relevance import Mass, relevances
from mergesearch.space.starts import Starts


class Space:
    """A search space.

    Attributes:
        where: Name of the document, for messages.
        dimensions: Everything a trial proposes, in a fixed order.
    """

    def __init__(self, document: Mapping[str, Any], where: str | Path = "space") -> None:
        self.where = str(where)
        self._document = with_plain_references(document, Location(self.where, SpaceError))
        self._start_from = self._document.pop("start_from", None)
        if "stages" in self._document:
            self._document["stages"] = in_order(self._document["stages"], where)
        self._holes = find_holes(self._document, self.where)
        self.dimensions = dimensions_of(self._holes, self._document, self.where)
        check_merges(self._document, self.where)
        self.examples("low")
        self.examples("high")
        self._check_choices()
        self.starts()

    @classmethod
    def from_yaml(cls, text: str, where: str | Path = "space") -> Space:
        """Parse and validate a space; a recipe without holes is refused.

        Raises:
            SpaceError: A malformed hole, an unknown key, method, parameter or start.
            RecipeError: Not YAML, or documents that do not lead to one model.
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
        keys = ("base_model", "models", "slices")
        refs = dict.fromkeys(
            ref
            for _, merge in merges_of(self._document)
            for ref in references({key: merge.get(key) for key in keys})
        )
        return tuple(ref for ref in refs if ref not in self.stages())

    def stages(self) -> tuple[str, ...]:
        """Return the names of the merges before the last."""
        return tuple(str(merge["name"]) for path, merge in merges_of(self._document) if path)

    def recipe(self, values: Mapping[str, Value]) -> Recipe:
        """Return the recipe for one value per dimension.

        Numbers are rounded to four decimals, or more where their range is narrow. Parameters that
        the chosen method does not take are left out, and so are inputs whose model is null and
        stages that nothing uses then.

        Raises:
            SpaceError: The filled recipe is not valid.
        """
        document = own_copy(self._document)
        self._fill(document, values)
        try:
            return Recipe.from_dict(own_copy(document), self.where)
        except RecipeError as error:
            raise SpaceError(
                error.what, where=error.where, expected=error.expected, fix=error.fix
            ) from error

    def unused(self, values: Mapping[str, Value]) -> set[str]:
        """Return the dimensions that take no part in the recipe for one value per dimension.

        They are parameters of methods that were not chosen, and what belongs to inputs, stages and
        slices that the recipe does not have.
        """
        document = own_copy(self._document)
        owners = [value_at(document, hole.path[: hole.owner_depth]) for hole in self._holes]
        self._fill(document, values)
        left = {id(container) for container in containers(document)}
        used = {
            dimension.name
            for hole, owner in zip(self._holes, owners, strict=True)
            if id(owner) in left and (isinstance(owner, list) or hole.key in owner)
            for dimension in hole.dimensions()
        }
        return {dimension.name for dimension in self.dimensions} - used

    def _fill(self, document: dict[str, Any], values: Mapping[str, Value]) -> None:
        """Fill the holes of a document in place; a slice that comes twice is one object."""
        orders = [hole for hole in self._holes if hole.key == "slices"]
        for hole in self._holes:
            if hole not in orders:
                put_at(document, hole.path, hole.fill(values))
        for hole in orders:
            slices = value_at(document, hole.path)["of"]
            put_at(document, hole.path, [slices[index] for index in hole.fill(values)])
        leave_out_other_methods(document, self._document)
        leave_out_absent_models(document)

    def starts(self) -> list[dict[str, Value]]:
        """Return the values that are tried first; see `Starts`.

        Raises:
            SpaceError: An entry of `start_from` is malformed, or lies outside the ranges.
        """
        return self._starts().read(self._start_from)

    def left_out(self) -> list[str]:
        """Return the names of the usual starts that are meant and that the space does not have."""
        if self._start_from is not None and "usual" not in self._start_from:
            return []
        return [name for name, values in self._starts().usual().items() if values is None]

    def sweep(self, between: tuple[str, str] | None, points: int) -> Space:
        """Return the space that starts from the line between two parents and from two rounds.

        Args:
            between: Two parents; None for the first two.
            points: Number of points on the line.

        Raises:
            SpaceError: The space does not have two such parents, or no two points of the line.
        """
        starts = self._starts()
        first, second = between or (*starts.models, "", "")[:2]
        if first == second or not {first, second} <= {*starts.models}:
            raise SpaceError(
                f"{first!r} and {second!r} are not two parents that can be mixed",
                where=self.where,
                expected="two of: " + ", ".join(starts.models),
            )
        line = starts.sweep(first, second, points)
        if len(line) < 2:
            raise SpaceError(
                f"the space does not have the line between {first} and {second}",
                where=self.where,
                fix="let the weights of both reach from 0 to 1, or sweep another space",
            )
        rounds = starts.two_rounds(first, second)
        tried = [{"values": values} for values in [*line, rounds] if values is not None]
        return Space(self.to_dict() | {"start_from": tried}, self.where)

    def needs_cut(self) -> bool:
        """Whether the depth of a hole is still to be cut by the mass of the parents' deltas."""
        return any(not cut.layers for cut in self.cuts().values())

    def cut(self, masses: Sequence[float]) -> Space:
        """Return the space with layers in place of `curve: auto` and `blocks: n`.

        Args:
            masses: Mass of the parents' deltas in each layer.

        Raises:
            SpaceError: There are more blocks than layers.
        """
        document = self.to_dict()
        for hole in self._holes:
            if hole.cut is None or hole.cut.layers:
                continue
            if hole.cut.kind == "blocks" and hole.curve > len(masses):
                raise location_of(self._document, hole.path, self.where).error(
                    f"{hole.curve} blocks are more than the {len(masses)} layers"
                )
            layers = cut_by_mass(hole.cut.kind, masses, hole.curve)
            put_at(document, (*hole.path, hole.cut.kind), layers)
        return Space(document, self.where)

    def relevances(self, masses: Sequence[Mass]) -> dict[str, float]:
        """Return how much each number is thought to matter, by its dimension's name.

        Args:
            masses: How much the parents differ from the base.
        """
        return relevances(self._document, self._holes, masses)

    def of_experts(self) -> Space:
        """Return the space for parents whose MLP is experts.

        Holes with a value of their own for `mlp` and none for `moe` have `moe` in its place; a
        space without such holes is returned itself.
        """
        document, renamed = self.to_dict(), dict[str, str]()
        for hole in self._holes:
            if "mlp" not in hole.per or "moe" in hole.per:
                continue
            per = tuple("moe" if group == "mlp" else group for group in hole.per)
            put_at(document, (*hole.path, "per"), list(per))
            others = replace(hole, per=per).dimensions()
            pairs = zip(hole.dimensions(), others, strict=True)
            renamed |= {dimension.name: other.name for dimension, other in pairs}
        for start in document.get("start_from") or ():
            if isinstance(start, dict) and "values" in start:
                values = start["values"].items()
                start["values"] = {renamed.get(name, name): value for name, value in values}
        return Space(document, self.where) if renamed else self

    def cuts(self) -> dict[str, Cut]:
        """Return where the depth of each hole is cut that is not cut evenly, by its name."""
        return {hole.dimension.name: hole.cut for hole in self._holes if hole.cut is not None}

    def curves(self) -> dict[str, int]:
        """Return the number of points of each curve over depth, by its name."""
        return Counter(dimension.curve for dimension in self.dimensions if dimension.curve)

    def base(self) -> str | None:
        """Return the base of the last merge that names a parent as one, None where none does."""
        bases = [merge.get("base_model") for _, merge in merges_of(self._document)]
        known = [base for base in bases if isinstance(base, str) and base in self.parents()]
        return known[-1] if known else None

    def matching(self, other: Space) -> Matching:
        """Return what translates values of another space into values of this one."""
        return Matching(self._holes, other._holes)

    def _check_choices(self) -> None:
        """Refuse a choice that its parameter cannot take; `examples` has those of the structure."""
        first = {
            dimension.name: dimension.choices[0] if dimension.choices else dimension.low
            for dimension in self.dimensions
        }
        for hole in self._holes:
            if not hole.structural:
                for choice in hole.dimension.choices[1:]:
                    names = [dimension.name for dimension in hole.dimensions()]
                    self.recipe(first | dict.fromkeys(names, choice))

    def _starts(self) -> Starts:
        return Starts(
            self._document,
            self._holes,
            self.where,
            lambda values: _shares(self.recipe(values)),
        )

    def examples(self, end: Literal["low", "high"] = "low") -> list[Recipe]:
        """Return recipes that show every choice of a method, a model or a base once.

        All numbers stand at the low or high end of their ranges. Of layer ranges and orders of
        slices one recipe has the longest together. The last recipe has as few inputs as the space
        allows.

        Raises:
            SpaceError: One of them is not valid.
        """
        first = {
            dimension.name: dimension.choices[0] if dimension.choices else getattr(dimension, end)
            for dimension in self.dimensions
        }
        structure = [hole.dimension for hole in self._holes if hole.structural]
        variants = [first]
        for dimension in structure:
            variants += [first | {dimension.name: choice} for choice in dimension.choices[1:]]
        longest = {hole.dimension.name: hole.largest for hole in self._holes if hole.options}
        if longest:
            variants.append(first | longest)
        fewest = {dimension.name: None for dimension in structure if None in dimension.choices}
        if fewest:
            variants.append(first | fewest)
        return [self.recipe(values) for values in variants]


def _shares(recipe: Recipe) -> dict[str, float]:
    """The shares of parents in a recipe that is even over all layers, of which no number is known.

    What it takes as an example are as many layers as layer ranges name.
    """
    sources = [source for merge in recipe.merges for source in merge.inputs]
    return recipe.shares(max((source.layer_range or (0, 2))[1] for source in sources))
