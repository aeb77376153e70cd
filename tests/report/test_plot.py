"""The front as a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from helpers.pages import EVERY
from helpers.records import AXES, TRIALS

from mergesearch.errors import InputError
from mergesearch.objectives import Score
from mergesearch.report.plot import front_svg, to_png
from mergesearch.study.confirming import ConfirmedMember
from mergesearch.study.front import Front

SPACE = "{http://www.w3.org/2000/svg}"


def parsed(name: str = "night") -> ElementTree.Element:
    return ElementTree.fromstring(front_svg(Front.of(AXES, EVERY), EVERY, name))


def test_marks_intervals_and_confirmed_places_are_drawn() -> None:
    svg = parsed()
    hollow = [node for node in svg.iter() if node.get("stroke-width") == "2"]
    assert len(hollow) == 2 + 1  # two members, and the legend
    dashed = [node for node in svg.iter(f"{SPACE}line") if node.get("stroke-dasharray")]
    assert len(dashed) == 2
    grey = [node for node in svg.iter(f"{SPACE}line") if node.get("stroke") == "#8c959f"]
    assert len(grey) == 2 * 4  # the parent among the members has one, too
    words = [node.text for node in svg.iter(f"{SPACE}text")]
    assert {"instruction (%)", "reasoning (%)", "knee", "parent", "dominated"} <= set(words)


def test_of_a_confirmed_front_the_interval_is_where_it_is_confirmed() -> None:
    front = Front.of(AXES, TRIALS)
    score = Score(0.65, 0.03, 300, 0)
    told = ConfirmedMember(0, {"instruction": score, "reasoning": score}, 0.9, ())
    front = replace(front, members=(replace(front.members[0], confirmed=told),))
    svg = ElementTree.fromstring(front_svg(front, TRIALS, "x"))
    (hollow, _) = [node for node in svg.iter(f"{SPACE}circle") if node.get("stroke-width") == "2"]
    grey = [node for node in svg.iter(f"{SPACE}line") if node.get("stroke") == "#8c959f"]
    assert {float(node.get(name, 0)) for node in grey[1:] for name in ("x1", "x2")} == {
        float(hollow.get("cx", 0))
    }


def test_a_sweep_is_drawn_beside_the_front() -> None:
    svg = ElementTree.fromstring(front_svg(Front.of(AXES, EVERY), EVERY, "x", TRIALS))
    squares = [node for node in svg.iter(f"{SPACE}rect") if node.get("width") == "10"]
    assert len(squares) == len([trial for trial in TRIALS if trial.scores()]) + 1
    assert "sweep" in [node.text for node in svg.iter(f"{SPACE}text")]


def test_better_is_up_and_to_the_right_whichever_way_is_better() -> None:
    axes = (replace(AXES[0], direction="minimize", reference=1.0), AXES[1])
    svg = ElementTree.fromstring(front_svg(Front.of(axes, TRIALS), TRIALS, "x"))
    ticks = [
        (float(node.get("x", 0)), float(node.text or 0))
        for node in svg.iter(f"{SPACE}text")
        if node.get("text-anchor") == "middle"
    ]
    assert sorted(ticks) == sorted(ticks, key=lambda tick: -tick[1])


def test_names_are_escaped() -> None:
    assert "</svg><script>" in (next(parsed("</svg><script>").iter(f"{SPACE}text")).text or "")


def test_a_png_has_twice_the_size() -> None:
    pytest.importorskip("resvg_py")
    data = to_png(front_svg(Front.of(AXES, EVERY), EVERY, "night"))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(data[start : start + 4]) for start in (16, 20)] == [1800, 1240]


def test_without_a_front_there_is_nothing_to_plot() -> None:
    with pytest.raises(InputError, match="no front yet"):
        front_svg(Front.of(AXES, []), [], "night")
