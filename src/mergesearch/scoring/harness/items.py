"""From documents to requests, and from responses to what the task's metrics give for an item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.defaults import DEFAULT_OTHER_SEED

from mergesearch.objectives import Objectives, Rung
from mergesearch.scoring.harness.tasks import LoadedTask, Member
from mergesearch.scoring.requests import Outcome, Question
from mergesearch.scoring.template import ChatTemplate

RawMetrics = dict[tuple[str, str], Any]
"""What a task's metrics give for an item, by (metric, filter); aggregations take these."""


@dataclass(frozen=True, eq=False)
class Item:
    """A document to score, with lm-eval's requests for it; made once, for all candidates.

    Attributes:
        member: The document's task.
        index: Index of the document in its task.
        requests: Requests with their prompts.
    """

    member: Member
    index: int
    requests: tuple[Instance, ...]

    @property
    def number(self) -> int:
        """Number of the item in the task of the objectives file, which may be a group."""
        return self.member.offset + self.index

    def asking(self, answer: str) -> Item:
        """Return the same document with one request: how likely an answer is after its prompt."""
        (first, *_) = self.requests
        request = Instance(
            request_type="loglikelihood",
            doc=first.doc,
            arguments=(first.args[0], answer),
            idx=0,
            metadata=(first.task_name, first.doc_id, 1),
        )
        return Item(self.member, self.index, (request,))


class Attempt:
    """One candidate's answers to the requests of an item.

    Attributes:
        item: The item.
        questions: Requests of the item with their outcomes.
        failure: Reason why the item is unscored, None where it is not.
    """

    def __init__(self, item: Item) -> None:
        self.item = item
        self.questions = [Question.of(request) for request in item.requests]
        self.failure: str | None = None

    @property
    def outcomes(self) -> list[Outcome]:
        """Answers to all requests, in order."""
        return [outcome for question in self.questions for outcome in question.outcomes]

    @property
    def done(self) -> bool:
        """Whether every request has its answers."""
        return all(outcome.done for outcome in self.outcomes)


def build_items(
    loaded: LoadedTask, rung: Rung, objectives: Objectives, template: ChatTemplate | None
) -> list[Item]:
    """Make the requests of a task's items on a rung, in the order that lm-eval makes them.

    All items of a rung are made together: few-shot examples are drawn one item after the other.

    Raises:
        ScoringError: The chat template fails.
    """
    items: list[Item] = []
    for member in loaded.members:
        member.task.set_fewshot_seed(seed=DEFAULT_OTHER_SEED)
        items += [
            Item(member, index, _requests(member, index, objectives, template))
            for index in loaded.indices(member, rung)
        ]
    return items


def _requests(
    member: Member, index: int, objectives: Objectives, template: ChatTemplate | None
) -> tuple[Instance, ...]:
    """A document's requests, as `Task.build_all_requests` makes them (lm_eval/api/task.py)."""
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
    requests = made if isinstance(made, list) else [made]
    return tuple(sorted(requests, key=lambda request: request.idx))


def raw_metrics(member: Member, attempts: Sequence[Attempt]) -> list[RawMetrics | None]:
    """Run a task's filters and metrics over all answers; None and a reason where they fail."""
    for attempt in attempts:
        failures = (outcome.failure for outcome in attempt.outcomes if outcome.failure is not None)
        attempt.failure = next(failures, None)
        for question in attempt.questions:
            question.request.resps = question.responses()
    _apply_filters(member, [attempt for attempt in attempts if attempt.failure is None])
    return [_process(attempt) for attempt in attempts]


def _apply_filters(member: Member, attempts: Sequence[Attempt]) -> None:
    """Run the filters over all answers at once, as lm-eval does; if they fail, over each item's."""
    together = [request for attempt in attempts for request in attempt.item.requests]
    if not together:
        return
    try:
        _filter(member, together)
    except Exception:  # find out whose response it was
        for attempt in attempts:
            try:
                _filter(member, attempt.item.requests)
            except Exception as error:
                attempt.failure = f"filter: {type(error).__name__}: {error}"


def _filter(member: Member, requests: Sequence[Instance]) -> None:
    for request in requests:
        request.filtered_resps = {}
    for ensemble in member.task._filters:
        ensemble.apply(list(requests))


def _process(attempt: Attempt) -> RawMetrics | None:
    if attempt.failure is not None:
        return None
    requests, member = attempt.item.requests, attempt.item.member
    found: RawMetrics = {}
    try:
        for name in member.filters:
            responses = [request.filtered_resps[name] for request in requests]
            metrics = member.task.process_results(requests[0].doc, responses)
            found.update({(metric, name): value for metric, value in metrics.items()})
    except Exception as error:  # a checker may raise anything
        attempt.failure = f"process_results: {type(error).__name__}: {error}"
        return None
    return found
