"""Items of many trials as columns: what comparisons in the browser are computed from."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from mergesearch._system.terminal import printable
from mergesearch.objectives import ItemResult, Items, Objectives, Rung, items_by_task
from mergesearch.report.page.model import PageItems, PageUse

_DIGITS = 6  # digits of an item's value that are kept
_LONGEST = 1200  # characters of an answer that are kept
_MOST_TEXT = 1_200_000  # characters of all answers together, so that the page stays below 5 MB
_MOST_VALUES = 600_000  # item values, for the same reason

Values = dict[int, float | None]
"""Value of each item by its number, None where it is unscored."""


def uses_of(objectives: Objectives) -> tuple[PageUse, ...]:
    """Return the metrics that make up the objectives, with their factors in a paired difference."""
    found = []
    for axis, objective in enumerate(objectives.objectives):
        total = sum(use.weight for use in objective.uses)
        for use in objective.uses:
            factor = use.weight / total / (1 - (use.chance or 0.0))
            found.append(PageUse(axis, use.task, use.metric, factor))
    return tuple(found)


@dataclass
class ItemSheet:
    """Items of trials as they are read, trial by trial.

    Attributes:
        uses: Metrics that make up the objectives.
        readable: Trials whose answers are kept.
        tokens: Tokens that a trial read and generated on the search items.
    """

    uses: tuple[PageUse, ...]
    readable: Collection[int]
    tokens: dict[int, int] = field(default_factory=dict)
    _values: dict[Rung, dict[int, list[Values]]] = field(default_factory=dict)
    _answers: dict[Rung, dict[int, dict[str, dict[int, int]]]] = field(default_factory=dict)
    _strings: dict[str, int] = field(default_factory=dict)
    _n_text: int = 0
    _n_values: int = 0

    def add(self, trial: int, rung: Rung, items: Sequence[ItemResult]) -> None:
        """Take in the items of a trial on a rung, readable trials first."""
        if rung is Rung.SEARCH:
            self.tokens[trial] = sum(item.tokens_in + item.tokens_out for item in items)
        self._n_values += len(items)
        if self._n_values > _MOST_VALUES and trial not in self.readable:
            return
        by_task: dict[str, list[ItemResult]] = {}
        for item in items:
            by_task.setdefault(item.task, []).append(item)
        self._values.setdefault(rung, {})[trial] = [
            {item.item: _value(item, use.metric) for item in by_task.get(use.task, [])}
            for use in self.uses
        ]
        if trial in self.readable:
            found = {task: self._texts(of_task) for task, of_task in by_task.items()}
            answers = {task: texts for task, texts in found.items() if texts}
            self._answers.setdefault(rung, {})[trial] = answers

    def _texts(self, items: Sequence[ItemResult]) -> dict[int, int]:
        found = {}
        for item in items:
            if item.text is not None:
                index = self._index(_shortened(item.text))
                if index is not None:
                    found[item.item] = index
        return found

    def _index(self, text: str) -> int | None:
        """The index of a string, None for a new one that there is no room for."""
        if text not in self._strings:
            if self._n_text + len(text) > _MOST_TEXT:
                return None
            self._n_text += len(text)
            self._strings[text] = len(self._strings)
        return self._strings[text]

    @property
    def strings(self) -> tuple[str, ...]:
        """Every answer, once."""
        return tuple(self._strings)

    def differing(self) -> Items:
        """Return the items on which readable trials differ."""
        found: dict[tuple[str, int], None] = {}
        for by_trial in self._values.values():
            trials = [values for trial, values in by_trial.items() if trial in self.readable]
            for index, use in enumerate(self.uses):
                columns = [values[index] for values in trials]
                for number in dict.fromkeys(number for column in columns for number in column):
                    if len({column.get(number) for column in columns} - {None}) > 1:
                        found[use.task, number] = None
        return items_by_task(found)

    def pages(self) -> dict[str, PageItems]:
        """Return the columns of each rung."""
        return {str(rung): self._page(rung) for rung in self._values}

    def _page(self, rung: Rung) -> PageItems:
        by_trial = self._values[rung]
        numbers: dict[str, tuple[int, ...]] = {}
        for index, use in enumerate(self.uses):
            seen = {number for values in by_trial.values() for number in values[index]}
            numbers[use.task] = tuple(sorted(seen | set(numbers.get(use.task, ()))))
        return PageItems(
            numbers=numbers,
            values={
                trial: tuple(
                    tuple(map(column.get, numbers[use.task]))
                    for use, column in zip(self.uses, values, strict=True)
                )
                for trial, values in by_trial.items()
            },
            answers={
                trial: {task: tuple(map(found.get, numbers[task])) for task, found in texts.items()}
                for trial, texts in self._answers.get(rung, {}).items()
            },
        )


def _value(item: ItemResult, metric: str) -> float | None:
    value = None if item.unscored is not None else item.metrics.get(metric)
    if value is None or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else round(value, _DIGITS)


def _shortened(text: str) -> str:
    text = printable(text.strip())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
