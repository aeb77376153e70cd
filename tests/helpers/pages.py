"""A report's page of the records in `helpers.records`, with items whose texts are hostile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helpers.records import AXES, RECIPE, RUN, TRIALS, measurement, trial
from mergesearch.objectives import ItemResult, Objectives, Rung, Score
from mergesearch.report.page.facts import page_of
from mergesearch.report.page.items import ItemSheet, uses_of
from mergesearch.report.page.model import Page
from mergesearch.scoring.texts import ItemText
from mergesearch.study.front import Front
from mergesearch.study.records import Axis

HOSTILE = (
    "</script><script>document.title = 'stolen'</script><img src=x onerror=alert(1)>\u202e&amp;"
)
OBJECTIVES = Objectives.from_yaml(
    "objectives:\n"
    "  instruction: {reference: 0, tasks: [{task: words, metric: exact}]}\n"
    "  reasoning:\n"
    "    reference: 0.25\n"
    "    tasks:\n"
    "      - {task: choice, metric: acc, weight: 3, chance: 0.25}\n"
    "      - {task: prose, metric: exact}\n",
    Path(),
)
ALONE = trial(
    5, 0.75, 0.15, shares={"demo:instruct": 1.0, "demo:reason": 0.0}, parameters={"weight": 1.5}
)
EVERY = (*TRIALS, ALONE)


def items(number: int) -> list[ItemResult]:
    """Ten items a task; which ones are solved depends on the trial, one is unscored."""
    found = [ItemResult("words", 7, {}, "too long", tokens_in=5, tokens_out=1)]
    for index in range(10):
        right = float((index * 7 + number * 3) % 10 < 5 + number % 3)
        answer = f"{HOSTILE} {number} {index}"
        found.append(ItemResult("words", 10 + index, {"exact": right}, None, 5, 3, text=answer))
        found.append(ItemResult("choice", index, {"acc": right, "other": 9.0}, None, 4, 0))
        found.append(ItemResult("prose", 2 * index, {"exact": 1 - right}, None, 2, 2, text="yes"))
    return found


def sheet() -> ItemSheet:
    made = ItemSheet(uses_of(OBJECTIVES), {1: None, 0: None, 5: None})
    for number in (1, 0, 5, 2, 4):
        made.add(number, Rung.SEARCH, items(number))
    return made


def page_of_three() -> Page:
    """The page of a run with three objectives, a sweep and importances."""
    axes = (*AXES, Axis("words", "minimize", 9.0, percent=False))
    trials = []
    for record in EVERY:
        scores = record.scores() and {**record.scores(), "words": Score(record.number + 2, 1, 9, 0)}
        found = {"search": measurement(scores)} if scores else {}
        trials.append(replace(record, rungs=found))
    front = Front.of(axes, trials)
    shares = {"instruction": {"a.weight": 0.7, "b.weight": 0.3}, "words": {}}
    run = replace(RUN, axes=axes)
    return page_of(run, trials, front, ItemSheet((), {}), {}, swept=trials[:2], importances=shares)


def page() -> Page:
    texts = {
        "words": {10: ItemText(HOSTILE, (), HOSTILE)},
        "choice": {0: ItemText("", ("a",), "a")},
    }
    run = replace(RUN, name=f"night {HOSTILE}", axes=AXES)
    hostile = {**RECIPE, "name": HOSTILE}
    trials = [replace(trial, recipe=hostile) if trial.number == 1 else trial for trial in EVERY]
    return page_of(
        run, trials, Front.of(AXES, trials), sheet(), texts, [("state", "finished")], ["A note."]
    )
