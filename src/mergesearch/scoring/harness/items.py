"""From documents to requests, and from responses to what the task's metrics give for an item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.defaults import DEFAULT_OTHER_SEED

from mergesearch.objectives import Objectives, Rung
from mergesearch.scoring.harness.tasks import LoadedTask, Member
from mergesearch.scoring.template import ChatTemplate


@dataclass
class Item:
    """A document to score, with its requests and, per candidate, their responses."""

    member: Member
    index: int
    requests: list[Instance]
    failure: str | None = None


def build_items(
    loaded: LoadedTask, rung: Rung, objectives: Objectives, template: ChatTemplate | None
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


def _seeded(member: Member, rung: Rung) -> Iterator[int]:
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
