"""The scoring process: `python -m mergesearch.scoring.child DESCRIPTOR_OF_ITS_CONNECTION`."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import sys
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mergesearch.objectives import Objectives, Rung
from mergesearch.scoring.partial import PartialScores
from mergesearch.scoring.protocol import (
    Loaded,
    ReadItems,
    RehearseCandidate,
    ScoreCandidate,
    Setup,
    UseReferences,
    failure,
)
from mergesearch.scoring.texts import texts_of

if TYPE_CHECKING:  # they load llama.cpp and lm-eval, which wait for a setup
    from mergesearch.scoring.engine import Engine
    from mergesearch.scoring.scorer import Scorer

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Serve one run until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides what Ctrl-C means
    faulthandler.enable(all_threads=False)  # a crash in llama.cpp says in the log where it was
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _die_with_parent()
    Server(Connection(int(arguments[0]))).serve()
    return 0


def _die_with_parent() -> None:
    """Ask Linux for SIGKILL when the run dies, even in the middle of a long decode."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the request was made
        os._exit(0)


class Server:
    """Answers the requests of a run, one after the other."""

    _scorer: Scorer
    _setup: Setup

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._chunks: PartialScores | None = None  # of the candidate that was scored last

    def serve(self) -> None:
        """Answer until the run closes its end, or is gone."""
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):
            while True:
                self._connection.send(self._answer_or_failure(self._connection.recv()))

    def _answer_or_failure(self, request: object) -> Any:
        try:
            return self._answer(request)
        except (BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:  # every failure of one candidate is a message, not an exit
            traceback.print_exc()
            return failure(error)
        finally:
            sys.stderr.flush()

    def _answer(self, request: object) -> Any:
        match request:
            case Setup(objectives, trust_tasks):
                self._setup = request
                self._scorer = _load(objectives, trust_tasks)
                questionnaire = self._scorer.questionnaire
                return Loaded(
                    order={rung: questionnaire.order(rung) for rung in Rung},
                    means={name: task.means() for name, task in questionnaire.tasks.items()},
                )
            case UseReferences(answers):
                self._scorer.questionnaire.use_references(answers)
                return None
            case ScoreCandidate(path, rung, digest, items):
                with self._opened(path) as engine:
                    return self._scorer.score(
                        engine,
                        rung,
                        items,
                        on_progress=self._connection.send,
                        partial=self._partial_scores(digest),
                    )
            case RehearseCandidate(path, to_the_end):
                with self._opened(path) as engine:
                    return self._scorer.rehearse(engine, to_the_end=to_the_end)
            case ReadItems(items):
                return texts_of(self._scorer.questionnaire.tasks, items)
            case _:
                raise TypeError(f"{type(request).__name__} is not for the scoring process")

    def _opened(self, path: Path) -> Engine:
        from mergesearch.scoring.engine import Engine

        return Engine(path, self._setup.objectives.runtime)

    def _partial_scores(self, digest: str) -> PartialScores | None:
        if self._setup.partial is None:
            return None
        chunks = PartialScores(self._setup.partial, digest, self._scorer.fingerprint)
        if self._chunks is not None:
            self._chunks.give_way_to(chunks)
        self._chunks = chunks
        return chunks


def _load(objectives: Objectives, trust_tasks: bool) -> Scorer:
    from mergesearch.scoring.harness import environment

    environment.prepare()  # before anything loads llama.cpp or lm-eval
    from mergesearch.scoring.engine import log_to
    from mergesearch.scoring.scorer import Scorer

    log_to(lambda line: print(line, end="", file=sys.stderr))
    return Scorer(objectives, trust_tasks=trust_tasks)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
