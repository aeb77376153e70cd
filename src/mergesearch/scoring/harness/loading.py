"""Loads the tasks of an objectives file: from the task folder, else from the installed lm-eval."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask, Task
from lm_eval.config.group import GroupConfig

from mergesearch._system.alike import did_you_mean
from mergesearch._system.yaml_text import as_written
from mergesearch.errors import ObjectivesError
from mergesearch.objectives import Objectives, Rung, TaskUse
from mergesearch.scoring.harness import environment
from mergesearch.scoring.harness.installed import installed_tasks
from mergesearch.scoring.harness.tasks import LoadedTask, Member, divide_items
from mergesearch.scoring.requests import generation_options
from mergesearch.scoring.task_files import TaskFiles, local_rows, read_tasks


def load_tasks(objectives: Objectives, *, trust_tasks: bool = False) -> list[LoadedTask]:
    """Load all tasks of an objectives file and divide their items.

    Raises:
        ObjectivesError: Unknown task or metric, data that are not here, fewer items than asked for,
            or a task YAML of the task folder that runs code while it is not trusted.
    """
    if not environment.is_prepared():
        raise RuntimeError(
            "call harness.environment.prepare() first: templates are code without it"
        )
    folder = objectives.task_folder
    source = _Source(TaskFiles() if folder is None else read_tasks(folder, trusted=trust_tasks))
    loaded = [_load(use, source, objectives) for use in objectives.tasks()]
    _check_metrics(objectives, {task.name: task for task in loaded})
    return loaded


def _check_metrics(objectives: Objectives, loaded: Mapping[str, LoadedTask]) -> None:
    for objective in objectives.objectives:
        for index, use in enumerate(objective.uses):
            known = loaded[use.task].metrics()
            if use.metric not in known:
                raise ObjectivesError(
                    f"unknown metric {use.metric!r}",
                    where=f"objectives.{objective.name}.tasks.{index}",
                    expected=", ".join(known),
                    fix=did_you_mean(use.metric, known),
                )


_GROUP_KEYS = {field.name for field in fields(GroupConfig)}


class _Source:
    """Where tasks come from: the YAMLs of the task folder, then the installed lm-eval.

    Groups and tags are resolved as lm-eval does (`tasks/_factory.py`).
    """

    def __init__(self, own: TaskFiles) -> None:
        self._own = own

    def tasks(self, name: str) -> tuple[list[Task], bool]:
        """Return a task, or a group's tasks and whether they weigh by their numbers of items."""
        if name not in self._own.names:
            return _installed(name, {}, self._own.names)
        rules = self._own.groups.get(name, {}).get("aggregate_metric_list") or []
        rules = rules if isinstance(rules, list) else [rules]
        by_size = all(rule.get("weight_by_size", True) for rule in rules)
        return self._named(name, {}, ()), by_size

    def _named(self, name: str, overrides: Mapping[str, Any], above: tuple[str, ...]) -> list[Task]:
        """The tasks that a name stands for, with some of their keys changed."""
        if name in self._own.tasks:
            return [_own_task({**self._own.tasks[name], **overrides, "task": name})]
        if name in above:
            raise ObjectivesError(f"the group {name} contains itself")
        if name in self._own.groups:
            return self._members(self._own.groups[name], overrides, (*above, name))
        if name in self._own.tags:
            tagged = sorted(self._own.tags[name])
            return [task for inner in tagged for task in self._named(inner, overrides, above)]
        return _installed(name, overrides, self._own.names)[0]

    def _members(
        self, group: Mapping[str, Any], overrides: Mapping[str, Any], above: tuple[str, ...]
    ) -> list[Task]:
        """The tasks of a group, whose other keys are those of its members."""
        shared = {key: value for key, value in group.items() if key not in _GROUP_KEYS}
        return [
            task
            for member in group["task"]
            for task in self._member(member, {**shared, **overrides}, above)
        ]

    def _member(
        self, member: Any, overrides: Mapping[str, Any], above: tuple[str, ...]
    ) -> list[Task]:
        match member:
            case str():
                return self._named(member, overrides, above)
            case {"group": str(name), "task": list()} if name not in self._own.groups:
                return self._members(member, overrides, (*above, name))
            case {"group": str(name)} | {"task": str(name)}:
                own = {key: value for key, value in member.items() if key != "group"}
                if "dataset_path" in own and name not in self._own.names:
                    return [_own_task({**overrides, **own, "task": f"{above[-1]}::{name}"})]
                return self._named(name, {**overrides, **own}, above)
        raise ObjectivesError(f"{as_written(member)} is not a task, in the group {above[-1]}")


def _load(use: TaskUse, source: _Source, objectives: Objectives) -> LoadedTask:
    """Load a task; an error that names no file of its own says where the task is used."""
    try:
        return _checked(use, source, objectives)
    except ObjectivesError as error:
        error.where = error.where or objectives.place_of(use.task)
        raise


def _checked(use: TaskUse, source: _Source, objectives: Objectives) -> LoadedTask:
    environment.seed_generators()
    tasks, by_size = source.tasks(use.task)
    members: list[Member] = []
    for task in tasks:
        _check_room(use, task, objectives)
        offset = members[-1].offset + len(members[-1].docs) if members else 0
        members.append(Member(task, _documents(task), offset))
        _check_task(use, task)
    order = divide_items(members, use, objectives.split_seed)
    used = frozenset(
        other.metric
        for objective in objectives.objectives
        for other in objective.uses
        if other.task == use.task
    )
    loaded = LoadedTask(use.task, members, by_size, order, used)
    _check_sentence_splitter(loaded, objectives.max_unscored)
    _check_parts(use, loaded)
    return loaded


class _Rows(datasets.Dataset):  # type: ignore[misc]
    """Rows that are decoded all at once: one at a time takes ten times as long."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        columns = self[:]
        for row in zip(*columns.values(), strict=True):
            yield dict(zip(columns, row, strict=True))


def _own_task(config: Mapping[str, Any]) -> Task:
    rows = local_rows(config)
    config = {key: value for key, value in config.items() if key not in ("tag", "group")}
    try:
        if callable(config.get("custom_dataset")):
            rows = config["custom_dataset"](**config.get("dataset_kwargs") or {})
        if rows is not None:  # straight from where they are made, without a copy in a cache
            splits = {name: _Rows.from_list(split) for name, split in rows.items()}
            for key in ("dataset_path", "dataset_kwargs"):
                config.pop(key, None)
            config["custom_dataset"] = lambda **_: splits
        return ConfigurableTask(config=config)
    except Exception as error:
        raise _unloadable(str(config["task"]), error) from error


def _installed(
    name: str, overrides: Mapping[str, Any], own: Sequence[str]
) -> tuple[list[Task], bool]:
    manager = installed_tasks()
    if name not in manager.task_index:
        near = difflib.get_close_matches(name, [*own, *manager.task_index], n=5)
        raise ObjectivesError(
            f"unknown task {name!r}",
            expected=", ".join(dict.fromkeys([*own, *near])) or "a task of the installed lm-eval",
            fix=did_you_mean(name, near) or "`lm-eval ls tasks` lists the installed tasks",
        )
    try:
        changed = {"group": name, "task": [{**overrides, "task": name}]}
        loaded = manager.load([changed if overrides else name])
    except Exception as error:
        raise _unloadable(name, error) from error
    groups = loaded.get("groups", {})
    rules = groups[name].aggregate_metric_list if name in groups else None
    by_size = all(rule.weight_by_size for rule in rules or [])
    return list(loaded["tasks"].values()), by_size


# -- what is wrong with a task ---------------------------------------------------------------------

# Errors of `datasets`, `huggingface_hub` and the network by the names of their classes; the
# libraries wrap them in one another, and sometimes in a plain ValueError that quotes them.
_ABSENT_CLASSES = {
    "ConnectionError",
    "DataFilesNotFoundError",
    "DatasetNotFoundError",
    "FileNotFoundError",
    "LocalEntryNotFoundError",
    "OfflineModeIsEnabled",
    "RepositoryNotFoundError",
}
_ABSENT_WORDS = ("offline", "couldn't reach", "couldn't find")


def _check_parts(use: TaskUse, loaded: LoadedTask) -> None:
    """Refuse to score parts of a task whose value is more than the mean of its items."""
    others = sorted(loaded.used.difference(loaded.means()))
    if use.trial_items is not None and others:
        raise ObjectivesError(
            f"trial_items, and {others[0]} is not the mean of its items",
            fix="leave out trial_items, or use another metric",
        )


def _unloadable(name: str, error: Exception) -> ObjectivesError:
    reason = f"{type(error).__name__}: {error}"
    if _is_absence(error):
        return ObjectivesError(
            f"the data of {name} are not on this machine",
            expected=f"them in the cache of Hugging Face data sets ({reason})",
            fix="once, with a network: HF_HUB_OFFLINE=0 HF_DATASETS_OFFLINE=0 search run ...",
        )
    missing = "pip install 'lm-eval[math]'" if "math-verify" in reason.lower() else None
    return ObjectivesError(f"lm-eval cannot load {name} ({reason})", fix=missing)


def _is_absence(error: BaseException) -> bool:
    """Whether an error, or one that it comes from, says that data could not be had."""
    classes = {kind.__name__ for kind in type(error).__mro__}
    if not classes.isdisjoint(_ABSENT_CLASSES):
        return True
    cause = error.__cause__ or error.__context__
    if cause is not None and _is_absence(cause):
        return True
    return any(word in str(error).lower() for word in _ABSENT_WORDS)


def _check_task(use: TaskUse, task: Task) -> None:
    if getattr(task, "UNSAFE_CODE", False):
        raise ObjectivesError("the task runs code that the model writes")
    if getattr(task, "MULTIMODAL", False):
        raise ObjectivesError("the task needs images or sound")
    shots = task.get_config("num_fewshot") if use.num_fewshot is None else use.num_fewshot
    task.set_config(key="num_fewshot", value=shots or 0)


def _check_room(use: TaskUse, task: Task, objectives: Objectives) -> None:
    """Refuse a task whose longest answers, thoughts included, fill the context alone."""
    if task.OUTPUT_TYPE != "generate_until":
        return
    longest, _, _ = generation_options(task.get_config("generation_kwargs") or {})
    if objectives.thinking is not None:
        longest += objectives.thinking.budget
    if longest >= objectives.runtime.n_ctx:
        raise ObjectivesError(
            f"answers of up to {longest} tokens leave no room for a prompt in n_ctx"
            f" {objectives.runtime.n_ctx}",
            fix=f"raise runtime.n_ctx above {longest} by the length of the prompts",
        )


_SPLIT_SENTENCES = {"length_constraints:number_sentences", "change_case:capital_word_frequency"}


def _check_sentence_splitter(loaded: LoadedTask, max_unscored: float) -> None:
    """Refuse IFEval without the data of nltk that some of its instructions are checked with."""
    docs = [
        member.docs[index]
        for member in loaded.members
        for index in loaded.indices(member, Rung.SEARCH)
    ]
    needing = sum(
        not _SPLIT_SENTENCES.isdisjoint(doc.get("instruction_id_list") or ()) for doc in docs
    )
    if needing <= max_unscored * len(docs):
        return
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab")
    except LookupError as error:
        raise ObjectivesError(
            f"{needing} of {len(docs)} items need nltk's sentence splitter, which is not here",
            fix="once, with a network: python -m nltk.downloader punkt_tab; or raise max_unscored",
        ) from error


def _documents(task: Task) -> Sequence[dict[str, Any]]:
    # Asking again would process, and in some tasks shuffle, the documents again.
    documents = getattr(task, "task_docs", None)
    return list(task.eval_docs if documents is None else documents)
