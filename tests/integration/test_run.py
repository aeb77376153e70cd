"""`search run` and what is done with its folder, on the bundled parents."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.command import search
from helpers.modelfile_grammar import parsed
from helpers.shared_run import TRIALS, Run, front_of, trials_of
from helpers.study_fakes import trials

from mergesearch.errors import Interrupted
from mergesearch.recipe import Recipe


def test_every_trial_is_complete_and_the_front_is_validated(run: Run) -> None:
    document = front_of(run.folder)
    assert document == json.loads((run.folder / "front.json").read_text())
    assert document["objectives"] == ["instruction", "reasoning"]
    assert (document["trials"], document["failed"]) == (TRIALS, 0)
    assert document["hypervolume"] > 0
    assert document["front"]
    for member in document["front"]:
        assert len(member["digest"]) == 64
        assert sum(member["shares"].values()) == pytest.approx(1.0)
        for rung in ("values", "validated"):
            for score in member[rung].values():
                assert (score["n"], score["n_unscored"]) == (12, 0)
        assert Recipe.from_dict(member["recipe"])


def test_the_parents_alone_and_named_ratios_come_first(run: Run) -> None:
    shares = [trial.shares for trial in trials(run.folder)]
    assert [round(share["demo:instruct"], 6) for share in shares[:5]] == [1, 0, 0.5, 0.75, 0.25]


def test_the_run_folder_holds_what_it_was_made_from(run: Run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert {"space.yaml", "objectives.yaml", "study.db", "run.log", "front.json"} <= names
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert '"question":' in page  # of the items on which members differ
    members = {f"trial-{member['trial']}.yaml" for member in front_of(run.folder)["front"]}
    assert {path.name for path in (run.folder / "recipes").iterdir()} == members


def test_status_show_and_front_are_readable(run: Run) -> None:
    knee = front_of(run.folder)["knee"]
    assert f"{TRIALS} trials" in search("status", run.folder).out
    shown = search("show", run.folder, knee)
    assert "built in" in shown.out
    assert "merge_method" in shown.out
    assert f" {knee} " in search("front", run.folder).out
    against = search("show", run.folder, 0, "--against", 1)
    assert against.out.startswith("trial 0 against trial 1, on the search items: better on ")
    assert "better 1 of " in against.out
    assert "worse 1 of " in against.out
    assert "demo_instruct, item " in against.out
    for label in ("question", "expected", "trial 0", "trial 1"):
        assert f"\n  {label}  " in against.out
    one = search("show", run.folder, 0, "--against", 1, "--task", "demo_choice", "--limit", 1)
    assert "demo_instruct" not in one.out
    assert "\n  choices   " in one.out
    assert search("show", run.folder, 0, "--against", 1, "--task", "other").code == 2
    assert search("show", run.folder).out == search("show", run.folder, knee).out
    assert search("show", run.folder, 0, "--against", 99).code == 2
    missing = search("show", run.folder, 99)
    assert (missing.code, "no trial 99" in missing.err) == (2, True)


def test_building_the_exported_recipe_gives_the_scored_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = front_of(run.folder)
    member = next(member for member in document["front"] if member["trial"] == document["knee"])
    recipe, model = tmp_path / "r.yaml", tmp_path / "m.gguf"
    assert search("export", run.folder, "--pick", "knee", "-o", recipe).code == 0
    away = run.folder.rename(run.folder.with_name("away"))
    try:
        monkeypatch.chdir(tmp_path)
        for threads in (1, 2):
            arguments = ("--threads", threads, "-o", model, "--force")
            built = search("build", recipe, "--to", "gguf", *arguments)
            assert built.code == 0, built
            assert hashlib.sha256(model.read_bytes()).hexdigest() == member["digest"]
        environment = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
        command = [sys.executable, "-m", "mergesearch"]
        subprocess.run(
            [*command, "build", str(recipe), "-o", str(model), "--force"],
            env=environment,
            check=True,
        )
        assert hashlib.sha256(model.read_bytes()).hexdigest() == member["digest"]
    finally:
        away.rename(run.folder)


def test_scoring_the_built_file_gives_the_trials_values_to_the_bit(
    run: Run, objectives: Path, tmp_path: Path
) -> None:
    document = front_of(run.folder)
    member = document["front"][0]
    recipe, model = tmp_path / "r.yaml", tmp_path / "m.gguf"
    assert (
        search("export", run.folder, "--pick", f"trial:{member['trial']}", "-o", recipe).code == 0
    )
    assert search("build", recipe, "-o", model).code == 0
    for rung, key in (("search", "values"), ("validate", "validated")):
        scored = search("score", model, "--objectives", objectives, "--rung", rung, "--json")
        assert scored.code == 0, scored
        assert json.loads(scored.out) == {
            "digest": member["digest"],
            "rung": rung,
            "values": member[key],
        }


def test_a_card_has_its_picture_and_a_modelfile_its_template(run: Run, tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    exported = search("export", run.folder, "--format", "card", "-o", card)
    assert exported.code == 0, exported
    assert "![Pareto front of the run](front.svg)" in card.read_text("utf-8")
    assert (tmp_path / "front.svg").read_text("utf-8").startswith("<svg")
    card.unlink()
    assert search("export", run.folder, "--format", "card", "-o", card).code == 2  # front.svg
    assert not card.exists()
    printed = search("export", run.folder, "--format", "card")
    assert (printed.code, "front.svg" in printed.out) == (0, False)
    made = search("export", run.folder, "--format", "modelfile")
    assert [name for name, _ in parsed(made.out)][:2] == ["FROM", "TEMPLATE"]


def test_a_pick_is_an_expression_and_says_how_the_trial_stands(run: Run, tmp_path: Path) -> None:
    pick = "max:reasoning where instruction>=0 and reasoning<=1"
    best = json.loads(search("show", run.folder, "best:reasoning", "--json").out)
    exported = search("export", run.folder, "--pick", pick)
    assert f"mergesearch: trial {best['number']} of " in exported.out
    assert "minus instruct (trial 0, " in exported.err
    model = tmp_path / "m.gguf"
    built = search("build", run.folder, "--pick", pick, "-o", model)
    assert (built.code, best["candidate_digest"] in built.out) == (0, True), built
    assert f"trial {best['number']}: instruction " in built.err
    assert {parent["trial"] for parent in best["standing"]["parents"]} == {0, 1} - {best["number"]}


def test_a_safetensors_build_loads_in_transformers(run: Run, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    recipe, folder = tmp_path / "r.yaml", tmp_path / "model"
    assert search("export", run.folder, "--pick", "best:reasoning", "-o", recipe).code == 0
    assert search("build", recipe, "--to", "safetensors", "-o", folder).code == 0
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Write the words cat, dog and sea in capital letters."}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    answer = model.generate(**prompt, max_new_tokens=8, do_sample=False)
    assert answer.shape[1] > prompt["input_ids"].shape[1]


def test_a_mergekit_export_names_folders_and_float32(run: Run) -> None:
    document = yaml.safe_load(search("export", run.folder, "--format", "mergekit").out)
    assert document["dtype"] == "float32"
    assert all(Path(model["model"]).is_dir() for model in document["models"])


def test_picks_that_do_not_exist_are_refused(run: Run) -> None:
    for pick, message in (
        ("best:speed", "expected: instruction, reasoning"),
        ("trial:99", "no trial 99"),
        ("middle", "knee"),
    ):
        outcome = search("export", run.folder, "--pick", pick)
        assert (outcome.code, message in outcome.err) == (2, True), outcome


def test_another_space_seed_or_objectives_is_refused(run: Run, tmp_path: Path) -> None:
    before = trials_of(run.folder)
    space = tmp_path / "space.yaml"
    document = yaml.safe_load((run.folder / "space.yaml").read_text())
    space.write_text(yaml.safe_dump(document | {"dtype": "float16"}))
    for arguments, message in (
        (("run", space, "--out", run.folder), "different space"),
        (("run", "--objectives", "demo", "--out", run.folder), "different objectives"),
        (("run", "--seed", 1, "--out", run.folder), "different seed"),
    ):
        outcome = search(*arguments)
        assert (outcome.code, message in outcome.err) == (2, True), outcome
    assert trials_of(run.folder) == before


def _start(arguments: tuple[object, ...]) -> subprocess.Popen[bytes]:
    """Begin a run in a process group of its own."""
    command = [sys.executable, "-m", "mergesearch"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait_for_trials(folder: Path, count: int) -> None:
    """Wait until a running run has finished `count` trials and begun another."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (folder / "study.db").is_file():
            # Asked of the database itself: a short run is over before a command has answered.
            try:
                with closing(sqlite3.connect(folder / "study.db")) as database:
                    (started,) = database.execute("SELECT count(*) FROM trials").fetchone()
            except sqlite3.Error:
                started = 0
            if started > count:
                return
        time.sleep(0.05)
    raise AssertionError(f"no {count} trials in two minutes")


def _without_validation(folder: Path) -> list[dict[str, object]]:
    return [
        trial | {"scores": {"search": trial["scores"].get("search")}} for trial in trials_of(folder)
    ]


@pytest.mark.parametrize(
    ("layers", "memory", "ahead"), [(1, "9GB", True), (1, None, True), (0, "9GB", False)]
)
def test_the_next_candidate_is_built_ahead_beside_a_gpu_where_it_fits(
    objectives: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layers: int,
    memory: str | None,
    ahead: bool,
) -> None:
    seen = []

    def pretend(folder: Path, asked: Any, *others: object) -> None:
        seen.append(asked.build_ahead)
        raise Interrupted("enough")

    monkeypatch.setattr("mergesearch.runs.start.run_study", pretend)
    monkeypatch.setattr("mergesearch.scoring.process._refuse_without_gpu", lambda: None)
    on_gpu = tmp_path / "objectives.yaml"
    on_gpu.write_text(objectives.read_text().replace("n_ctx", f"n_gpu_layers: {layers}, n_ctx"))
    option = () if memory is None else ("--memory", memory)
    outcome = search("run", "demo", "--objectives", on_gpu, "--out", tmp_path / "out", *option)
    assert (outcome.code, seen) == (130, [ahead]), outcome


def test_ctrl_c_ends_with_130_and_the_run_ends_as_an_unbroken_one(run: Run, tmp_path: Path) -> None:
    """Interrupted by a person, then done: each trial is the same, and so is the front."""
    folder = tmp_path / "stopped"
    process = _start(run.again(folder))
    _wait_for_trials(folder, 1)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert search(*run.again(folder)).code == 0
    assert _without_validation(folder) == _without_validation(run.folder)
    assert front_of(folder)["front"] == front_of(run.folder)["front"]


@pytest.mark.faults
def test_a_killed_run_goes_on_where_it_stopped(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    process = _start(run.again(folder))
    _wait_for_trials(folder, 3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    assert search(*run.again(folder)).code == 0
    assert _without_validation(folder) == _without_validation(run.folder)


@pytest.mark.faults
def test_a_crash_of_the_scorer_fails_one_trial(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "crashed"
    process = _start(run.again(folder))
    _wait_for_trials(folder, 2)
    children = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "mergesearch.scoring.child"],
        capture_output=True,
        text=True,
        check=True,
    )
    time.sleep(0.5)  # into scoring
    os.kill(int(children.stdout.split()[0]), signal.SIGSEGV)
    assert process.wait(120) == 0
    found = trials_of(folder)
    assert [trial["state"] for trial in found].count("failed") == 1
    assert len(found) == TRIALS
    failed = next(trial["number"] for trial in found if trial["state"] == "failed")
    assert "SIGSEGV" in search("show", folder, failed).out
