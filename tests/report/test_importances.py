"""The table of importances, as literal text."""

from helpers.records import shown

from mergesearch.report.importances import constant_notes, render_importances


def test_dimensions_are_sorted_by_what_they_decide() -> None:
    found = {"instruction": {"a": 0.7, "b": 0.1}, "reasoning": {"b": 0.9, "a": 0.02}}
    assert shown(render_importances(found), 60) == (
        "decides, in %  instruction  reasoning\n"
        "─────────────────────────────────────\n"
        "b                       10         90\n"
        "a                       70          2"
    )


def test_what_is_not_known_is_said() -> None:
    assert shown(render_importances({"instruction": {}}), 80) == (
        "importances need 10 complete trials, and objectives that change"
    )
    many = {f"d{index:02d}": (20 - index) / 400 for index in range(15)}
    text = shown(render_importances({"instruction": many, "reasoning": {}}), 120)
    assert "3 others decide less" in text
    assert "reasoning" not in text


def test_an_objective_that_never_changes_is_named() -> None:
    assert constant_notes(["reasoning"]) == [
        "warning: reasoning is the same for all trials, so it decides nothing; look at its task"
        " with search show --against"
    ]
