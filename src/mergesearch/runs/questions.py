"""What the items of a run ask: kept in its folder, so that its tasks need not be loaded again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mergesearch._system.files import write_text
from mergesearch.objectives import Items
from mergesearch.runs.folder import RunFolder
from mergesearch.runs.inputs import read_objectives
from mergesearch.scoring.texts import ItemText, Texts, item_texts

_ADAPTER = TypeAdapter(dict[str, dict[int, ItemText]])


def questions(
    folder: RunFolder,
    items: Items,
    *,
    read_items: Callable[[Items], Texts] | None = None,
    trust_tasks: bool = False,
) -> Texts:
    """Return what items of a run ask; what is not kept yet is read from its tasks, and kept.

    Items of a run never change: its folder refuses other objectives and other data.

    Args:
        read_items: Function that returns what items ask; None for loading the run's tasks here,
            which takes seconds.
        trust_tasks: Whether task YAMLs of the task folder may run Python code of their own.

    Raises:
        ObjectivesError: A task or its data are not here.
    """
    kept = _kept(folder.questions)
    missing = {
        task: [number for number in numbers if number not in kept.get(task, {})]
        for task, numbers in items.items()
    }
    missing = {task: numbers for task, numbers in missing.items() if numbers}
    if missing:
        if read_items is None:
            objectives = read_objectives(folder.objectives)
            found = item_texts(objectives, missing, trust_tasks=trust_tasks)
        else:
            found = read_items(missing)
        for task, texts in found.items():
            kept[task] = {**kept.get(task, {}), **texts}
        with suppress(OSError):  # the folder may be on a medium that cannot be written
            write_text(folder.questions, _ADAPTER.dump_json(kept).decode())
    return {task: {number: kept[task][number] for number in items[task]} for task in items}


def _kept(path: Path) -> dict[str, dict[int, ItemText]]:
    """The questions in a file; none where it is not there, or damaged."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}
