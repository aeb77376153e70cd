"""What items ask, as it is kept in the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path

from mergesearch.objectives import Items
from mergesearch.runs.folder import RunFolder
from mergesearch.runs.questions import questions
from mergesearch.scoring.texts import ItemText, Texts


class Tasks:
    """Loaded tasks that note which items were asked for."""

    def __init__(self) -> None:
        self.asked: list[Items] = []

    def __call__(self, items: Items) -> Texts:
        self.asked.append(items)
        return {
            task: {number: ItemText(f"{task} {number}?", ("a", "b"), "a") for number in numbers}
            for task, numbers in items.items()
        }


def test_what_is_kept_is_not_read_again(tmp_path: Path) -> None:
    folder, tasks = RunFolder(tmp_path), Tasks()
    first = questions(folder, {"words": [1, 2]}, read_items=tasks)
    again = questions(folder, {"words": [2, 3], "holders": [0]}, read_items=tasks)
    assert tasks.asked == [{"words": [1, 2]}, {"words": [3], "holders": [0]}]
    assert first["words"][2] == again["words"][2] == ItemText("words 2?", ("a", "b"), "a")
    assert list(again["words"]) == [2, 3]
    questions(folder, {"words": [1, 2, 3], "holders": [0]}, read_items=tasks)
    assert len(tasks.asked) == 2


def test_without_items_nothing_is_read_or_written(tmp_path: Path) -> None:
    assert questions(RunFolder(tmp_path), {}) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_written_again(tmp_path: Path) -> None:
    folder, tasks = RunFolder(tmp_path), Tasks()
    for text in ("{", '{"words": {"1": {"question": 7}}}'):
        folder.questions.write_text(text)
        questions(folder, {"words": [1]}, read_items=tasks)
        kept = json.loads(folder.questions.read_text())
        assert kept == {
            "words": {"1": {"question": "words 1?", "choices": ["a", "b"], "expected": "a"}}
        }
    assert len(tasks.asked) == 2


def test_where_the_folder_cannot_be_written_nothing_is_kept(tmp_path: Path) -> None:
    folder, tasks = RunFolder(tmp_path / "gone" / "run"), Tasks()
    (tmp_path / "gone").write_text("a file")
    assert questions(folder, {"words": [1]}, read_items=tasks)["words"][1].expected == "a"
