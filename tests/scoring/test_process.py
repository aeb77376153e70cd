"""The scoring process: what comes of its life and death, and how long its silence is waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing.connection import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.light_scorer import light_scorers
from helpers.scorer_thread import scorer_in_thread

from mergesearch.errors import (
    ObjectivesError,
    ScorerCrashed,
    ScorerHung,
    ScorerKilled,
    ScoringError,
)
from mergesearch.objectives import Rung, part_of
from mergesearch.scoring import ScoringProcess
from mergesearch.scoring.engine.features import Features
from mergesearch.scoring.process import SilenceLimit
from mergesearch.scoring.protocol import Progress
from mergesearch.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "run.log"


@pytest.fixture(scope="module")
def process(objectives, log):
    with ScoringProcess(objectives, log=log) as process:
        yield process


def _without_times(results):
    return {
        name: replace(result, items=tuple(replace(item, seconds=0.0) for item in result.items))
        for name, result in results.items()
    }


def test_results_are_those_of_this_process_to_the_bit(process, objectives, folder, q4, candidate):
    expected = Scorer(objectives).score(q4, "search")
    assert _without_times(process.score(candidate, "search")) == _without_times(expected)
    by_path = SimpleNamespace(digest="", path=folder / "q4.gguf")
    assert _without_times(process.score(by_path, "search")) == _without_times(expected)


def test_parts_are_those_of_this_process_to_the_bit_in_any_order(
    process, objectives, q4, candidate
):
    scorer = Scorer(objectives)
    order = scorer.questionnaire.order(Rung.SEARCH)
    assert process.tasks().order[Rung.SEARCH] == order
    parts = [part_of(order, *ends) for ends in ((0.0, 0.3), (0.3, 1.0))]
    expected = [_without_times(scorer.score(q4, Rung.SEARCH, part)) for part in parts]
    found = [
        _without_times(process.score(candidate, Rung.SEARCH, items=part))
        for part in reversed(parts)
    ]
    assert found[::-1] == expected


def test_a_crash_in_mid_score_ends_one_candidate(process, candidate, log):
    expected = process.score(candidate, "search")
    pid = process.pid

    def crash(progress):
        os.kill(process.pid, signal.SIGSEGV)

    with pytest.raises(ScorerCrashed, match="SIGSEGV"):
        process.score(candidate, "search", crash)
    assert process.pid is None
    assert "Fatal Python error: Segmentation fault" in log.read_text()
    assert _without_times(process.score(candidate, "search")) == _without_times(expected)
    assert process.pid not in (None, pid)


def test_a_candidate_that_cannot_be_loaded_leaves_the_process_warm(process, candidate, tmp_path):
    process.start()
    pid = process.pid
    (tmp_path / "no.gguf").write_bytes(b"GGUF and nothing else")
    with pytest.raises(ScoringError, match="cannot load this GGUF"):
        process.score(SimpleNamespace(digest="", path=tmp_path / "no.gguf"), "search")
    assert process.score(candidate, "validate")["tiny_answer"].n == 10
    assert process.pid == pid


@pytest.mark.parametrize(
    ("backends", "message"),
    [((), "the installed llama.cpp was built without"), (("CUDA",), "llama.cpp finds no GPU here")],
)
def test_layers_on_a_gpu_need_a_llama_cpp_that_can_use_one(
    objectives, monkeypatch, backends, message
):
    gpu = replace(objectives, runtime=replace(objectives.runtime, n_gpu_layers=99))
    found = Features("0", gpu=False, gpu_backends=backends, instructions=())
    monkeypatch.setattr("mergesearch.scoring.engine.features.features", lambda: found)
    with (
        pytest.raises(ObjectivesError, match=rf"runtime\.n_gpu_layers: {message}"),
        ScoringProcess(gpu) as process,
    ):
        process.start()


def test_an_interrupted_candidate_goes_on_after_its_last_chunk(
    process, objectives, candidate, tmp_path
):
    """Chunks that finished are read back; the results are the same to the bit."""
    candidate.digest = "ab" * 32
    expected = _without_times(process.score(candidate, "search"))

    def stop(progress):
        if len(list((tmp_path / "partial").glob("*/*.json"))) >= 3:
            raise KeyboardInterrupt

    with (
        scorer_in_thread(),
        pytest.raises(KeyboardInterrupt),
        ScoringProcess(objectives, partial=tmp_path / "partial") as process,
    ):
        process.score(candidate, "search", stop)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "partial").glob("*/*.json")}
    assert len(kept) >= 3
    with scorer_in_thread(), ScoringProcess(objectives, partial=tmp_path / "partial") as process:
        assert _without_times(process.score(candidate, "search")) == expected
        assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
        candidate.digest = "cd" * 32
        assert _without_times(process.score(candidate, "search")) == expected
        assert not any(path.exists() for path in kept)  # another candidate: those are done with
    assert not (tmp_path / "partial").exists()


# -- the life of a process, with one that loads nothing --------------------------------------------

QUICK, SLOW = (SimpleNamespace(digest="", path=Path(name)) for name in ("quick", "slow"))


@pytest.fixture
def light(objectives):
    with light_scorers(), ScoringProcess(objectives) as process:
        yield process


def test_a_kill_from_outside_is_told_from_a_crash(light):
    with pytest.raises(ScorerKilled, match="SIGKILL"):
        light.score(SLOW, "search", lambda progress: os.kill(light.pid, signal.SIGKILL))
    assert not ScorerCrashed.passing
    assert ScorerKilled.passing


def test_a_process_that_is_ended_says_why(light):
    with pytest.raises(ScorerKilled, match=r"died \(too much memory\)"):
        light.score(SLOW, "search", lambda progress: light.end("too much memory"))


def test_a_hang_ends_one_candidate(light, monkeypatch):
    light.score(QUICK, "search")
    pid = light.pid
    monkeypatch.setattr("mergesearch.scoring.process.LEAST_SECONDS", 0.5)
    monkeypatch.setattr("mergesearch.scoring.process.TIMES", 0)
    with pytest.raises(ScorerHung, match="said nothing for 0 s"):
        light.score(QUICK, "search", lambda progress: os.kill(light.pid, signal.SIGSTOP))
    assert light.pid is None
    monkeypatch.undo()
    assert light.score(QUICK, "search") == {}
    assert light.pid not in (None, pid)


def test_an_interrupt_reaches_the_run_and_not_the_process(light):
    light.score(QUICK, "search", lambda progress: os.kill(light.pid, signal.SIGINT))
    pid = light.pid
    assert pid is not None

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        light.score(SLOW, "search", stop)
    assert light.pid is None
    assert light.score(QUICK, "search") == {}
    assert light.pid not in (None, pid)


def test_wrong_objectives_come_back_as_such(objectives):
    use = objectives.objectives[0].uses[0]
    wrong = replace(objectives.objectives[0], uses=(replace(use, search_items=99),))
    with light_scorers():
        process = ScoringProcess(replace(objectives, objectives=(wrong,)))
        with pytest.raises(ObjectivesError, match="109 items are requested"):
            process.start()
    assert process.pid is None


def test_the_process_ends_with_its_parent(objectives, tmp_path):
    (tmp_path / "objectives.yaml").write_text(objectives.to_yaml())
    script = """
import os, signal, sys
from pathlib import Path
from mergesearch.objectives import Objectives
from mergesearch.scoring import ScoringProcess
from helpers.light_scorer import light_scorers
folder = Path(sys.argv[1])
objectives = Objectives.from_yaml((folder / "objectives.yaml").read_text(), folder)
with light_scorers():
    process = ScoringProcess(objectives)
    process.start()
print(process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    child = int(run.stdout)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _alive(child):
        time.sleep(0.05)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- silence ---------------------------------------------------------------------------------------


def test_the_limit_is_a_multiple_of_the_longest_silence() -> None:
    waiting = SilenceLimit()
    assert waiting.seconds == 7200
    for longest, limit in ((1.0, 120), (30.0, 600), (2.0, 600)):
        waiting.learn(longest)
        assert waiting.seconds == limit


def test_silence_beyond_the_limit_is_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mergesearch.scoring.process.LEAST_SECONDS", 0.2)
    ours, theirs = Pipe()
    waiting = SilenceLimit()
    waiting.learn(0.001)
    theirs.send(Progress("words", 1, 2))
    assert waiting.receive(ours) == Progress("words", 1, 2)
    start = time.monotonic()
    with pytest.raises(ScorerHung, match="said nothing for 0 s, 20 times as long as ever before"):
        waiting.receive(ours)
    assert 0.2 <= time.monotonic() - start < 5
    theirs.send(Progress("words", 2, 2))
    assert waiting.receive(ours) == Progress("words", 2, 2)
    theirs.close()
    with pytest.raises(EOFError):
        waiting.receive(ours)
    ours.close()
