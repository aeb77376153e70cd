"""Records for the reports' tests: a run of four complete trials and one failed one."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console, RenderableType

from mergesearch.objectives import Score
from mergesearch.study.records import Axis, Measurement, RunRecord, State, TrialRecord

START = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
AXES = (Axis("instruction", "maximize", 0.0), Axis("reasoning", "maximize", 0.25))
RUN = RunRecord(
    name="demo",
    space="",
    objectives={},
    axes=AXES,
    fingerprints={},
    versions={},
    seed=7,
    sampler="gp",
    created=START,
)
RECIPE = {
    "merge_method": "linear",
    "models": [{"model": "demo:instruct", "parameters": {"weight": [0.9, 0.6]}}],
}


def scores(instruction: float, reasoning: float, n: int = 120) -> dict[str, Score]:
    return {
        "instruction": Score(instruction, 0.0437, n, 1),
        "reasoning": Score(reasoning, 0.0451, n, 0),
    }


def measurement(found: Mapping[str, Score], failure: str | None = None) -> Measurement:
    return Measurement(found, (), 0.41, 3.2, failure, START)


def trial(number: int, instruction: float, reasoning: float, **changes: Any) -> TrialRecord:
    parts = {
        "number": number,
        "state": State.COMPLETE,
        "attempt": 1,
        "parameters": {"weight": 0.9},
        "recipe": RECIPE,
        "recipe_digest": "ab" * 32,
        "shares": {"demo:instruct": 0.754, "demo:reason": 0.246},
        "candidate_digest": f"{number:02d}" * 32,
        "candidate_size": 2_400_000,
        "reused_from": None,
        "failure": None,
        "started": START,
        "ended": START + timedelta(seconds=4),
        "rungs": {"search": measurement(scores(instruction, reasoning))},
    }
    return TrialRecord(**(parts | changes))


def validated(number: int, instruction: float, reasoning: float) -> TrialRecord:
    rungs = {
        "search": measurement(scores(instruction, reasoning)),
        "validate": measurement(scores(instruction - 0.02, reasoning + 0.01, 300)),
    }
    return trial(number, instruction, reasoning, rungs=rungs)


TRIALS = (
    validated(0, 0.7083, 0.3),
    validated(1, 0.4, 0.6417),
    trial(2, 0.6, 0.55),
    trial(
        3,
        0,
        0,
        state=State.FAILED,
        failure="trial 3: killed by SIGSEGV\n  to do: look",
        rungs={},
        candidate_digest=None,
        candidate_size=None,
    ),
    trial(4, 0.5, 0.5, shares={"demo:instruct": -0.1, "demo:reason": 1.1}),
)
RUNNING = trial(5, 0, 0, state=State.RUNNING, ended=None, rungs={})


def shown(what: RenderableType, width: int) -> str:
    """Return what a plain terminal of this width shows, without blanks at the ends of lines."""
    file = io.StringIO()
    Console(file=file, width=width, color_system=None, legacy_windows=False).print(what)
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    return "\n".join(lines)
