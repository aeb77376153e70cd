"""Workers of a shared run with a pretended builder and scorer.

Run as a script it is one worker in a process of its own: `FOLDER URL NAME`, then optionally the
stage (`building`, `scoring`) and the count at which it kills itself, or the trial in whose proposal
(`proposing`) it suspends itself, and the seconds that each scoring takes. URL is "" for the file in
the folder.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from helpers.study_fakes import Bench, files, search
from mergesearch.study import workers
from mergesearch.study.front import Front
from mergesearch.study.loop import join_study
from mergesearch.study.proposing import Proposer
from mergesearch.study.records import Observation
from mergesearch.study.samplers.problem import Proposal
from mergesearch.study.settings import Search, StudyFiles, StudySettings
from mergesearch.study.sharing import Terms, share_study, shared_run
from mergesearch.study.stopping import StopRule

HEARTBEAT, LOST = 0.2, 1.5


def hurry() -> None:
    """Let signs of life be frequent, in this process."""
    workers.HEARTBEAT_SECONDS, workers.LOST_SECONDS, workers.PAUSE_SECONDS = HEARTBEAT, LOST, 0.05


def files_of(folder: Path, url: str = "", name: str = "night") -> StudyFiles:
    """Where a shared run is: in a folder, or in a database on a server."""
    return replace(files(folder), database=url, name=name) if url else files(folder)


def share(where: StudyFiles, settings: StudySettings, searched: Search | None = None) -> None:
    """Put a shared run on record."""
    searched = searched or search()
    terms = Terms(StopRule.of(settings, time.time()), settings.confirm)
    where.lock.parent.mkdir(parents=True, exist_ok=True)
    share_study(where, searched, settings, terms, lambda: None)


def join(where: StudyFiles, bench: Bench | None = None, searched: Search | None = None) -> Front:
    """Work on a shared run until it ends."""
    _, terms = shared_run(where.database, where.name)
    settings = StudySettings(confirm=terms.confirm)
    return join_study(where, searched or search(bench), settings, terms.rule)


def start(
    folder: Path,
    stage: str = "",
    at: int = 0,
    seconds: float = 0.0,
    url: str = "",
    name: str = "night",
) -> subprocess.Popen[bytes]:
    """Start a worker in a process of its own, which may kill itself."""
    arguments = [str(folder), url, name, stage, str(at), str(seconds)]
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, __file__, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


def main(
    folder: str, url: str, name: str, stage: str = "", at: str = "0", seconds: str = "0"
) -> None:
    """Work as one worker; kill it with SIGKILL at a count of a stage, or suspend it."""
    hurry()
    if stage == "proposing":
        _suspend_in_turn(int(at))

    def before_build(count: int) -> None:
        if stage == "building" and count == int(at):
            os.kill(os.getpid(), signal.SIGKILL)

    def before_score(count: int) -> None:
        if stage == "scoring" and count == int(at):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(seconds))

    join(
        files_of(Path(folder), url, name),
        Bench(before_build=before_build, before_score=before_score),
    )


def _suspend_in_turn(number: int) -> None:
    """Let this process suspend itself once, when it proposes a trial."""
    propose, suspended = Proposer.propose, []

    def propose_asleep(proposer: Proposer, history: Sequence[Observation]) -> Proposal:
        if len(history) == number and not suspended:
            suspended.append(number)
            os.kill(os.getpid(), signal.SIGSTOP)
        return propose(proposer, history)

    Proposer.propose = propose_asleep  # type: ignore[method-assign]


if __name__ == "__main__":
    main(*sys.argv[1:])
