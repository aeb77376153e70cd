"""What `search check` prints, as literal text."""

from __future__ import annotations

from dataclasses import replace

from mergesearch.objectives import Rung
from mergesearch.report.check import (
    BuildingReport,
    CheckReport,
    DiskReport,
    ItemsReport,
    MemoryReport,
    ScoringReport,
    SpaceReport,
    render_check,
)
from mergesearch.space import Dimension

MEMORY = MemoryReport(
    parts={"the candidate": 8_990_000_000, "buffers of building": 67_108_864},
    total=9_057_108_864,
    budget=24_000_000_000,
    builds_ahead=False,
)
BUILDING = BuildingReport(
    parents=3,
    layers=48,
    hidden=5120,
    recipes=2,
    parameters=14_770_000_000,
    seconds=103.2,
    memory=MEMORY,
    disk=DiskReport(gguf=8_990_000_000, safetensors=29_540_000_000, free=812_000_000_000),
)
BUILT = CheckReport("space.yaml", "space", building=BUILDING)
SCORED = replace(
    BUILT,
    objectives="balance",
    items=ItemsReport(256, 256, 640),
    scoring=ScoringReport(
        seconds={Rung.PROXY: 400.0, Rung.SEARCH: 900.0, Rung.VALIDATE: 2300.0},
        at_most=True,
        trial_seconds=503.2,
        promoted_trial_seconds=1403.2,
    ),
)
HEAD = """\
space.yaml: a valid space
  parents                 3 fit each other, 48 layers of 5120
  recipes planned         2
  model                   14.8 billion parameters
"""
TAIL = """\
memory, at most
  the candidate                     8.99 GB
  buffers of building               67.1 MB
  together                          9.06 GB
  budget                            24 GB
disk
  a GGUF of the winner    8.99 GB
  its safetensors         29.5 GB
  free here               812 GB"""


def test_a_space_alone() -> None:
    time = "time on this machine\n  building                1 min 43 s\n"
    assert render_check(BUILT) == HEAD + time + TAIL


def test_what_a_space_searches_and_what_proposes() -> None:
    points = [Dimension(f"a.weight[{at}]", 0.0, 1.5, curve="a.weight") for at in range(4)]
    method = Dimension("merge_method", 0.0, 0.0, ("linear", "ties"))
    report = replace(BUILT, space=SpaceReport((method, *points), "noisy-gp"))
    assert render_check(report).splitlines()[2:5] == [
        "  dimensions              5, proposed by noisy-gp",
        "    merge_method: linear or ties",
        "    a.weight: 4 points, 0 to 1.5",
    ]
    document = report.to_dict()
    assert document["sampler"] == "noisy-gp"
    assert document["dimensions"][:2] == [
        {"name": "merge_method", "choices": ["linear", "ties"]},
        {"name": "a.weight[0]", "low": 0.0, "high": 1.5},
    ]


def test_of_many_dimensions_the_first_are_named() -> None:
    many = tuple(Dimension(f"x{number}", 0.0, 1.0) for number in range(30))
    lines = render_check(replace(BUILT, space=SpaceReport(many, "sobol"))).splitlines()
    assert lines[26:28] == ["    x23: 0 to 1", "    and 6 others; --json lists all"]


def test_a_space_with_proxies() -> None:
    middle = """\
balance: all tasks load
  items                   256 in the search
                          640 others to confirm the front
time on this machine
  building                1 min 43 s
  scoring, proxy          at most 6 min 40 s
  scoring, search         at most 15 min 00 s
  scoring, validate       at most 38 min 20 s
  a trial                 at most 8 min 23 s
  a promoted trial        at most 23 min 23 s
  trials in an hour       at least 7.2, without promoted ones
  trials in 8 hours       at least 57, without promoted ones
"""
    assert render_check(SCORED) == HEAD + middle + TAIL


def test_notes_on_scoring_stand_under_the_items() -> None:
    note = "quiz: 3 of 256 prompts are longer than the context and lose their beginning (search)"
    assert isinstance(SCORED.scoring, ScoringReport)
    noted = replace(SCORED, scoring=replace(SCORED.scoring, notes=(note,)))
    lines = render_check(noted).splitlines()
    at = lines.index("note: quiz: 3 of 256 prompts are longer than the context and lose their")
    assert lines[at - 1].endswith("640 others to confirm the front")
    assert lines[at + 1] == "      beginning (search)"
    assert noted.to_dict()["scoring_notes"] == [note]


def test_scoring_that_cannot_be_told() -> None:
    reason = "with a template no layers can be left"
    text = render_check(replace(SCORED, objectives="demo", scoring=reason))
    assert "  scoring                 unknown: with a template no layers can be left\n" in text
    assert "trials" not in text


def test_candidates_that_are_built_ahead() -> None:
    memory = replace(MEMORY, builds_ahead=True, budget=None)
    report = replace(BUILT, building=replace(BUILDING, memory=memory))
    lines = render_check(report).splitlines()
    assert "  budget                            unknown" in lines
    assert "  the next candidate is built while one is scored" in lines


def test_objectives_alone() -> None:
    assert render_check(CheckReport("o.yaml", "objectives", items=ItemsReport(80, 8, 9))) == (
        "o.yaml: all tasks load\n"
        "  items                   80 in the search, at most 8 a trial\n"
        "                          9 others to confirm the front"
    )


def test_a_report_as_json_is_one_flat_mapping() -> None:
    assert SCORED.to_dict() == {
        "file": "space.yaml",
        "objectives": "balance",
        "kind": "space",
        "parents": 3,
        "layers": 48,
        "hidden": 5120,
        "recipes_planned": 2,
        "parameters": 14_770_000_000,
        "build_seconds": 103.2,
        "memory": {
            "parts": {"the candidate": 8_990_000_000, "buffers of building": 67_108_864},
            "total": 9_057_108_864,
            "budget": 24_000_000_000,
            "builds_ahead": False,
        },
        "disk": {"gguf": 8_990_000_000, "safetensors": 29_540_000_000, "free": 812_000_000_000},
        "notes": (),
        "items_of_the_search": 256,
        "items_of_a_trial": 256,
        "items_of_validation": 640,
        "scoring_seconds": {"proxy": 400.0, "search": 900.0, "validate": 2300.0},
        "scoring_at_most": True,
        "trial_seconds": 503.2,
        "promoted_trial_seconds": 1403.2,
        "trials_per_hour": 3600 / 503.2,
        "trials_in_8_hours": 8 * 3600 / 503.2,
        "scoring_notes": [],
    }
    unknown = replace(SCORED, scoring="a reason").to_dict()
    assert (unknown["scoring_seconds"], unknown["scoring_unknown"]) == (None, "a reason")
    assert "trial_seconds" not in unknown
    assert "scoring_seconds" not in BUILT.to_dict()


def test_notes_about_the_parents_follow_the_model() -> None:
    note = "rope_theta is 1e+06 in the merge, 10000 in somebody/a-parent and somebody/another"
    text = render_check(replace(BUILT, building=replace(BUILDING, notes=(note,))))
    assert text.startswith(
        HEAD
        + "note: rope_theta is 1e+06 in the merge, 10000 in somebody/a-parent and\n"
        + "      somebody/another\n"
    )
