"""An objectives file as one object."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mergesearch.errors import ObjectivesError
from mergesearch.objectives.parse import objective_to_dict, parse_document
from mergesearch.objectives.scores import check_unscored, difference, score
from mergesearch.objectives.types import (
    Direction,
    Objective,
    Rung,
    Runtime,
    Score,
    TaskResult,
    TaskUse,
)


@dataclass(frozen=True)
class Objectives:
    """An objectives file.

    Attributes:
        objectives: the axes, in the order of the file.
        runtime: how llama.cpp is run.
        apply_chat_template: whether prompts go through the candidate's chat template.
        system_instruction: system message before each prompt.
        task_folder: absolute folder with task YAMLs of our own, None where all are lm-eval's.
        split_seed: seed of the division into search and validate items.
        max_unscored: share of a task's items that may be unscored before the trial fails.
        keep_texts: whether the ledger keeps what was generated.
    """

    objectives: tuple[Objective, ...]
    runtime: Runtime = field(default_factory=Runtime)
    apply_chat_template: bool = True
    system_instruction: str | None = None
    task_folder: Path | None = None
    split_seed: int = 0
    max_unscored: float = 0.05
    keep_texts: bool = True

    @classmethod
    def from_yaml(cls, text: str, folder: Path) -> Objectives:
        """Parse an objectives file; a relative `task_folder` starts at `folder`.

        Raises:
            ObjectivesError: not YAML, an unknown key, a missing or impossible value.
        """
        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ObjectivesError(f"not valid YAML: {error}", where="objectives") from error
        return cls(**parse_document(document, folder))

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `from_yaml` reads back; the task folder is absolute."""
        document: dict[str, Any] = {
            "objectives": {one.name: objective_to_dict(one) for one in self.objectives},
            "apply_chat_template": self.apply_chat_template,
            "split_seed": self.split_seed,
            "max_unscored": self.max_unscored,
            "keep_texts": self.keep_texts,
            "runtime": asdict(self.runtime),
        }
        if self.system_instruction is not None:
            document["system_instruction"] = self.system_instruction
        if self.task_folder is not None:
            document["task_folder"] = str(self.task_folder)
        return document

    def to_yaml(self) -> str:
        """Return the file as YAML that `from_yaml` reads back to equal objectives."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def fingerprint(self) -> str:
        """Return a SHA-256 (hex) of everything in the file that scores depend on.

        The number of threads, whether texts are kept and where the task folder stands are left
        out, the contents of the task folder are not.
        """
        document = self.to_dict()
        document.pop("task_folder", None)
        document.pop("keep_texts")
        document["runtime"].pop("threads")
        digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
        if self.task_folder is not None:
            paths = (path for path in self.task_folder.rglob("*") if path.is_file())
            for file in sorted(path for path in paths if "__pycache__" not in path.parts):
                digest.update(file.relative_to(self.task_folder).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def tasks(self) -> tuple[TaskUse, ...]:
        """Return one use of each distinct task, in order of appearance."""
        uses = (use for one in self.objectives for use in one.uses)
        return tuple({use.task: use for use in reversed(list(uses))}.values())[::-1]

    def directions(self) -> list[Direction]:
        """Return the direction of each objective."""
        return [one.direction for one in self.objectives]

    @property
    def first_rung(self) -> Rung:
        """The rung that every trial is scored on: `proxy` where an objective has one."""
        return Rung.PROXY if self.proxied_tasks() else Rung.SEARCH

    def proxied_tasks(self) -> tuple[str, ...]:
        """Return the tasks of the objectives that have a proxy, in order of appearance."""
        uses = (use.task for one in self.objectives if one.proxy for use in one.uses)
        return tuple(dict.fromkeys(uses))

    def differences(
        self, first: Mapping[str, TaskResult], second: Mapping[str, TaskResult]
    ) -> dict[str, Score]:
        """Return each objective's paired difference, first minus second, on their common items.

        The standard error is that of the mean of per-item differences; unscored items of either
        side are left out.

        Raises:
            ScoringError: a task has fewer than two common items.
        """
        return {one.name: difference(one, first, second) for one in self.objectives}

    def scores(
        self, results: Mapping[str, TaskResult], rung: Rung = Rung.SEARCH
    ) -> dict[str, Score]:
        """Return each objective's score on a rung from the results of all its tasks.

        On the `proxy` rung an objective with a proxy has the proxy's value, in nat.

        Raises:
            ScoringError: more than `max_unscored` of a task's items could not be scored.
        """
        for result in results.values():
            check_unscored(result, self.max_unscored)
        return {one.name: score(one, results, rung) for one in self.objectives}
