"""Choosing a member of a front by an expression.

| expression | choice |
|---|---|
| `knee` | the front's knee |
| `best:OBJECTIVE` | the best member in an objective |
| `max:OBJECTIVE where OTHER>=0.3 and ...` | the best member that holds limits; `min:` likewise |
| `weighted:OBJECTIVE=2,OTHER=1` | the member with the largest weighted sum of gains |
| `trial:NUMBER` | that trial, on the front or not |
| `demo:instruct`, `instruct` | the parent of this name alone |
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mergesearch.errors import InputError
from mergesearch.study.pareto import sign_of

EXPRESSIONS = (
    "knee, best:OBJECTIVE, 'max:OBJECTIVE where OTHER>=0.3', weighted:OBJECTIVE=2,OTHER=1,"
    " trial:NUMBER, or the name of a parent"
)
Values = Mapping[str, float]
"""Values of a trial by objective."""


@dataclass(frozen=True)
class Limit:
    """What a member must hold in an objective.

    Attributes:
        objective: Name of the objective.
        sign: 1 where the value must be at least the bound, -1 where it must be at most that.
        bound: Bound of the value.
    """

    objective: str
    sign: int
    bound: float

    def holds(self, values: Values) -> bool:
        """Return whether the values of a member hold the limit."""
        return self.sign * values[self.objective] >= self.sign * self.bound


@dataclass(frozen=True)
class Choice:
    """The member that holds all limits and has the largest weighted sum of values.

    Attributes:
        weights: Weight of each objective's value; negative where less is better.
        limits: Limits that the member must hold.
    """

    weights: Mapping[str, float]
    limits: tuple[Limit, ...] = ()

    def of(self, members: Sequence[Values]) -> int | None:
        """Return the index of the chosen member, of equals the first; None if none holds."""
        holding = [
            index
            for index, values in enumerate(members)
            if all(limit.holds(values) for limit in self.limits)
        ]
        return max(holding, key=lambda index: self._sum(members[index]), default=None)

    def reachable(self, members: Sequence[Values]) -> str:
        """Return limits that one member or another does hold, to say what can be had."""
        bounds = (
            (limit, limit.sign * max(limit.sign * values[limit.objective] for values in members))
            for limit in self.limits
        )
        return "limits such as " + " or ".join(
            f"{limit.objective}{'>=' if limit.sign > 0 else '<='}{bound:.3g}"
            for limit, bound in bounds
        )

    def _sum(self, values: Values) -> float:
        return sum(weight * values[name] for name, weight in self.weights.items())


def parse_choice(text: str, directions: Mapping[str, str]) -> Choice:
    """Return the choice that an expression other than `knee` and `trial:` stands for.

    Args:
        directions: `maximize` or `minimize` by objective.

    Raises:
        InputError: It is not such an expression, or names an unknown objective.
    """
    kind, _, rest = text.partition(":")
    signs = {name: float(sign_of(direction)) for name, direction in directions.items()}
    match kind:
        case "best":
            name = _known(rest, directions, text)
            return Choice({name: signs[name]})
        case "max" | "min":
            wanted, _, conditions = rest.partition(" where ")
            name = _known(wanted, directions, text)
            limits = [part for part in conditions.split(" and ") if conditions]
            return Choice(
                {name: 1.0 if kind == "max" else -1.0},
                tuple(_limit(limit, directions, text) for limit in limits),
            )
        case "weighted":
            weights = dict(_weight(part, directions, text) for part in rest.split(","))
            return Choice({name: signs[name] * weight for name, weight in weights.items()})
    raise InputError(f"unknown pick {text!r}", expected=EXPRESSIONS)


def _known(name: str, directions: Mapping[str, str], text: str) -> str:
    name = name.strip()
    if name not in directions:
        raise InputError(
            f"no objective {name!r}", where=f"pick {text!r}", expected=", ".join(directions)
        )
    return name


def _limit(text: str, directions: Mapping[str, str], whole: str) -> Limit:
    match = re.fullmatch(r"\s*(.+?)\s*(>=|<=)\s*(\S+)\s*", text)
    if match is None:
        raise InputError(
            f"{text.strip()!r} is not a limit",
            where=f"pick {whole!r}",
            expected="OBJECTIVE>=NUMBER or OBJECTIVE<=NUMBER",
        )
    sign = 1 if match[2] == ">=" else -1
    return Limit(_known(match[1], directions, whole), sign, _number(match[3], whole))


def _weight(text: str, directions: Mapping[str, str], whole: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    weight = _number(number, whole)
    if weight < 0:
        raise InputError(f"the weight {number} is negative", where=f"pick {whole!r}")
    return _known(name, directions, whole), weight


def _number(text: str, whole: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{text!r} is not a number", where=f"pick {whole!r}")
    return number
