"""The scoring process: `python -m mergesearch.scoring.child DESCRIPTOR_OF_ITS_SOCKET`."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mergesearch.errors import MergeSearchError, ScoringError
from mergesearch.objectives import Objectives, Rung
from mergesearch.scoring.protocol import Channel, Progress, results_to_json

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Serve one run until it says goodbye or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides what Ctrl-C means
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _die_with_parent()
    channel = Channel(socket.socket(fileno=int(arguments[0])))
    try:
        _serve(channel)
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


def _serve(channel: Channel) -> None:
    scorer: Any = None
    setup: dict[str, Any] = {}
    while (received := channel.receive()) is not None:
        message, descriptor = received
        try:
            if message["type"] == "setup":
                setup = message
                scorer = _load(message)
                channel.send({"type": "ready"})
            elif message["type"] == "references":
                scorer.use_references(
                    {task: dict(answers) for task, answers in message["texts"].items()}
                )
            elif message["type"] == "score":
                channel.send(_score(scorer, channel, setup, message, descriptor))
            elif message["type"] == "rehearse":
                channel.send(_rehearse(scorer, message, descriptor))
            else:
                return
        except (BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:  # every failure of one candidate is a message, not an exit
            traceback.print_exc()
            channel.send(_failure(error))
        finally:
            if descriptor is not None:
                os.close(descriptor)


def _load(message: dict[str, Any]) -> Any:
    from mergesearch.scoring.engine import log_to
    from mergesearch.scoring.scorer import Scorer

    log_to(lambda line: print(line, end="", file=sys.stderr))
    objectives = Objectives.from_yaml(message["objectives"], Path.cwd())
    return Scorer(objectives, trust_tasks=message["trust_tasks"])


def _score(
    scorer: Any,
    channel: Channel,
    setup: dict[str, Any],
    message: dict[str, Any],
    descriptor: int | None,
) -> dict[str, Any]:
    def report(progress: Progress) -> None:
        channel.send({"type": "progress", "progress": asdict(progress)})

    with _opened(message, descriptor) as path:
        results = scorer.score(
            path, Rung(message["rung"]), report, _partial(scorer, setup, message)
        )
    sys.stderr.flush()
    return {"type": "result", "results": results_to_json(results)}


def _rehearse(scorer: Any, message: dict[str, Any], descriptor: int | None) -> dict[str, Any]:
    from mergesearch.scoring.rehearsal import Effort

    with _opened(message, descriptor) as path:
        found = scorer.rehearse(path, Effort(**message["effort"]))
    return {"type": "rehearsal", "rehearsal": asdict(found)}


@contextmanager
def _opened(message: dict[str, Any], descriptor: int | None) -> Iterator[Path]:
    """The path of a candidate; errors name it as the run does."""
    path = Path(message["path"]) if descriptor is None else _path_of(descriptor)
    try:
        yield path
    except ScoringError as error:
        if error.where == str(path):  # the descriptor means nothing on the other side
            error.where = message["name"]
        raise


def _partial(scorer: Any, setup: dict[str, Any], message: dict[str, Any]) -> Any:
    from mergesearch.scoring.partial import PartialScores

    if setup["partial"] is None:
        return None
    return PartialScores(Path(setup["partial"]), message["digest"], scorer.fingerprint)


def _path_of(descriptor: int) -> Path:
    for folder in ("/proc/self/fd", "/dev/fd"):
        path = Path(folder, str(descriptor))
        if path.exists():
            return path
    raise ScoringError(f"descriptor {descriptor} cannot be opened by a path on this system")


def _failure(error: Exception) -> dict[str, Any]:
    message: dict[str, Any] = {"type": "error", "kind": type(error).__name__}
    if isinstance(error, MergeSearchError):
        for name in ("what", "where", "expected", "fix"):
            message[name] = getattr(error, name)
    else:
        message["what"] = f"{type(error).__name__}: {error}"
    return message


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
