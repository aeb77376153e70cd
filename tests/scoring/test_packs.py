"""The bundled objectives run through the tasks' own document and metric functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import pack_rows

from mergesearch._system import resources
from mergesearch.errors import ObjectivesError
from mergesearch.objectives import Objectives, Runtime
from mergesearch.scoring.answers import Generated, GenRequest
from mergesearch.scoring.chunks import Likelihood
from mergesearch.scoring.scorer import Scorer

PACKS = ("leaderboard", "balance", "balance_long", "quick")


class Oracle:
    """In the engine's place: answers what it is told to, choosing among choices likewise."""

    n_ctx = 100_000
    bos = None
    eos = 0
    chat_template = None

    def __init__(self, answer: Callable[[str], str], likes: Callable[[str, str], bool]) -> None:
        self.runtime = Runtime()
        self._answer = answer
        self._likes = likes

    def tokenize(self, text: str, *, add_special: bool = True) -> tuple[int, ...]:
        return tuple(text.encode())

    def check_memory(self, jobs: Sequence[Any]) -> None:
        pass

    def run(self, jobs: Sequence[Any], on_done: Callable[[int, list[Any], float], None]) -> None:
        for index, job in enumerate(jobs):
            on_done(index, [self._one(request) for request in job.requests], 0.1)

    def _one(self, request: Any) -> Generated | Likelihood:
        if isinstance(request, GenRequest):
            text = self._answer(bytes(request.tokens).decode())
            return Generated(text, tuple(text.encode()), "end")
        context, continuation = (bytes(part).decode() for part in request)
        return Likelihood(-1.0 if self._likes(context, continuation.strip()) else -90.0, False)


def _right_answer(prompt: str) -> str:
    if "without any commas" in prompt:
        return "tea " * 5
    if "locker" in prompt:
        keeper = prompt.rsplit("What is the number on ", 1)[1].split("'s locker")[0]
        return prompt.split(f"The number on {keeper}'s locker is ")[1].split(".")[0]
    sum_of = prompt.rsplit("What is $", 1)[1].split("$")[0].split(" + ")
    return f"Final Answer: The final answer is ${2 * int(sum_of[0])}$. I hope it is correct."


def _is_right(context: str, choice: str) -> bool:
    if "squared" in context:
        return choice == "A"
    if "Which particle" in context:
        last = context.rsplit("What is the correct answer", 1)[1]
        line = next(line for line in last.splitlines() if "right" in line)
        return line.startswith(choice)
    if "o'clock" in context:
        hour = int(context.split(" o'clock")[0].rsplit(" ", 1)[1])
        return choice == ("Ann", "Bob")[hour % 2]
    subtask, _, number = context.rsplit("Q: ", 1)[1].split("\n")[0].partition(" question ")
    return choice == pack_rows.bbh(subtask)[int(number)]["target"]


@pytest.fixture(scope="module")
def local_data(prepared):
    """lm-eval's data sets, replaced by made-up rows of the same schema.

    Of its index only the leaderboard's part is read: the whole takes seconds.
    """
    import datasets
    import lm_eval.tasks

    from mergesearch.scoring.harness import loading

    def load(path: str, name: str | None = None, **_: Any) -> Any:
        found = pack_rows.splits(path, name)
        return datasets.DatasetDict(
            {split: datasets.Dataset.from_list(rows) for split, rows in found.items()}
        )

    folder = Path(lm_eval.tasks.__file__).parent / "leaderboard"
    manager = loading.installed_tasks(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load_dataset", load)
        patch.setattr(loading, "installed_tasks", lambda: manager)
        yield


def _pack(name: str) -> Objectives:
    path = resources.objectives_file(name)
    return Objectives.from_yaml(path.read_text(encoding="utf-8"), path.parent)


def _small(objectives: Objectives) -> Objectives:
    """The same tasks and metrics on the few rows that there are, without a chat template."""
    small = tuple(
        replace(
            objective,
            uses=tuple(replace(use, search_items=2, validate_items=2) for use in objective.uses),
        )
        for objective in objectives.objectives
    )
    return replace(objectives, objectives=small, apply_chat_template=False)


@pytest.fixture(scope="module", params=PACKS)
def scorer(request, local_data):
    return request.param, Scorer(_small(_pack(request.param)))


def test_right_answers_reach_the_top_of_every_objective(scorer):
    name, one = scorer
    results = one.score(Oracle(_right_answer, _is_right), "search")
    objectives = _small(_pack(name))
    assert all(result.n_unscored == 0 for result in results.values())
    for score in objectives.scores(results).values():
        assert score.value == pytest.approx(1.0, abs=1e-5)
        assert score.stderr == pytest.approx(0.0)


def test_wrong_answers_lie_below_chance(scorer):
    name, one = scorer
    oracle = Oracle(lambda prompt: "no, no", lambda *pair: not _is_right(*pair))
    scores = _small(_pack(name)).scores(one.score(oracle, "validate"))
    assert scores["instruction"].value == 0.0
    assert scores["reasoning"].value < 0.0  # below guessing, but for MATH


def test_leaderboard_counts_each_of_its_five_reasoning_tasks_alike():
    reasoning = _pack("leaderboard").objectives[1]
    weights: dict[str, float] = {}
    for use in reasoning.uses:
        part = use.task.removeprefix("leaderboard_").split("_")[0]
        weights[part] = weights.get(part, 0.0) + use.weight
    assert weights == pytest.approx(
        dict.fromkeys(("bbh", "musr", "math", "gpqa", "mmlu"), 1.0), 1e-5
    )


def test_chance_is_one_over_the_number_of_choices(scorer):
    name, one = scorer
    chances = {u.task: u.chance for o in _pack(name).objectives for u in o.uses}
    for task in one.questionnaire.tasks.values():
        member = task.members[0]
        if member.task.OUTPUT_TYPE != "multiple_choice" or "musr" in task.name:
            continue  # each kind of MuSR has its own number; the made-up rows have one
        choices = len(member.task.doc_to_choice(member.docs[0]))
        assert chances[task.name] == pytest.approx(1 / choices, abs=1e-6)


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_needs_no_written_reference(name):
    assert [objective.reference for objective in _pack(name).objectives] == [0.0] * len(
        _pack(name).objectives
    )


def test_ifeval_without_nltk_s_data_is_refused_before_the_night(local_data, monkeypatch):
    import nltk

    rows = [
        row | {"instruction_id_list": ["length_constraints:number_sentences"], "kwargs": [{}]}
        for row in pack_rows.IFEVAL
    ]
    monkeypatch.setattr(pack_rows, "IFEVAL", rows)

    def find(name):
        raise LookupError(name)

    Scorer(replace(_small(_pack("quick")), max_unscored=1.0))
    monkeypatch.setattr(nltk.data, "find", find)
    with pytest.raises(ObjectivesError, match="2 of 2 items need nltk's sentence splitter"):
        Scorer(_small(_pack("quick")))
