"""The scoring process: `python -m mergesearch.scoring.child DESCRIPTOR_OF_ITS_SOCKET`."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mergesearch.errors import ScoringError
from mergesearch.objectives import Objectives, Rung
from mergesearch.scoring.protocol import (
    Bye,
    CandidateFile,
    Channel,
    Failed,
    ItemsRead,
    Loaded,
    Message,
    ReadItems,
    Ready,
    RehearseCandidate,
    Rehearsed,
    Reply,
    Results,
    ScoreCandidate,
    Setup,
    UseReferences,
)
from mergesearch.scoring.texts import texts_of

if TYPE_CHECKING:  # they load llama.cpp and lm-eval, which wait for a setup
    from mergesearch.scoring.partial import PartialScores
    from mergesearch.scoring.scorer import Scorer

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Serve one run until it says goodbye or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides what Ctrl-C means
    faulthandler.enable(all_threads=False)  # a crash in llama.cpp says in the log where it was
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _die_with_parent()
    try:
        Server(Channel(socket.socket(fileno=int(arguments[0])))).serve()
    except (BrokenPipeError, ConnectionResetError):
        return 0  # the run is gone
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
    """Answers the messages of a run, one after the other."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loaded: Scorer | None = None
        self._setup: Setup | None = None
        self._chunks: PartialScores | None = None  # of the candidate that was scored last

    def serve(self) -> None:
        """Answer until the run says goodbye or closes its end.

        Raises:
            BrokenPipeError, ConnectionResetError: The run is gone.
        """
        while True:
            try:
                message = self._channel.receive()
                if message is None or isinstance(message, Bye):
                    return
                answer = self._answer(message)
            except (BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:  # every failure of one candidate is a message, not an exit
                traceback.print_exc()
                answer = Failed.of(error)
            sys.stderr.flush()
            self._channel.send(answer)

    def _answer(self, message: Message) -> Reply:
        match message:
            case Setup(objectives, trust_tasks):
                self._setup = message
                self._loaded = _load(objectives, trust_tasks)
                questionnaire = self._scorer.questionnaire
                return Loaded(
                    order={rung: questionnaire.order(rung) for rung in Rung},
                    means={name: task.means() for name, task in questionnaire.tasks.items()},
                )
            case UseReferences(answers):
                self._scorer.questionnaire.use_references(answers)
                return Ready()
            case ScoreCandidate(file, rung, digest, items):
                with self._opened(file) as path:
                    return Results(
                        self._scorer.score(
                            path,
                            rung,
                            items,
                            on_progress=self._channel.send,
                            partial=self._partial_scores(digest),
                        )
                    )
            case RehearseCandidate(file, effort):
                with self._opened(file) as path:
                    return Rehearsed(self._scorer.rehearse(path, effort))
            case ReadItems(items):
                return ItemsRead(texts_of(self._scorer.questionnaire.tasks, items))
            case _:
                raise ScoringError(f"{type(message).__name__} is not for the scoring process")

    @property
    def _scorer(self) -> Scorer:
        if self._loaded is None:
            raise ScoringError("there are no objectives yet", expected=Setup.__name__)
        return self._loaded

    @contextmanager
    def _opened(self, file: CandidateFile) -> Iterator[Path]:
        """The path of a candidate; errors name it as the run does."""
        descriptor = self._channel.take_descriptor() if file.path is None else None
        path = _path_of(descriptor) if descriptor is not None else Path(str(file.path))
        try:
            yield path
        except ScoringError as error:
            if error.where == str(path):  # a descriptor means nothing on the other side
                error.where = file.name
            raise
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _partial_scores(self, digest: str) -> PartialScores | None:
        from mergesearch.scoring.partial import PartialScores

        if self._setup is None or self._setup.partial is None:
            return None
        before, self._chunks = (
            self._chunks,
            PartialScores(
                Path(self._setup.partial),
                digest,
                self._scorer.fingerprint,
                is_shared=self._setup.shares_partial,
            ),
        )
        if before is not None:
            before.give_way_to(self._chunks)
        return self._chunks


def _load(objectives: str, trust_tasks: bool) -> Scorer:
    from mergesearch.scoring.harness import environment

    environment.prepare()  # before anything loads llama.cpp or lm-eval
    from mergesearch.scoring.engine import log_to
    from mergesearch.scoring.scorer import Scorer

    log_to(lambda line: print(line, end="", file=sys.stderr))
    return Scorer(Objectives.from_yaml(objectives, Path.cwd()), trust_tasks=trust_tasks)


def _path_of(descriptor: int) -> Path:
    for folder in ("/proc/self/fd", "/dev/fd"):
        path = Path(folder, str(descriptor))
        if path.exists():
            return path
    raise ScoringError(f"descriptor {descriptor} cannot be opened by a path on this system")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
