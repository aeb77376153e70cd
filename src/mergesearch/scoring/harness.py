"""Tasks, prompts and metrics as lm-eval defines them: the only user of lm_eval.

lm-eval's objects, documents and prompts are made once. For each candidate only the requests are
run; answers go through the task's own filters, `process_results` and aggregation.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean, stderr_for_metric
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask, Task
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED

from mergesearch.errors import ObjectivesError, ScoringError
from mergesearch.objective import Objectives, TaskUse, split_items
from mergesearch.scoring.aggregate import BOOTSTRAP_DRAWS
from mergesearch.scoring.engine import Engine
from mergesearch.scoring.requests import Outcome, Prepared, generation_options
from mergesearch.scoring.task_files import local_rows, read_tasks
from mergesearch.scoring.template import ChatTemplate

# -- the model that lm-eval sees -----------------------------------------------------------------


class CandidateLM(LM):  # type: ignore[misc]
    """lm-eval's view of a loaded candidate; also runs in `lm_eval.simple_evaluate`.

    Requests are cut into chunks by (task, document), in the order given, so that the same requests
    give the same values to the bit, whoever asks.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def prepare(self, requests: Sequence[Instance]) -> Prepared:
        """Cut requests of one type into chunks for the engine."""
        return Prepared(requests, self.engine, self.engine.runtime.chunk_items)

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Return (log-probability, is greedy) of each continuation."""
        return [one.value for one in self._run(requests)]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Return the log-probability of each whole text."""
        return [one.value[0] for one in self._run(requests)]

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Return the greedy answer to each prompt."""
        return [one.value for one in self._run(requests)]

    def _run(self, requests: Sequence[Instance]) -> list[Outcome]:
        prepared = self.prepare(requests)
        self.engine.run(prepared.jobs, prepared.take)
        for outcome, request in zip(prepared.outcomes, requests, strict=True):
            if outcome.failure is not None:
                raise ScoringError(
                    outcome.failure, where=f"{request.task_name}, item {request.doc_id}"
                )
        return prepared.outcomes

    @property
    def template(self) -> ChatTemplate:
        """The candidate's chat template.

        Raises:
            ScoringError: the GGUF has none.
        """
        text = self.engine.chat_template
        if text is None:
            raise ScoringError(
                "the model has no chat template",
                fix="set apply_chat_template: false in the objectives file",
            )
        return ChatTemplate(text, self._name(self.engine.bos), self._name(self.engine.eos))

    def _name(self, token: int | None) -> str:
        return "" if token is None else self.engine.piece(token, special=True).decode()

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Return the prompt for a conversation."""
        return self.template.render(chat_history, add_generation_prompt=add_generation_prompt)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Return the template's text."""
        return self.engine.chat_template if chat_template else None

    @property
    def tokenizer_name(self) -> str:
        """Name for lm-eval's request cache, which is not used."""
        return "gguf"


# -- tasks ---------------------------------------------------------------------------------------


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
    chosen: dict[str, list[int]] = field(default_factory=dict)

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


def load_tasks(objectives: Objectives) -> list[LoadedTask]:
    """Load all tasks of an objectives file and divide their items.

    Raises:
        ObjectivesError: unknown task or metric, data that are not here, fewer items than asked for.
    """
    _be_quiet()
    own = {} if objectives.task_folder is None else read_tasks(objectives.task_folder)
    loaded = [_load(use, own, objectives) for use in objectives.tasks()]
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


def _quietly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with what it prints thrown away."""

    def quiet(*arguments: Any) -> Any:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return function(*arguments)

    return quiet


def _load(use: TaskUse, own: Mapping[str, Mapping[str, Any]], objectives: Objectives) -> LoadedTask:
    # Some tasks shuffle their documents with the global generators when they are loaded.
    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)
    if use.task in own:
        tasks, by_size = [_own_task(own[use.task])], True
    else:
        tasks, by_size = _installed_tasks(use.task, own)
    members: list[Member] = []
    for task in tasks:
        offset = members[-1].offset + len(members[-1].docs) if members else 0
        members.append(Member(task, _documents(task), offset))
        _check_task(use, task)
    loaded = LoadedTask(use.task, members, by_size)
    _divide(loaded, use, objectives.split_seed)
    return loaded


def _own_task(config: Mapping[str, Any]) -> Task:
    name = config["task"]
    rows = local_rows(config)
    config = dict(config)
    if rows is not None:  # straight from the file, without a copy in a cache
        splits = {split: datasets.Dataset.from_list(some) for split, some in rows.items()}
        config.pop("dataset_path")
        config.pop("dataset_kwargs")
        config["custom_dataset"] = lambda **_: splits
    try:
        return ConfigurableTask(config=config)
    except ObjectivesError:
        raise
    except Exception as error:
        raise _unloadable(name, error) from error


def _installed_tasks(name: str, own: Mapping[str, Any]) -> tuple[list[Task], bool]:
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
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
    return ObjectivesError(f"lm-eval cannot load this task ({reason})", where=name)


def _check_task(use: TaskUse, task: Task) -> None:
    if getattr(task, "UNSAFE_CODE", False):
        raise ObjectivesError("the task runs code that the model writes", where=use.task)
    if getattr(task, "MULTIMODAL", False):
        raise ObjectivesError("the task needs images or sound", where=use.task)
    if task.OUTPUT_TYPE == "generate_until":
        try:
            generation_options(task.config.generation_kwargs or {})
        except ScoringError as error:
            raise ObjectivesError(
                error.what, where=use.task, expected=error.expected, fix=error.fix
            ) from error
    shots = task.get_config("num_fewshot") if use.num_fewshot is None else use.num_fewshot
    task.set_config(key="num_fewshot", value=shots or 0)


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
        for rung, items in (("search", search), ("validate", validate)):
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


# -- prompts -------------------------------------------------------------------------------------


@dataclass
class Item:
    """A document to score, with its requests and, per candidate, their responses."""

    member: Member
    index: int
    requests: list[Instance]
    failure: str | None = None


def build_items(
    loaded: LoadedTask, rung: str, objectives: Objectives, template: ChatTemplate | None
) -> list[Item]:
    """Make the requests of a task's items on a rung, in the order that lm-eval makes them.

    Raises:
        ScoringError: the chat template fails.
    """
    return [
        Item(member, index, _requests(member, index, objectives, template))
        for member in loaded.members
        for index in _seeded(member, rung)
    ]


def _seeded(member: Member, rung: str) -> Iterator[int]:
    member.task.set_fewshot_seed(seed=DEFAULT_OTHER_SEED)
    yield from member.chosen[rung]


def _requests(
    member: Member, index: int, objectives: Objectives, template: ChatTemplate | None
) -> list[Instance]:
    """As `Task.build_all_requests` does for one document (lm_eval/api/task.py)."""
    task, doc = member.task, member.docs[index]
    render = None if template is None else template.render
    context = task.fewshot_context(
        doc,
        num_fewshot=task.config.num_fewshot or 0,
        system_instruction=objectives.system_instruction,
        apply_chat_template=template is not None,
        fewshot_as_multiturn=template is not None,
        chat_template=render,
        gen_prefix=task.doc_to_prefix(doc),
    )
    made = task.construct_requests(
        doc=doc,
        ctx=context,
        metadata=(task.config["task"], index, task.config.repeats),
        apply_chat_template=template is not None,
        chat_template=render,
    )
    return sorted(made if isinstance(made, list) else [made], key=lambda one: one.idx)


def apply_filters(member: Member, items: Sequence[Item]) -> None:
    """Run the task's filters over all responses; an item that makes them fail is unscored."""
    together = [one for item in items for one in item.requests]
    if not together:
        return
    try:
        _filter(member, together)
    except Exception:  # find out whose response it was
        for item in items:
            try:
                _filter(member, item.requests)
            except Exception as error:
                item.failure = f"filter: {type(error).__name__}: {error}"


def _filter(member: Member, requests: list[Instance]) -> None:
    for request in requests:
        request.filtered_resps = {}
    for one in member.task._filters:
        one.apply(requests)


def process_item(item: Item) -> dict[tuple[str, str], Any]:
    """Return what the task's metrics give for an item, by (metric, filter)."""
    found: dict[tuple[str, str], Any] = {}
    for name in item.member.filters:
        responses = [one.filtered_resps[name] for one in item.requests]
        results = item.member.task.process_results(item.requests[0].doc, responses)
        found.update({(metric, name): value for metric, value in results.items()})
    return found
