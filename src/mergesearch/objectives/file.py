"""An objectives file as one object."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mergesearch._system.yaml_text import read_document
from mergesearch.errors import ObjectivesError
from mergesearch.objectives.parse import parse_document
from mergesearch.objectives.scores import check_unscored, score
from mergesearch.objectives.types import (
    Objective,
    Rung,
    Runtime,
    Score,
    TaskResult,
    TaskUse,
    Thinking,
)

SCORING_VERSION = 2
"""Version of how scores follow from llama.cpp's logits; scores of different ones differ slightly.

1 summed chances as NumPy does, which depends on the processor; 2 sums them in a fixed order.
"""


@dataclass(frozen=True)
class Objectives:
    """An objectives file.

    Attributes:
        objectives: Axes of the front, in the order of the file.
        runtime: Settings of llama.cpp.
        apply_chat_template: Whether prompts go through the candidate's chat template.
        system_instruction: System message before each prompt.
        date: Day that chat templates are told it is.
        thinking: How thoughts are told from answers; None: there are none.
        task_folder: Absolute folder with task YAMLs of our own; None: all are lm-eval's.
        split_seed: Seed of the division into search and validate items.
        max_unscored: Share of a task's items that may be unscored before the trial fails.
        keep_texts: Whether the ledger keeps what was generated.
    """

    objectives: tuple[Objective, ...]
    runtime: Runtime = field(default_factory=Runtime)
    apply_chat_template: bool = True
    system_instruction: str | None = None
    date: dt.date = dt.date(2024, 7, 26)  # what templates fall back to that look for a clock
    thinking: Thinking | None = None
    task_folder: Path | None = None
    split_seed: int = 0
    max_unscored: float = 0.05
    keep_texts: bool = True

    @classmethod
    def from_yaml(cls, text: str, folder: Path) -> Objectives:
        """Parse an objectives file; a relative `task_folder` starts at `folder`.

        Raises:
            ObjectivesError: Not YAML, an unknown key, a missing or impossible value.
        """
        document = read_document(text, ObjectivesError, "objectives file")
        return cls(**parse_document(document, folder))

    @classmethod
    def from_record(cls, document: Mapping[str, Any]) -> Objectives:
        """Return the objectives of a document that `to_dict` gave, without their task folder."""
        parts = {key: value for key, value in document.items() if key != "task_folder"}
        return cls(**parse_document(parts, Path()))

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `from_yaml` reads back; the task folder is absolute."""
        document: dict[str, Any] = {
            "objectives": {objective.name: _entry(objective) for objective in self.objectives},
            "apply_chat_template": self.apply_chat_template,
            "date": self.date.isoformat(),
            "split_seed": self.split_seed,
            "max_unscored": self.max_unscored,
            "keep_texts": self.keep_texts,
            "runtime": asdict(self.runtime),
        }
        if self.system_instruction is not None:
            document["system_instruction"] = self.system_instruction
        if self.thinking is not None:
            document["thinking"] = asdict(self.thinking)
        if self.task_folder is not None:
            document["task_folder"] = str(self.task_folder)
        return document

    def to_yaml(self) -> str:
        """Return the file as YAML that `from_yaml` reads back to equal objectives."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def fingerprint(self) -> str:
        """Return a SHA-256 (hex) of everything in the file that scores depend on, and how.

        `SCORING_VERSION` is in it. The number of threads, whether texts are kept and the path of
        the task folder are left out, the contents of the task folder are not.
        """
        document = self.to_dict()
        document.pop("task_folder", None)
        document.pop("keep_texts")
        document["runtime"].pop("threads")
        document["scoring"] = SCORING_VERSION
        digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
        if self.task_folder is not None:
            paths = (path for path in self.task_folder.rglob("*") if path.is_file())
            for file in sorted(path for path in paths if "__pycache__" not in path.parts):
                digest.update(file.relative_to(self.task_folder).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    @property
    def scores_parts(self) -> bool:
        """Whether trials are scored on a part of the search items at first."""
        return any(use.trial_items is not None for use in self.tasks())

    def tasks(self) -> tuple[TaskUse, ...]:
        """Return one use of each distinct task, in order of appearance."""
        uses: dict[str, TaskUse] = {}
        for objective in self.objectives:
            for use in objective.uses:
                uses.setdefault(use.task, use)
        return tuple(uses.values())

    @property
    def first_rung(self) -> Rung:
        """The rung that every trial is scored on: `proxy` where an objective has one."""
        return Rung.PROXY if self.proxied_tasks() else Rung.SEARCH

    def place_of(self, task: str) -> str:
        """Return the keys that lead to a task's first use in the file, as errors name them."""
        uses = (
            (objective.name, index)
            for objective in self.objectives
            for index, use in enumerate(objective.uses)
            if use.task == task
        )
        name, index = next(uses)
        return f"objectives.{name}.tasks.{index}"

    def proxied_tasks(self) -> tuple[str, ...]:
        """Return the tasks of the objectives that have a proxy, in order of appearance."""
        proxied = (objective for objective in self.objectives if objective.proxy)
        return tuple(dict.fromkeys(use.task for objective in proxied for use in objective.uses))

    def scores(
        self, results: Mapping[str, TaskResult], rung: Rung = Rung.SEARCH
    ) -> dict[str, Score]:
        """Return each objective's score on a rung from the results of all its tasks.

        On the rung `proxy` an objective with a proxy has the proxy's value, in nat.

        Raises:
            ScoringError: More than `max_unscored` of a task's items could not be scored.
        """
        for result in results.values():
            check_unscored(result, self.max_unscored)
        return {objective.name: score(objective, results, rung) for objective in self.objectives}


def _entry(objective: Objective) -> dict[str, Any]:
    """An objective as it is in the file, under its name."""
    entry: dict[str, Any] = {
        "direction": objective.direction,
        "reference": objective.reference,
        "tasks": [_without_nones(asdict(use)) for use in objective.uses],
    }
    for key in ("proxy", "specialist"):
        if getattr(objective, key) is not None:
            entry[key] = getattr(objective, key)
    return entry


def _without_nones(use: dict[str, Any]) -> dict[str, Any]:
    absent = (("chance", None), ("trial_items", None))
    return {key: value for key, value in use.items() if (key, value) not in absent}
