"""`search trials`, `compare`, `list` and the scatter of `search front`, on a finished run."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import typer
from helpers.command import search
from helpers.shared_run import TRIALS, Run, front_of

from mergesearch.cli import completion
from mergesearch.errors import BuildError
from mergesearch.runs.run import Run as ReadRun


def test_trials_are_sorted_and_their_csv_is_complete(run: Run) -> None:
    plain = search("trials", run.folder, "--sort", "reasoning")
    assert plain.code == 0
    rows = list(
        csv.DictReader(
            io.StringIO(search("trials", run.folder, "--sort", "reasoning", "--csv").out)
        )
    )
    assert len(rows) == TRIALS
    values = [float(row["reasoning"]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert rows[0]["digest"] == ReadRun(run.folder).trial(int(rows[0]["trial"])).candidate_digest
    wrong = search("trials", run.folder, "--sort", "speed")
    assert (wrong.code, "number, seconds, instruction, reasoning" in wrong.err) == (2, True)


def test_the_rows_of_a_run_are_a_table_for_pandas(run: Run) -> None:
    pytest.importorskip("pandas")
    read = ReadRun(run.folder)
    frame = read.to_pandas()
    assert list(frame.index) == list(range(TRIALS))
    knee = read.front().knee
    assert frame.loc[knee, "instruction"] == read.trial(knee or 0).scores()["instruction"].value
    assert frame.loc[knee, "instruction.validate.stderr"] > 0
    assert frame.filter(like="share:").sum(axis=1).to_list() == pytest.approx([1.0] * TRIALS)


def test_two_trials_are_compared_by_what_they_are_called(run: Run) -> None:
    knee = front_of(run.folder)["knee"]
    shown = search("compare", run.folder, "knee", "0")
    assert shown.code == 0, shown
    assert shown.out.startswith(f"trial {knee} minus trial 0, on the search items\n")
    found = json.loads(search("compare", run.folder, "0", "trial:1", "--json").out)
    assert (found["first"], found["second"], found["rung"]) == ("trial 0", "trial 1", "search")
    instruction = found["differences"]["instruction"]
    trials = [ReadRun(run.folder).trial(number).scores()["instruction"].value for number in (0, 1)]
    assert instruction["value"] == pytest.approx(trials[0] - trials[1])
    assert [task["n"] for task in found["differences"]["reasoning"]["tasks"]] == [6, 6]


def test_a_trial_is_compared_with_a_file_and_with_another_run(run: Run, tmp_path: Path) -> None:
    other, shipped = tmp_path / "other", tmp_path / "Night"
    shutil.copytree(run.folder, other)
    built = search("build", run.folder, "--pick", "trial:2", "--to", "upload", "-o", shipped)
    assert built.code == 0, built
    for which in (shipped / "Night-Q4_K_M.gguf", f"{other}:2"):
        found = json.loads(search("compare", run.folder, "2", which, "--json").out)
        for difference in found["differences"].values():
            assert (difference["value"], difference["stderr"]) == (0.0, 0.0)
            assert {(task["better"], task["worse"]) for task in difference["tasks"]} == {(0, 0)}
    assert search("compare", run.folder, "2", f"{other}:99").code == 2
    assert search("compare", run.folder, "2", "best:speed").code == 2
    assert (
        "no items on the rung 'proxy'"
        in search("compare", run.folder, "1", "2", "--rung", "proxy").err
    )


def test_runs_and_built_in_files_are_listed(run: Run) -> None:
    listed = json.loads(search("list", run.folder.parent, "--json").out)
    assert "demo" in listed["spaces"]
    assert "demo" in listed["objectives"]
    (found,) = listed["runs"]
    assert (found["folder"], found["state"]) == (str(run.folder), "finished")
    assert (found["trials"], found["members"]) == (TRIALS, len(front_of(run.folder)["front"]))
    assert f"\n{run.folder}\n  finished, {TRIALS} trials, " in search("list", run.folder.parent).out
    assert f"\n{run.folder}\n" in search("list", run.folder).out
    assert "no runs in" in search("list", run.folder / "recipes").out


def test_the_front_is_drawn_above_its_table(run: Run) -> None:
    lines = search("front", run.folder).out.splitlines()
    assert lines[0].strip() == "reasoning"
    assert any(line.startswith("◆ knee   ● front") for line in lines)


def test_a_shell_is_offered_what_the_run_knows(run: Run) -> None:
    context = cast("typer.Context", SimpleNamespace(params={"folder": run.folder}, args=[]))
    assert completion.orders(context) == ["number", "seconds", "instruction", "reasoning"]
    assert "demo_answer" in completion.tasks(context)
    assert {"knee", "best:reasoning"} <= set(completion.picks(context))
    in_space = cast(
        "typer.Context", SimpleNamespace(params={"out": run.folder, "space": None}, args=[])
    )
    assert "demo:reason=" in completion.parents(in_space)


def test_status_and_a_trial_are_printed_for_programs(run: Run) -> None:
    status = json.loads(search("status", run.folder, "--json").out)
    front = front_of(run.folder)
    assert (status["running"], status["trials"], status["knee"]) == (False, TRIALS, front["knee"])
    assert status["hypervolume"] == front["hypervolume"]
    shown = json.loads(search("show", run.folder, "--json").out)
    member = next(member for member in front["front"] if member["trial"] == front["knee"])
    assert (shown["number"], shown["candidate_digest"]) == (front["knee"], member["digest"])
    assert shown["rungs"]["search"]["scores"] == member["values"]
    assert shown["recipe"] == member["recipe"]
    assert search("show", run.folder, 0, "--against", 1, "--json").code == 2


def test_a_run_remembers_its_goal_and_says_where_there_is_nothing_to_do(
    run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    shutil.copytree(run.folder, folder)
    outcome = search("run", "--out", folder)
    assert outcome.code == 0, outcome
    assert f"search with noisy-gp, seed 0: {TRIALS} trials, {TRIALS} done before" in outcome.out
    assert f"nothing to do: {TRIALS} trials are done" in outcome.out
    assert "\nspace as before (11 dimensions), objectives as before (" in outcome.out


def test_a_folder_without_a_run_needs_a_space(tmp_path: Path) -> None:
    outcome = search("run", "--out", tmp_path / "typo")
    assert outcome.code == 2
    assert "there is no run to resume" in outcome.err
    assert "name a space to start one" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_recipes_of_members_that_fell_off_the_front_are_removed(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(run.folder, folder)
    (folder / "recipes" / "trial-999.yaml").write_text("old")
    (folder / "recipes" / "mine.yaml").write_text("mine")
    ReadRun(folder).write_recipes()
    members = {f"trial-{member['trial']}.yaml" for member in front_of(folder)["front"]}
    assert {path.name for path in (folder / "recipes").iterdir()} == members | {"mine.yaml"}


def test_a_run_without_a_complete_trial_fails(
    tmp_path: Path, objectives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: object) -> None:
        raise BuildError("this never builds")

    monkeypatch.setattr("mergesearch.build.Workshop.candidate", failing)
    outcome = search(
        "run", "demo", "--objectives", objectives, "--trials", 2, "--out", tmp_path / "out"
    )
    assert outcome.code == 1, outcome
    assert "none of 2 trials is complete" in outcome.err
    assert "look at the reasons: search trials" in outcome.err
    assert "failed: this never builds" in search("trials", tmp_path / "out").out
