"""The card of a merged model: README.md with the hub's metadata, scores and recipe.

Metadata: huggingface_hub, `ModelCardData`; https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

import mergesearch
from mergesearch._system.terminal import printable
from mergesearch.build.label import Label
from mergesearch.objectives import Rung
from mergesearch.report import text
from mergesearch.report.standing import standing_lines
from mergesearch.study.records import RunRecord, TrialRecord
from mergesearch.study.standing import Standing

_WHAT = {Rung.SEARCH: "search items", Rung.VALIDATE: "validate items"}


@dataclass(frozen=True)
class Found:
    """The trial that a model is, in the run that found it.

    Attributes:
        run: Record of the run.
        trial: The trial.
        standing: How it stands against the parents.
        n_trials: Number of finished trials of the run.
        picture: Name of the picture of the front beside the card; empty for none.
    """

    run: RunRecord
    trial: TrialRecord
    standing: Standing
    n_trials: int
    picture: str = ""


@dataclass(frozen=True)
class Card:
    """What a card says.

    Attributes:
        label: What the model's files say of themselves.
        found: The trial that it is; None for a recipe that no run found.
        files: SHA-256 (hex) of the candidate in each GGUF, by the file's name.
        notes: What a person should know of the recipe and its parents.
        unknown: Names of parents that only the machine knows that built the model.
    """

    label: Label
    found: Found | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    unknown: Sequence[str] = ()


def card_text(card: Card) -> str:
    """Return the text of a card."""
    label = card.label
    blocks = [
        f"---\n{yaml.safe_dump(_metadata(label), sort_keys=False)}---\n",
        f"# {_line(label.name)}\n",
        f"A merge of {_listed(label.recipe.parents())}, made with mergesearch"
        f" {mergesearch.__version__}: each candidate was built and scored as the GGUF that ships.\n"
        if card.found is not None
        else f"A merge of {_listed(label.recipe.parents())}, built with mergesearch"
        f" {mergesearch.__version__}.\n",
    ]
    if card.found is not None:
        blocks += _found(card.found)
    blocks.append(f"## Recipe\n\n{_fenced(label.recipe.to_yaml())}")
    blocks += _rebuilding(card)
    if card.notes:
        notes = "\n".join(f"- {_line(note)}" for note in card.notes)
        blocks.append(f"## Notes\n\n{notes}\n")
    return "\n".join(blocks)


def _metadata(label: Label) -> dict[str, object]:
    """The hub's metadata; what is not known is left out."""
    known = {
        "base_model": list(label.base_models),
        "base_model_relation": "merge" if label.base_models else "",
        "language": list(label.languages),
        "library_name": "transformers",
        "license": label.license,
        "pipeline_tag": "text-generation",
        "tags": list(label.tags),
    }
    return {name: value for name, value in known.items() if value}


def _found(found: Found) -> list[str]:
    run, trial = found.run, found.trial
    lines = [f"- {_line(line)}" for line in trial.words]
    lines.append(
        f"- trial {trial.number} of {text.plural(found.n_trials, 'trial')},"
        f" proposed by {run.sampler} with seed {run.seed}"
    )
    lines += [f"- {_line(line)}" for line in standing_lines(found.standing, run.axes)]
    blocks = ["## How it was found\n", "\n".join(lines) + "\n"]
    if found.picture:
        blocks.append(f"![Pareto front of the run]({found.picture})\n")
    rungs = [rung for rung in _WHAT if trial.scores(rung)]
    head = "| objective | " + " | ".join(_WHAT[rung] for rung in rungs) + " |"
    rows = [head, "|---" * (len(rungs) + 1) + "|"]
    for axis in run.axes:
        cells = [_interval(trial, rung, axis.name, axis.percent) for rung in rungs]
        rows.append(f"| {_line(axis.name)} | " + " | ".join(cells) + " |")
    blocks.append("## Scores\n\n" + "\n".join(rows) + "\n")
    tasks = [
        f"- {_line(str(objective['name']))}: {_line(_tasks(objective))}"
        for objective in _objectives(run)
    ]
    unseen = "The search never saw the validate items. Intervals are of 95 %."
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    return [*blocks, f"{unseen}\n", "\n".join(tasks) + "\n", f"Scored with {versions}.\n"]


def _interval(trial: TrialRecord, rung: Rung, name: str, percent: bool) -> str:
    score = trial.scores(rung)[name]
    low, high = score.interval()
    shown = [text.value(value, percent) for value in (score.value, low, high)]
    unit = " %" if percent else ""
    return f"{shown[0]}{unit} ({shown[1]} to {shown[2]}), {score.n} items"


def _objectives(run: RunRecord) -> list[Mapping[str, object]]:
    documents = run.objectives.get("objectives", {})
    return [{"name": name, **entry} for name, entry in documents.items()]


def _tasks(objective: Mapping[str, object]) -> str:
    tasks = objective.get("tasks")
    uses = [use for use in tasks if isinstance(use, dict)] if isinstance(tasks, list) else []
    return ", ".join(f"{use.get('task')} ({use.get('metric')})" for use in uses)


def _rebuilding(card: Card) -> list[str]:
    named = "".join(f" --parent {shlex.quote(name)}=DIR" for name in card.unknown)
    command = f"search build recipe.yaml --to gguf -o model.gguf{printable(named)}"
    blocks = ["## Building it again\n", f"```\npip install mergesearch\n{command}\n```\n"]
    if card.unknown:
        blocks.append(
            f"Only the machine that built it knows {_listed(card.unknown)}:"
            " put the places of your copies for DIR. The random numbers of dare and della follow"
            " the parents' names, so under these names such a merge has other bytes.\n"
        )
    if not card.files:
        return blocks
    digests = "\n".join(f"- `{name}`: `{digest}`" for name, digest in card.files.items())
    return [
        *blocks,
        "The same recipe gives the same bytes. The GGUFs here carry a label"
        " (`general.*` and `mergesearch.*` in their metadata) beside the same weights; without it"
        " their SHA-256 is:\n",
        digests + "\n",
    ]


def _fenced(document: str) -> str:
    """A text in a code block, whose fence is longer than any in the text."""
    longest = max(map(len, re.findall("`+", document)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}yaml\n{printable(document)}{fence}\n"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{_line(name)}`" for name in names)


def _line(value: str) -> str:
    """A text of others on one line, without what Markdown or HTML would read."""
    shown = printable(" ".join(value.split()))
    for sign in "\\`*_[]<>|":
        shown = shown.replace(sign, f"\\{sign}")
    return shown
