"""Wrong objectives files are refused by the key's path, with what is expected there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.objectives_file import FILE, load
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import ObjectivesError
from mergesearch.objectives import Objectives

TASKS = ("objectives", "reason", "tasks")
FIRST = (*TASKS, 0)


def changed(path: tuple[Any, ...], value: object) -> str:
    """The file with one value put in its place."""
    document = yaml.safe_load(FILE)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return yaml.safe_dump(document)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("objectives",), {}, "objectives file: needs `objectives`, at least one"),
        (("objectives",), [], "objectives: a list is not a mapping"),
        (("objectives", 3), {}, "objectives: the key 3 is not a string: put it in quotes"),
        (("objectives", "reason"), None, "objectives.reason: null is not a mapping"),
        (("typo",), 1, "objectives file: unknown key 'typo'\n  expected: objectives, runtime, "),
        (("split_seed",), -1, "split_seed: -1 is out of range\n  expected: at least 0"),
        (("split_seed",), 1 << 63, "expected: below 9223372036854775808"),
        (("max_unscored",), float("nan"), "max_unscored: NaN is not a finite number"),
        (("max_unscored",), 1.5, "max_unscored: 1.5 is out of range\n  expected: at most 1"),
        (("keep_texts",), 1, "keep_texts: 1 is not true or false"),
        (("system_instruction",), 7, "system_instruction: 7 is not a string"),
        (("date",), 3, "date: 3 is not a date"),
        (("date",), "tomorrow", 'date: "tomorrow" is not a date'),
        (("thinking",), {}, "thinking: needs `budget`"),
        (("thinking",), {"budget": 9, "stop": "x"}, "thinking: unknown key 'stop'"),
        (("thinking",), {"budget": 9, "end": ""}, "thinking.end"),
        (("thinking",), {"budget": -1}, "thinking.budget: -1 is out of range"),
        (("runtime",), 3, "runtime: 3 is not a mapping"),
        (("runtime", "n_parallel"), "8", 'runtime.n_parallel: "8" is not a whole number'),
        (("runtime", "n_parallel"), True, "runtime.n_parallel: true is not a whole number"),
        (("runtime", "n_parallel"), 2.0, "runtime.n_parallel: 2.0 is not a whole number"),
        (("runtime", "n_parallel"), 0, "runtime.n_parallel: 0 is out of range\n  expected: at "),
        (("runtime", "n_parallel"), 10**8, "expected: at most 255"),
        (("runtime", "threads"), -1, "runtime.threads: -1 is out of range\n  expected: at least 1"),
        (("runtime", "n_gpu_layers"), -1, "runtime.n_gpu_layers: -1 is out of range"),
        (("runtime", "speed"), 1, "runtime: unknown key 'speed'\n  expected: n_ctx, "),
        (("runtime", "n_paralel"), 1, "to do: did you mean 'n_parallel'?"),
        (("runtime", "kv_type"), "f8", "runtime.kv_type: unknown value \"f8\"\n  expected: 'f16'"),
        (("runtime", "kv_type"), "q8_0", "runtime.kv_type: llama.cpp quantizes the KV cache"),
        (("objectives", "reason", "direction"), "up", 'objectives.reason.direction: unknown value'),
        (("objectives", "reason", "reference"), None, "objectives.reason.reference: null is not"),
        (("objectives", "reason", "reference"), float("inf"), "Infinity is not a finite number"),
        (("objectives", "reason", "reference"), 10**300, "is out of range"),
        (("objectives", "reason", "reference"), 10**400, "is not a number"),
        (("objectives", "reason", "metrics"), [], "objectives.reason: unknown key 'metrics'"),
        (TASKS, [], "objectives.reason: needs `tasks`, at least one"),
        (TASKS, "say", 'objectives.reason.tasks: "say" is not a list'),
        (FIRST, "say", 'objectives.reason.tasks.0: "say" is not a mapping'),
        (FIRST, {"task": "x"}, "objectives.reason.tasks.0: needs `metric`"),
        (FIRST, {"task": "x", "metrik": "acc"}, "unknown key 'metrik'"),
        (FIRST, {"task": "x", "metrik": "acc"}, "did you mean 'metric'?"),
        ((*FIRST, "weight"), 0, "tasks.0.weight: 0 is out of range\n  expected: above 0"),
        ((*FIRST, "weight"), float("nan"), "objectives.reason.tasks.0.weight: NaN is not a "),
        ((*FIRST, "chance"), 1.0, "chance: 1.0 is out of range\n  expected: below 1"),
        ((*FIRST, "search_items"), 1, "search_items: 1 is out of range\n  expected: at least 2"),
        ((*FIRST, "num_fewshot"), -1, "num_fewshot: -1 is out of range"),
        (("task_folder",), "nowhere", "task_folder: no folder "),
        (("task_folder",), "x" * 5000, "task_folder: no folder "),
        (("task_folder",), "a\0b", "task_folder: no folder "),
    ],
)  # fmt: skip
def test_wrong_files_are_refused_by_the_key_s_path(
    path: tuple[Any, ...], value: object, message: str
) -> None:
    with pytest.raises(ObjectivesError) as caught:
        load(changed(path, value))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["", "a\nb", "a\x1b[31m", "a\u202eb", "a\u200bb"])
def test_the_name_of_an_objective_is_a_printable_line(name: str) -> None:
    entry = {"tasks": [{"task": "say", "metric": "exact"}]}
    with pytest.raises(ObjectivesError, match="cannot be printed in one line"):
        load(changed(("objectives", name), entry))


NO_FILES = ["", "3", "[]", "objectives: 3", "{", "[" * 3000]
NO_SCALARS = ["a: !!timestamp x", "a: !!int x", "a: !!float abc", "a: !!bool maybe"]


@pytest.mark.parametrize("text", [*NO_FILES, *NO_SCALARS])
def test_what_is_not_an_objectives_file_is_refused(text: str) -> None:
    with pytest.raises(ObjectivesError):
        load(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["task", "metric", "tasks", "reference", "x"]), inner)
        ),
        max_leaves=6,
    ),
    st.sampled_from([("objectives",), ("runtime",), ("objectives", "reason"), TASKS, FIRST]),
)
def test_any_value_anywhere_is_taken_or_refused_with_an_error_of_ours(
    value: object, path: tuple[Any, ...]
) -> None:
    try:
        objectives = load(changed(path, value))
    except ObjectivesError:
        return
    assert Objectives.from_yaml(objectives.to_yaml(), Path()) == objectives


def test_picked_answers_need_a_written_reference() -> None:
    with pytest.raises(ObjectivesError, match="needs `reference`"):
        load(FILE.replace("    reference: 0.25\n", ""))
    with pytest.raises(ObjectivesError, match="needs `reference`"):
        load("objectives: {o: {direction: minimize, tasks: [{task: a, metric: exact}]}}")


def test_a_trial_has_no_more_items_than_there_are() -> None:
    text = FILE.replace("{task: say, metric: exact, weight: 1}", "{task: say, metric: exact, %s}")
    objectives = load(text % "search_items: 40, trial_items: 40")
    assert objectives.scores_parts
    assert Objectives.from_yaml(objectives.to_yaml(), Path()) == objectives
    assert Objectives.from_record(objectives.to_dict()).objectives == objectives.objectives
    with pytest.raises(ObjectivesError, match="trial_items 41 is more than there are"):
        load(text % "search_items: 40, trial_items: 41")


def test_uses_of_one_task_want_the_same_items() -> None:
    text = FILE.replace("{task: say, metric: exact, weight: 1}", "{task: ifeval, metric: x}")
    with pytest.raises(ObjectivesError, match="two uses of this task differ in search_items"):
        load(text)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("proxy: guess", r'objectives\.reason\.proxy: unknown value "guess"'),
        ("specialist: x", r"objectives\.reason: `specialist` has no effect"),
        ("direction: minimize\n    proxy: likelihood", "a likelihood can only be a proxy"),
    ],
)
def test_impossible_proxies_are_refused(entry: str, message: str) -> None:
    with pytest.raises(ObjectivesError, match=message):
        load(FILE.replace("reference: 0.25", f"reference: 0.25\n    {entry}"))
