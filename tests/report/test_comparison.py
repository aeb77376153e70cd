"""Two candidates compared, as literal text."""

from __future__ import annotations

from dataclasses import replace

from helpers.records import AXES as SHARES
from helpers.records import shown

from mergesearch.objectives import PairedDifference, TaskDifference
from mergesearch.report.comparison import render_comparison
from mergesearch.study.records import Axis

AXES = (*SHARES, Axis("words", "minimize", 9.0, percent=False))
DIFFERENCES = {
    "instruction": PairedDifference(
        "instruction", -0.094, 0.09, (TaskDifference("quiz", -0.094, 0.09, 32, 0, 3, 6),)
    ),
    "reasoning": PairedDifference(
        "reasoning",
        0.25,
        0.08,
        (
            TaskDifference("answer", 0.1, 0.05, 16, 1, 3, 0),
            TaskDifference("choice", 0.15, 0.06, 15, 0, 5, 0),
        ),
    ),
    "words": PairedDifference(
        "words", -2.5, 0.5, (TaskDifference("prose", -2.5, 0.5, 32, 0, 30, 1),)
    ),
}


def test_a_difference_has_its_interval_its_items_and_a_verdict() -> None:
    text = shown(render_comparison("trial 2", "a.gguf", DIFFERENCES, AXES, "search"), 60)
    assert text == (
        "trial 2 minus a.gguf, on the search items\n"
        "                  difference (95 %)   items\n"
        "──────────────────────────────────────────────────────\n"
        "instruction    -9.4 (-27.0 to +8.2)  3/6/23  not clear\n"
        "reasoning     +25.0 (+9.3 to +40.7)  8/0/23  better\n"
        "  answer      +10.0 (+0.2 to +19.8)  3/0/13\n"
        "  choice      +15.0 (+3.2 to +26.8)  5/0/10\n"
        "words        -2.50 (-3.48 to -1.52)  30/1/1  better\n"
        "items: better/worse/equal for trial 2\n"
        "1 item left out: scored for one of them only"
    )


def test_more_of_what_should_be_little_is_worse() -> None:
    words = {"words": DIFFERENCES["words"]}
    axes = [replace(AXES[2], direction="maximize")]
    assert "worse" in shown(render_comparison("a", "b", words, axes, "search"), 80).splitlines()[3]
