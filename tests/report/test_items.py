"""What one trial got right that another got wrong."""

from typing import Any

from mergesearch.objectives import ItemResult
from mergesearch.report import gains, render_gains

DOCUMENT: dict[str, Any] = {
    "objectives": {
        "instruction": {"direction": "maximize", "tasks": [{"task": "words", "metric": "exact"}]},
        "text": {"direction": "minimize", "tasks": [{"task": "prose", "metric": "bits"}]},
    }
}
ONE = (
    ItemResult("words", 0, {"exact": 1.0, "loose": 0.0}, text="sun, moon\nand stars"),
    ItemResult("words", 1, {"exact": 0.0, "loose": 1.0}, text="no"),
    ItemResult("words", 2, {"exact": 1.0, "loose": 1.0}, text="both"),
    ItemResult("words", 3, {}, "too long"),
    ItemResult("prose", 0, {"bits": 1.25}),
)
OTHER = (
    ItemResult("words", 0, {"exact": 0.0, "loose": 1.0}, text=" "),
    ItemResult("words", 1, {"exact": 1.0, "loose": 1.0}, text="yes"),
    ItemResult("words", 2, {"exact": 1.0, "loose": 0.0}, text="both"),
    ItemResult("words", 3, {"exact": 0.0, "loose": 0.0}, text="?"),
    ItemResult("prose", 0, {"bits": 1.5}),
)


def test_only_metrics_that_objectives_use_decide_in_their_direction() -> None:
    won = [(gain.better.task, gain.better.item) for gain in gains(DOCUMENT, ONE, OTHER)]
    lost = [(gain.better.task, gain.better.item) for gain in gains(DOCUMENT, OTHER, ONE)]
    assert won == [("words", 0), ("prose", 0)]
    assert lost == [("words", 1)]


def test_gains_are_shown_with_both_texts() -> None:
    assert render_gains(17, 3, gains(DOCUMENT, ONE, OTHER), 1, "search") == (
        "trial 17 is better than trial 3 on 2 items of the search items, worse on 1\n"
        "\n"
        "words, item 0: exact 1 against 0\n"
        "  17: sun, moon\n"
        "      and stars\n"
        "  3: (no text)\n"
        "\n"
        "prose, item 0: bits 1.25 against 1.5"
    )
