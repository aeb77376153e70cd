"""The index of lm-eval's tasks, against the one that lm-eval makes itself."""

from __future__ import annotations

import sys
from pathlib import Path

import lm_eval.tasks
import pytest
from lm_eval.tasks import TaskManager

from mergesearch.scoring.harness import installed
from mergesearch.scoring.harness.installed import installed_tasks

INSTALLED = Path(lm_eval.tasks.__file__).parent
FILES = {
    "_base_yaml": "tag: [sums, 'all of them']\ndataset_path: json\nmetric_list: [{metric: acc}]\n",
    "one.yaml": "include: _base_yaml\ntask: one\ndoc_to_text: !function utils.text\n",
    "two.yaml": "include:\n- _base_yaml\n- inner/more.yaml\ntask: 'two'  # of several\n",
    "inner/more.yaml": '"task": more\ntag: sums\n',
    "two_again.yaml": "task: two\ntag: elsewhere\n",
    "group.yaml": "group: both\ntask:\n  - one\n  - {task: two, num_fewshot: 1}\n",
    "code.yaml": "task: code\nclass: !function task.Code\n",
    "circle.yaml": "include: circle.yaml\ntask: circle\n",
    "absent.yaml": "include: nowhere.yaml\ntask: absent\n",
    "listed.yaml": "task: [one, two]\n",
    "text.yaml": "doc_to_text: |\n  task: inside\n",
    "damaged.yaml": "task: [damaged",
    "words.yaml": "only words",
    "empty.yaml": "",
}


def assert_alike(folder: Path) -> None:
    ours = installed_tasks(folder).task_index
    theirs = TaskManager(include_path=str(folder), include_defaults=False).task_index
    assert list(ours) == list(theirs)
    for name, entry in theirs.items():
        mine = ours[name]
        assert mine.kind == entry.kind
        assert mine.yaml_path == entry.yaml_path
        assert mine.tags == entry.tags


def test_names_are_found_as_lm_eval_finds_them(tmp_path: Path) -> None:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert_alike(tmp_path)
    index = installed_tasks(tmp_path).task_index
    assert sorted(index) == ["all of them", "both", "code", "more", "one", "sums", "two"]
    assert index["sums"].tags == {"more", "one", "two"}


@pytest.mark.parametrize("folder", ["bbh", "gsm8k", "leaderboard", "mmlu_pro", "squadv2"])
def test_installed_tasks_are_those_of_lm_eval(folder: str) -> None:
    assert_alike(INSTALLED / folder)


def test_another_lm_eval_makes_its_own_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval.tasks._index", None)
    monkeypatch.setattr(installed, "TaskManager", lambda: "its own")
    assert installed_tasks(tmp_path) == "its own"
