"""What `search check` found: the report, and its text for a person."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mergesearch.objectives import Rung
from mergesearch.report import text
from mergesearch.space import Dimension

_LABEL = 24  # columns of a label
_SHOWN = 24  # dimensions that are listed, a curve in one line


@dataclass(frozen=True)
class ItemsReport:
    """How many items are scored.

    Attributes:
        search: Number of items that the search may score.
        trial: Number of items that one trial is scored on at most.
        validate: Number of items that confirm the front.
    """

    search: int
    trial: int
    validate: int


@dataclass(frozen=True)
class SpaceReport:
    """What a space searches.

    Attributes:
        dimensions: Dimensions in the order of the space.
        sampler: Name of the sampler that a run takes where none is named.
    """

    dimensions: tuple[Dimension, ...]
    sampler: str


@dataclass(frozen=True)
class MemoryReport:
    """What a run may take of memory, in bytes.

    Attributes:
        parts: Size of each part, by its name for people.
        total: Size of all parts together.
        budget: Size that the run may take, None where that is unknown.
        builds_ahead: Whether the next candidate is built while one is scored.
    """

    parts: Mapping[str, int]
    total: int
    budget: int | None
    builds_ahead: bool


@dataclass(frozen=True)
class DiskReport:
    """What a model takes of the disk, in bytes.

    Attributes:
        gguf: Size of the largest candidate as a file.
        safetensors: Size of the weights in the recipe's own type.
        free: Space that is free in the current folder.
    """

    gguf: int
    safetensors: int
    free: int


@dataclass(frozen=True)
class BuildingReport:
    """What building takes.

    Attributes:
        parents: Number of parents that were opened and fit each other.
        layers: Number of layers of a candidate.
        hidden: Width of its hidden states.
        recipes: Number of recipes that were planned, one for every choice at least.
        parameters: Number of parameters of the largest candidate.
        seconds: Time that the slowest method takes.
        memory: Memory that a run may take.
        disk: Disk space that the winner takes.
        notes: What a person should know of the parents, one sentence each.
    """

    parents: int
    layers: int
    hidden: int
    recipes: int
    parameters: int
    seconds: float
    memory: MemoryReport
    disk: DiskReport
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoringReport:
    """What scoring takes, in seconds.

    Attributes:
        seconds: Time for each rung.
        at_most: Whether times are upper bounds, because the lengths of answers are not known.
        trial_seconds: Time of a trial, building included.
        promoted_trial_seconds: Time of a trial that is promoted from its proxies; None without.
        notes: What does not fit the context or work as it may be meant, one sentence each.
    """

    seconds: Mapping[Rung, float]
    at_most: bool
    trial_seconds: float
    promoted_trial_seconds: float | None
    notes: tuple[str, ...] = ()

    @property
    def trials_per_hour(self) -> float:
        """Number of trials in an hour, without promoted ones."""
        return 3600 / self.trial_seconds


@dataclass(frozen=True)
class CheckReport:
    """What is known of a space, recipe or objectives file before anything runs.

    Attributes:
        file: File as it was named.
        kind: `space`, `recipe` or `objectives`.
        objectives: Objectives as they were named beside it, None for none.
        items: Numbers of items, None without objectives.
        space: What a space searches, None for another file.
        building: What building takes, None for an objectives file.
        scoring: What scoring takes, or the reason why that is unknown; None unless a model and
            objectives were checked together.
    """

    file: str
    kind: str
    objectives: str | None = None
    items: ItemsReport | None = None
    space: SpaceReport | None = None
    building: BuildingReport | None = None
    scoring: ScoringReport | str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as `search check --json` prints it, in bytes and seconds."""
        document: dict[str, Any] = {"file": self.file}
        if self.objectives is not None:
            document["objectives"] = self.objectives
        document["kind"] = self.kind
        if self.space is not None:
            document["sampler"] = self.space.sampler
            document["dimensions"] = [*map(_dimension, self.space.dimensions)]
        if self.building is not None:
            building = asdict(self.building)
            document |= {
                {"recipes": "recipes_planned", "seconds": "build_seconds"}.get(name, name): value
                for name, value in building.items()
            }
        if self.items is not None:
            document["items_of_the_search"] = self.items.search
            document["items_of_a_trial"] = self.items.trial
            document["items_of_validation"] = self.items.validate
        match self.scoring:
            case str(reason):
                document |= {"scoring_seconds": None, "scoring_unknown": reason}
            case ScoringReport() as scoring:
                document |= _scoring_document(scoring)
        return document


def _dimension(dimension: Dimension) -> dict[str, Any]:
    if dimension.choices:
        return {"name": dimension.name, "choices": list(dimension.choices)}
    return {"name": dimension.name, "low": dimension.low, "high": dimension.high}


def _scoring_document(scoring: ScoringReport) -> dict[str, Any]:
    document: dict[str, Any] = {
        "scoring_seconds": {str(rung): seconds for rung, seconds in scoring.seconds.items()},
        "scoring_at_most": scoring.at_most,
        "trial_seconds": scoring.trial_seconds,
    }
    if scoring.promoted_trial_seconds is not None:
        document["promoted_trial_seconds"] = scoring.promoted_trial_seconds
    document["trials_per_hour"] = scoring.trials_per_hour
    document["trials_in_8_hours"] = 8 * scoring.trials_per_hour
    document["scoring_notes"] = list(scoring.notes)
    return document


def render_check(report: CheckReport) -> str:
    """Return a report as lines of at most 80 columns, paths apart."""
    return "\n".join(_lines(report))


def _lines(report: CheckReport) -> Iterator[str]:
    building = report.building
    if building is not None:
        yield f"{report.file}: a valid {report.kind}"
        fit = " fit each other" if building.parents > 1 else ""
        yield _line(
            "parents", f"{building.parents}{fit}, {building.layers} layers of {building.hidden}"
        )
        if report.space is not None:
            yield from _dimensions(report.space)
        yield _line("recipes planned", str(building.recipes))
        yield _line("model", f"{_parameters(building.parameters)} parameters")
        yield from map(_note, building.notes)
    if report.items is not None:
        yield f"{report.objectives or report.file}: all tasks load"
        items = report.items
        of_a_trial = "" if items.trial == items.search else f", at most {items.trial} a trial"
        yield _line("items", f"{items.search} in the search{of_a_trial}")
        yield _line("", f"{items.validate} others to confirm the front")
    if isinstance(report.scoring, ScoringReport):
        yield from map(_note, report.scoring.notes)
    if building is not None:
        yield "time on this machine"
        yield _line("building", _seconds(building.seconds))
        yield from _scoring_lines(report.scoring)
        yield from _memory(building.memory)
        yield from _disk(building.disk)


def _dimensions(space: SpaceReport) -> Iterator[str]:
    """What is searched, the points of a curve in one line."""
    yield _line("dimensions", f"{len(space.dimensions)}, proposed by {space.sampler}")
    groups: dict[str, list[Dimension]] = {}
    for dimension in space.dimensions:
        groups.setdefault(dimension.curve or dimension.name, []).append(dimension)
    for name, dimensions in list(groups.items())[:_SHOWN]:
        points = f"{len(dimensions)} points, " if dimensions[0].curve else ""
        choices = " or ".join(map(str, dimensions[0].choices))
        yield f"    {name}: {points}{choices or dimensions[0].in_words}"
    if len(groups) > _SHOWN:
        yield f"    and {len(groups) - _SHOWN} others; --json lists all"


def _note(note: str) -> str:
    return textwrap.fill(f"note: {note}", 80, subsequent_indent=" " * 6)


def _scoring_lines(scoring: ScoringReport | str | None) -> Iterator[str]:
    if scoring is None:
        return
    if isinstance(scoring, str):
        indent = " " * (2 + _LABEL)
        yield textwrap.fill(_line("scoring", f"unknown: {scoring}"), 80, subsequent_indent=indent)
        return
    limit, more = ("at most ", "at least ") if scoring.at_most else ("", "")
    for rung, seconds in scoring.seconds.items():
        yield _line(f"scoring, {rung}", limit + _seconds(seconds))
    yield _line("a trial", limit + _seconds(scoring.trial_seconds))
    but = ""
    if scoring.promoted_trial_seconds is not None:
        yield _line("a promoted trial", limit + _seconds(scoring.promoted_trial_seconds))
        but = ", without promoted ones"
    rate = scoring.trials_per_hour
    yield _line("trials in an hour", f"{more}{text.rate(rate)}{but}")
    yield _line("trials in 8 hours", f"{more}{text.rate(8 * rate)}{but}")


def _memory(memory: MemoryReport) -> Iterator[str]:
    yield "memory, at most"
    for name, size in memory.parts.items():
        yield _line(name, text.size(size), wide=True)
    yield _line("together", text.size(memory.total), wide=True)
    budget = "unknown" if memory.budget is None else text.size(memory.budget)
    yield _line("budget", budget, wide=True)
    if memory.builds_ahead:
        yield "  the next candidate is built while one is scored"


def _disk(disk: DiskReport) -> Iterator[str]:
    yield "disk"
    yield _line("a GGUF of the winner", text.size(disk.gguf))
    yield _line("its safetensors", text.size(disk.safetensors))
    yield _line("free here", text.size(disk.free))


def _line(label: str, value: str, *, wide: bool = False) -> str:
    return f"  {label:<{_LABEL + 10 * wide}}{value}"


def _seconds(seconds: float) -> str:
    return text.duration(seconds) if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _parameters(count: int) -> str:
    return f"{count / 1e9:.3g} billion" if count >= 1e9 else f"{count / 1e6:.3g} million"
