"""The events of a run as lines of JSON."""

from __future__ import annotations

import json
from pathlib import Path

from helpers.study_fakes import run_in, search

from mergesearch.report.json_log import json_events
from mergesearch.study.events import RunOpened, TriedAgain
from mergesearch.study.settings import StudySettings


def test_every_event_is_a_line(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    with json_events(log) as observe:
        observe(RunOpened("demo", 11, "demo", ("instruction",), Path("results/x")))
        run_in(tmp_path / "run", search(), StudySettings(trials=1, sampler="sobol"), observe)
        observe(TriedAgain(0, "killed\x1b"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    names = [line["event"] for line in lines]
    assert names[:3] == ["RunOpened", "RunStarted", "StageStarted"]
    assert names[-2:] == ["RunFinished", "TriedAgain"]
    opened, started, *_ = lines
    assert (opened["space"], opened["folder"]) == ("demo", "results/x")
    assert started["rule"]["trials"] == 1
    finished = lines[names.index("TrialFinished")]
    assert (finished["number"], finished["state"]) == (0, "complete")
    assert set(finished["scores"]["search"]) == {"instruction", "reasoning"}
    assert lines[-2]["front"] == [0]
    assert "\x1b" not in log.read_text()
