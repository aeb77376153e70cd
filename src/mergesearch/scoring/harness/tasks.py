"""Tasks as lm-eval defines them, loaded once, their items divided into rungs."""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import datasets
import lm_eval.utils
import numpy as np
from jinja2 import BaseLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from langdetect import DetectorFactory
from lm_eval.api.metrics import mean, stderr_for_metric
from lm_eval.api.task import ConfigurableTask, Task
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED

from mergesearch.errors import ObjectivesError
from mergesearch.objectives import Objectives, Rung, TaskUse, split_items
from mergesearch.scoring.aggregate import BOOTSTRAP_DRAWS
from mergesearch.scoring.task_files import local_rows, read_tasks


@dataclass
class Member:
    """One lm-eval task: alone, or as part of a group.

    Attributes:
        task: lm-eval's object.
        docs: its documents, in order.
        offset: number of its first document among those of all members.
        chosen: for each rung, the indices of its documents, ascending.
    """

    task: Task
    docs: list[dict[str, Any]]
    offset: int
    chosen: dict[Rung, list[int]] = field(default_factory=dict)

    @property
    def filters(self) -> list[str]:
        """Names of the filters that answers go through."""
        return [one.name for one in self.task._filters]

    def declared(self) -> list[tuple[str, str]]:
        """Return (metric, filter) of every metric that the task declares."""
        return [(name, one) for name in self.task.aggregation() for one in self.filters]

    def aggregation(self, metric: str) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
        """Return lm-eval's aggregation of a metric and its standard error, if it has one."""
        function = self.task.aggregation().get(metric, mean)
        error = stderr_for_metric(function, BOOTSTRAP_DRAWS)
        return function, None if error is None else _quietly(error)


@dataclass
class LoadedTask:
    """A task or group of an objectives file, with its items divided into rungs.

    Attributes:
        name: as the objectives file has it.
        members: its tasks; one, unless it is a group.
        by_size: whether a group weighs its tasks by their numbers of items.
        used: names of metrics that the objectives file uses.
    """

    name: str
    members: list[Member]
    by_size: bool = True
    used: set[str] = field(default_factory=set)

    def metrics(self) -> list[str]:
        """Return the names by which an objectives file can use the task's metrics."""
        declared = dict.fromkeys(one for member in self.members for one in member.declared())
        filters = {one for member in self.members for one in member.filters}
        plain = [name for name, _ in declared] if len(filters) == 1 else []
        return [*dict.fromkeys(plain), *(f"{name},{one}" for name, one in declared)]


def load_tasks(objectives: Objectives, *, trust_tasks: bool = False) -> list[LoadedTask]:
    """Load all tasks of an objectives file and divide their items.

    Raises:
        ObjectivesError: unknown task or metric, data that are not here, fewer items than asked for,
            or a task YAML of the task folder that runs code while it is not trusted.
    """
    _be_quiet()
    _sandbox_templates()
    DetectorFactory.seed = 0  # IFEval's guesses of a language are drawn at random otherwise
    folder = objectives.task_folder
    own = {} if folder is None else read_tasks(folder, trusted=trust_tasks)
    source = _Source(own)
    loaded = [_load(use, source, objectives) for use in objectives.tasks()]
    by_name = {one.name: one for one in loaded}
    for objective in objectives.objectives:
        for use in objective.uses:
            known = by_name[use.task].metrics()
            by_name[use.task].used.add(use.metric)
            if use.metric not in known:
                raise ObjectivesError(
                    f"unknown metric {use.metric!r}",
                    where=f"{objective.name}.{use.task}",
                    expected=", ".join(known),
                )
    return loaded


def _be_quiet() -> None:
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)


def _sandbox_templates() -> None:
    """Render the prompts' templates in a sandbox: in lm-eval's own environment they are code."""
    open_ended = lm_eval.utils.env
    sandbox = ImmutableSandboxedEnvironment(
        loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True
    )
    sandbox.filters.update(open_ended.filters)
    lm_eval.utils.env = sandbox


def _quietly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with what it prints thrown away."""

    def quiet(*arguments: Any) -> Any:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return function(*arguments)

    return quiet


class _Source:
    """Where tasks come from: the YAMLs of the task folder, then the installed lm-eval."""

    def __init__(self, own: Mapping[str, Mapping[str, Any]]) -> None:
        self._own = own

    def tasks(self, name: str) -> tuple[list[Task], bool]:
        """Return a task, or a group's tasks and whether they weigh by their numbers of items."""
        if name in self._own:
            return [_own_task(self._own[name])], True
        return _installed_tasks(name, self._manager, self._own)

    @cached_property
    def _manager(self) -> Any:
        from lm_eval.tasks import TaskManager

        return TaskManager()  # reads all YAMLs that are installed: seconds


def _load(use: TaskUse, source: _Source, objectives: Objectives) -> LoadedTask:
    # Some tasks shuffle their documents with the global generators when they are loaded.
    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)
    tasks, by_size = source.tasks(use.task)
    members: list[Member] = []
    for task in tasks:
        offset = members[-1].offset + len(members[-1].docs) if members else 0
        members.append(Member(task, _documents(task), offset))
        _check_task(use, task)
    loaded = LoadedTask(use.task, members, by_size)
    _divide(loaded, use, objectives.split_seed)
    _check_sentence_splitter(loaded, objectives.max_unscored)
    return loaded


def _own_task(config: Mapping[str, Any]) -> Task:
    rows = local_rows(config)
    config = dict(config)
    try:
        if callable(config.get("custom_dataset")):
            rows = config["custom_dataset"](**config.get("dataset_kwargs") or {})
        if rows is not None:  # straight from where they are made, without a copy in a cache
            splits = {split: datasets.Dataset.from_list(some) for split, some in rows.items()}
            for key in ("dataset_path", "dataset_kwargs"):
                config.pop(key, None)
            config["custom_dataset"] = lambda **_: splits
        return ConfigurableTask(config=config)
    except Exception as error:
        raise _unloadable(str(config["task"]), error) from error


def _installed_tasks(name: str, manager: Any, own: Mapping[str, Any]) -> tuple[list[Task], bool]:
    if name not in manager.all_tasks:
        near = difflib.get_close_matches(name, manager.all_tasks, n=5)
        raise ObjectivesError(
            f"unknown task {name!r}",
            expected=", ".join([*own, *near]) or "a task of the installed lm-eval",
            fix="`lm-eval ls tasks` lists the installed tasks",
        )
    try:
        loaded = manager.load([name])
    except Exception as error:
        raise _unloadable(name, error) from error
    groups = loaded.get("groups", {})
    rules = groups[name].aggregate_metric_list if name in groups else None
    by_size = all(one.weight_by_size for one in rules or [])
    return list(loaded["tasks"].values()), by_size


_ABSENT = ("offline", "couldn't reach", "connection", "couldn't find", "cannot find", "not found")


def _unloadable(name: str, error: Exception) -> ObjectivesError:
    reason = f"{type(error).__name__}: {error}"
    if any(one in reason.lower() for one in _ABSENT):
        return ObjectivesError(
            "the data of this task are not on this machine",
            where=name,
            expected=f"them in the cache of Hugging Face data sets ({reason})",
            fix="once, with a network: HF_HUB_OFFLINE=0 HF_DATASETS_OFFLINE=0 search run ...",
        )
    missing = "pip install 'lm-eval[math]'" if "math-verify" in reason.lower() else None
    return ObjectivesError(f"lm-eval cannot load this task ({reason})", where=name, fix=missing)


def _check_task(use: TaskUse, task: Task) -> None:
    if getattr(task, "UNSAFE_CODE", False):
        raise ObjectivesError("the task runs code that the model writes", where=use.task)
    if getattr(task, "MULTIMODAL", False):
        raise ObjectivesError("the task needs images or sound", where=use.task)
    shots = task.get_config("num_fewshot") if use.num_fewshot is None else use.num_fewshot
    task.set_config(key="num_fewshot", value=shots or 0)


_SPLIT_SENTENCES = {"length_constraints:number_sentences", "change_case:capital_word_frequency"}


def _check_sentence_splitter(loaded: LoadedTask, max_unscored: float) -> None:
    """Refuse IFEval without the data of nltk that some of its instructions are checked with."""
    docs = [one.docs[i] for one in loaded.members for i in one.chosen[Rung.SEARCH]]
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
            where=loaded.name,
            fix="once, with a network: python -m nltk.downloader punkt_tab; or raise max_unscored",
        ) from error


def _documents(task: Task) -> list[dict[str, Any]]:
    # Asking again would process, and in some tasks shuffle, the documents again.
    documents = getattr(task, "task_docs", None)
    return list(task.eval_docs if documents is None else documents)


def _content(document: Any) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, default=str)


def _divide(loaded: LoadedTask, use: TaskUse, seed: int) -> None:
    contents = [_content(doc) for member in loaded.members for doc in member.docs]
    try:
        search, validate = split_items(contents, use.search_items, use.validate_items, seed)
    except ObjectivesError as error:
        raise ObjectivesError(error.what, where=use.task, fix=error.fix) from error
    for member in loaded.members:
        own = range(member.offset, member.offset + len(member.docs))
        for rung, items in ((Rung.SEARCH, search), (Rung.VALIDATE, validate)):
            member.chosen[rung] = sorted(one - member.offset for one in items if one in own)
        _keep_examples_apart(member, {contents[one] for one in (*search, *validate)})


def _keep_examples_apart(member: Member, scored: set[str]) -> None:
    """Take scored documents out of the pool that few-shot examples are drawn from."""
    sampler = getattr(member.task, "sampler", None)
    shots = member.task.get_config("num_fewshot")
    if not shots or sampler is None:
        return
    pool = list(sampler.fewshot_docs())
    apart = [doc for doc in pool if _content(doc) not in scored]
    if len(apart) < len(pool):
        if len(apart) <= shots:
            raise ObjectivesError(
                f"{len(apart)} documents are left for {shots} few-shot examples",
                where=member.task.config.task,
                fix="lower search_items or validate_items",
            )
        sampler.fewshot_indices = None
        sampler.replace_df(apart)
