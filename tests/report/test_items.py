"""What one trial got right that another got wrong, and the other way round."""

from __future__ import annotations

from pathlib import Path

from mergesearch.objectives import ItemResult, Objectives
from mergesearch.report.items import cut_note, filter_notes, flips, item_notes, render_flips
from mergesearch.scoring.texts import ItemText

OBJECTIVES = Objectives.from_yaml(
    "objectives:\n"
    "  instruction: {tasks: [{task: words, metric: exact}]}\n"
    "  text: {direction: minimize, reference: 2, tasks: [{task: prose, metric: bits}]}\n",
    Path(),
)
FIRST = (
    ItemResult("words", 0, {"exact": 1.0, "loose": 0.0}, text="sun, moon\nand stars"),
    ItemResult("words", 1, {"exact": 0.0, "loose": 1.0}, text="no"),
    ItemResult("words", 2, {"exact": 1.0, "loose": 1.0}, text="both"),
    ItemResult("words", 3, {}, "too long"),
    ItemResult("prose", 0, {"bits": 1.25}),
)
SECOND = (
    ItemResult("words", 0, {"exact": 0.0, "loose": 1.0}, text=" "),
    ItemResult("words", 1, {"exact": 1.0, "loose": 1.0}, text="yes"),
    ItemResult("words", 2, {"exact": 1.0, "loose": 0.0}, text="both"),
    ItemResult("words", 3, {"exact": 0.0, "loose": 0.0}, text="?"),
    ItemResult("prose", 0, {"bits": 1.5}),
)
NAMES = ("trial 17", "trial 3")


def test_only_metrics_that_objectives_use_decide_in_their_direction() -> None:
    found = flips(OBJECTIVES, FIRST, SECOND)
    assert [(flip.key, flip.better) for flip in found] == [
        (("words", 0), True),
        (("words", 1), False),
        (("prose", 0), True),
    ]
    assert [flip.better for flip in flips(OBJECTIVES, SECOND, FIRST)] == [False, True, False]


def test_both_directions_are_shown_with_question_choices_and_both_answers() -> None:
    texts = {
        "words": {0: ItemText("Name three.\nIn small letters.", (), "sun, moon and stars")},
        "prose": {0: ItemText("", ("a", "b"), "b")},
    }
    found = flips(OBJECTIVES, FIRST, SECOND)
    assert render_flips(NAMES, found, "search", texts=texts) == (
        "trial 17 against trial 3, on the search items: better on 2, worse on 1\n"
        "\n"
        "better 1 of 2: words, item 0, exact 1 against 0\n"
        "  question  Name three.\n"
        "            In small letters.\n"
        "  expected  sun, moon and stars\n"
        "  trial 17  sun, moon\n"
        "            and stars\n"
        "  trial 3   (no text)\n"
        "\n"
        "better 2 of 2: prose, item 0, bits 1.25 against 1.5\n"
        "  question  \n"
        "  choices   a / b\n"
        "  expected  b\n"
        "\n"
        "worse 1 of 1: words, item 1, exact 0 against 1\n"
        "  trial 17  no\n"
        "  trial 3   yes"
    )


def test_long_lines_are_broken_between_words_under_each_other() -> None:
    texts = {"words": {1: ItemText("word " * 12, (), "x")}}
    found = [flip for flip in flips(OBJECTIVES, FIRST, SECOND) if not flip.better]
    lines = render_flips(NAMES, found, "search", texts=texts, width=60).splitlines()
    assert lines[3] == "  question  word word word word word word word word word"
    assert lines[4] == "            word word word"


def test_a_limit_says_how_many_are_left() -> None:
    found = flips(OBJECTIVES, FIRST, SECOND)
    lines = render_flips(NAMES, found, "search", limit=1).splitlines()
    assert "1 more item better: raise --limit" in lines
    assert not any("prose" in line for line in lines)


def test_prompts_that_were_cut_are_counted() -> None:
    assert cut_note(FIRST) is None
    assert (cut_note([*FIRST, ItemResult("words", 4, {}, cut=3)]) or "").startswith(
        "warning: 1 of 6 prompts were longer than the context"
    )


def test_a_filter_that_finds_no_answers_is_named() -> None:
    """As the strict one of gsm8k where a model does not end with ####."""
    strict, flexible = "exact_match,strict-match", "exact_match,flexible-extract"
    items = [
        ItemResult("gsm8k", number, {strict: float(number == 0), flexible: float(number < 25)})
        for number in range(50)
    ]
    assert filter_notes(items) == [
        "warning: gsm8k: exact_match is 2 % through strict-match and 50 % through flexible-extract:"
        " right answers, but not in the form that strict-match looks for"
    ]
    assert item_notes(items) == filter_notes(items)
    assert filter_notes(items[25:]) == []
    assert filter_notes(FIRST) == []
