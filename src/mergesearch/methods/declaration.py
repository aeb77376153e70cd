"""What a merge method is: everything that the rest of the program knows of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Literal

from mergesearch._kernels.stored import Float
from mergesearch.methods.combination import Combination
from mergesearch.methods.inputs import InputRows, InputTensor, Settings
from mergesearch.methods.shares import Shares, equal_shares

Role = Literal["share", "strength", "detail"]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a merge method.

    Attributes:
        name: Key in a recipe's `parameters`.
        default: Value where a recipe has none; None where it must have one.
        kind: Type of the values: `float`, `int` for whole numbers, `bool` for a switch.
        per_parent: Whether each parent may have a value of its own; else it is the whole merge's.
        low: Least value.
        high: Largest value.
        search: Range that a space opens a value to; None where it opens none by itself.
        search_factor: Factor each way that a space opens a value to instead, where nothing but the
            value tells its scale.
        role: `share` where it sets how much each parent makes up (of `per_parent` parameters the
            parent's part, of others the part of the one input beside the base): a space opens it
            first, and a start's ratio sets it. `strength` where a space opens it as long as the
            dimensions are few, `detail` where only on demand.
        required_in_mergekit: Whether mergekit has no default.
        only_in_mergekit: Whether mergekit alone has a use for it; a recipe keeps it.
    """

    name: str
    default: float | bool | None
    kind: type[float] | type[bool] = float
    per_parent: bool = False
    low: float = -math.inf
    high: float = math.inf
    search: tuple[float, float] | None = None
    search_factor: float | None = None
    role: Role = "detail"
    required_in_mergekit: bool = False
    only_in_mergekit: bool = False


class Base(Enum):
    """What a merge method does with `base_model`."""

    REQUIRED = "must be named, is apart from the inputs"
    OPTIONAL = "is apart from the inputs where it is named"
    COUNTED = "is one more input"
    UNUSED = "is an input only where it is among the models"


@dataclass(frozen=True)
class Method:
    """A merge method.

    Attributes:
        name: Value of a recipe's `merge_method`.
        merge: Function that gives rows of the result, from the same rows of the inputs, the
            settings of the tensor and its statistics; or the combination of the inputs that the
            rows are, which the kernels compute.
        parameters: Parameters that a recipe may have.
        base: What it does with the base.
        statistics: Function that collects what `merge` has to know of a whole tensor; None where
            that is nothing.
        shares: Function that gives the coefficients by which the inputs and the base go into the
            result, from the settings and the number of inputs.
        check: Function that raises `RecipeError` for settings that do not go together; it is also
            given, for each input, where its tensor is.
        least: Smallest number of inputs.
        most: Largest number of inputs, None where it is free.
        formula: What it computes, in Markdown for the table of methods.
        in_mergekit: Whether mergekit has the method.
        keeps_masks: Whether it keeps, for each input, a bit for every entry of a tensor.
    """

    name: str
    merge: Callable[[InputRows, Settings, Any], Float | Combination]
    parameters: tuple[Parameter, ...] = ()
    base: Base = Base.UNUSED
    statistics: Callable[[InputTensor, Settings], Any] | None = None
    shares: Shares = equal_shares
    check: Callable[[Settings, Sequence[str]], None] | None = None
    least: int = 1
    most: int | None = None
    formula: str = ""
    in_mergekit: bool = False
    keeps_masks: bool = False

    @cached_property
    def by_name(self) -> dict[str, Parameter]:
        """The parameters by their names."""
        return {parameter.name: parameter for parameter in self.parameters}

    @property
    def per_parent(self) -> tuple[str, ...]:
        """Names of the parameters that each parent may have of its own."""
        return tuple(parameter.name for parameter in self.parameters if parameter.per_parent)

    @property
    def shared(self) -> tuple[str, ...]:
        """Names of the parameters of the whole merge."""
        return tuple(parameter.name for parameter in self.parameters if not parameter.per_parent)

    def merges_onto(self, base: str | None) -> bool:
        """Whether a base, None where none is named, is apart from the inputs."""
        return base is not None and self.base in (Base.REQUIRED, Base.OPTIONAL)

    def settings(self, value: Callable[[Parameter, int | None], Any], inputs: int) -> Settings:
        """Return the parameters of one tensor.

        Args:
            value: Function that gives the value of a parameter, for an input by its place where
                each has its own.
            inputs: Number of inputs.
        """
        return {
            parameter.name: tuple(
                parameter.kind(value(parameter, index)) for index in range(inputs)
            )
            if parameter.per_parent
            else parameter.kind(value(parameter, None))
            for parameter in self.parameters
            if not parameter.only_in_mergekit
        }


def switch(name: str, default: bool) -> Parameter:
    """Return a parameter that is true or false."""
    return Parameter(name, default, bool)


WEIGHT = Parameter(
    "weight", 1.0, per_parent=True, search=(0.0, 1.5), role="share", required_in_mergekit=True
)
T = Parameter(
    "t", 0.5, low=0.0, high=1.0, search=(0.0, 1.0), role="share", required_in_mergekit=True
)
LAMBDA = Parameter("lambda", 1.0, search=(0.5, 1.5), role="strength")
DENSITY = Parameter(
    "density", 1.0, per_parent=True, low=0.0, high=1.0, search=(0.2, 1.0), role="strength"
)
INT8_MASK = Parameter("int8_mask", False, bool, only_in_mergekit=True)
