"""What the report's page is made of, and how it is written."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from helpers.pages import EVERY, HOSTILE, OBJECTIVES, items, page, page_of_three, sheet
from helpers.records import RUN, TRIALS, trial

from mergesearch.objectives import Rung, Score
from mergesearch.report.page.facts import page_of
from mergesearch.report.page.html import render_page
from mergesearch.report.page.items import ItemSheet, uses_of
from mergesearch.study.confirming import ConfirmedMember
from mergesearch.study.front import Front


def test_the_trials_say_what_they_are() -> None:
    made = page()
    found = {trial.number: trial for trial in made.trials}
    front = Front.of(RUN.axes, EVERY)
    assert [trial.number for trial in made.trials if trial.member] == [0, 1, 2, 5]
    assert [trial.number for trial in made.trials if trial.knee] == [front.knee]
    assert {trial.number: trial.parent for trial in made.trials if trial.parent} == {5: "instruct"}
    assert found[3].state == "failed"
    assert found[3].note.startswith("trial 3: killed by SIGSEGV")
    assert found[0].scores["validate"] == ((0.6883, 0.0437), (0.31, 0.0451))
    assert found[0].ratio == "75.4 % instruct, 24.6 % reason"
    assert (found[2].build, found[2].score) == (0.41, 3.2)


def test_a_space_names_the_trials_by_hand() -> None:
    from helpers.study_fakes import SPACE

    from mergesearch.space import Space

    start = Space.from_yaml(SPACE).starts()[-1]
    other = start | {"demo:reason.weight": 0.7}
    trials = [trial(0, 0.5, 0.5, parameters=start), trial(1, 0.4, 0.6, parameters=other)]
    made = page_of(
        replace(RUN, space=SPACE), trials, Front.of(RUN.axes, trials), ItemSheet((), {}), {}
    )
    assert [trial.hand for trial in made.trials] == [True, False]


def test_weights_over_depth_are_those_of_the_recipe() -> None:
    instruct, reason = page().trials[0].depth
    assert instruct == ((1.0,) * 24, (1.0,) * 24)  # the only input of a linear merge
    assert reason == ((0.0,) * 24, (0.0,) * 24)


def test_the_hypervolume_grows_to_the_fronts() -> None:
    made = page()
    volumes = [step.hypervolume for step in made.growth]
    assert volumes == sorted(volumes)
    assert volumes[-1] == Front.of(RUN.axes, EVERY).hypervolume
    tokens = sum(item.tokens_in + item.tokens_out for item in items(0))
    assert [step.tokens for step in made.growth] == [tokens * n for n in (1, 2, 3, 3, 4, 5)]
    assert [step.seconds for step in made.growth] == [4.0 * n for n in range(1, 7)]


def test_items_are_columns_and_answers_are_kept_once() -> None:
    found = sheet().pages()["search"]
    assert found.numbers["words"] == (7, *range(10, 20))
    assert found.values[1][0] == (None, 1, 1, 0, 1, 1, 0, 1, 1, 0, 0)
    assert found.answers[1]["words"][0] is None
    assert set(found.answers) == {0, 1, 5}
    assert "choice" not in found.answers[1]
    (yes,) = set(found.answers[5]["prose"])
    assert sheet().strings[yes] == "yes"
    assert len(sheet().differing()["words"]) == 8


def test_factors_are_those_of_the_paired_difference() -> None:
    factors = [use.factor for use in uses_of(OBJECTIVES)]
    assert factors == pytest.approx([1.0, 0.75 / 0.75, 0.25])


def test_a_large_run_keeps_the_items_of_those_that_are_read() -> None:
    made = ItemSheet(uses_of(OBJECTIVES), {1: None})
    made._n_values = 600_000
    made.add(1, Rung.SEARCH, items(1))
    made.add(2, Rung.SEARCH, items(2))
    assert set(made.pages()["search"].values) == {1}
    assert made.tokens[2] > 0


def test_the_page_carries_its_data_and_no_markup_of_others() -> None:
    text = render_page(page())
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert data is not None
    document = json.loads(data[1])
    assert document["questions"]["words"]["10"]["question"] == HOSTILE.replace("\u202e", "\\u202e")
    assert text.count("<script") == 2
    assert "onerror=alert(1)>" not in text
    assert "http" not in re.sub(r"http-equiv|http://www.w3.org/2000/svg", "", text)
    assert len(text) < 100_000


def test_a_run_without_a_trial_has_a_page() -> None:
    assert "0 trials" in render_page(
        page_of(RUN, [], Front.of(RUN.axes, []), ItemSheet((), {}), {})
    )


def test_pauses_of_a_run_are_not_its_work() -> None:
    made = page_of(RUN, TRIALS, Front.of(RUN.axes, TRIALS), ItemSheet((), {}), {})
    assert [trial.before for trial in made.trials] == [0.0] * 5


def test_of_a_confirmed_front_members_have_what_it_tells() -> None:
    front = Front.of(RUN.axes, TRIALS)
    score = Score(0.65, 0.03, 300, 0)
    told = ConfirmedMember(0, {"instruction": score, "reasoning": score}, 0.9, (1,))
    members = (replace(front.members[0], confirmed=told), *front.members[1:])
    front = replace(front, members=members, search=front, dropped=(2,))
    made = page_of(RUN, TRIALS, front, ItemSheet((), {}), {})
    assert made.trials[0].scores["confirmed"] == ((0.65, 0.03), (0.65, 0.03))
    assert "confirmed" not in made.trials[1].scores
    assert made.notes[1] == "fell off the front on the validate items: 2"


def test_a_sweep_goes_from_one_parent_to_the_other_and_importances_are_those_that_are_known() -> (
    None
):
    made = page_of_three()
    assert made.sweep == (made.trials[0].scores["search"], made.trials[1].scores["search"])
    assert made.importances == {"instruction": {"a.weight": 0.7, "b.weight": 0.3}}
