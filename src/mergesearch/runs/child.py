"""A worker in a process of its own, which a run starts: `python -m mergesearch.runs.child FD`.

It reads its setup from the socket, and sends events and its failure back. It ends soon after its
run does, however that ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection

from mergesearch._system.machine import take_share_of_cores
from mergesearch.errors import Interrupted, MergeSearchError
from mergesearch.runs.crew import WorkerSetup
from mergesearch.runs.worker import work
from mergesearch.runs.workplace import use_gpu
from mergesearch.scoring.protocol import failure
from mergesearch.study.servers import remember_secrets


def main(descriptor: int) -> int:
    """Work as one worker of a crew; return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    connection = Connection(descriptor)
    try:
        setup: WorkerSetup = connection.recv()
        threading.Thread(target=_end_with_run, args=(connection,), daemon=True).start()
        remember_secrets(setup.files.database, setup.secrets)
        take_share_of_cores(setup.index, setup.settings.workers)
        if setup.gpu is not None:
            use_gpu(setup.gpu)
        work(setup.files, setup.settings, connection.send)
    except (Interrupted, EOFError, BrokenPipeError):
        return Interrupted.exit_code
    except Exception as error:
        if not isinstance(error, MergeSearchError):
            traceback.print_exc()  # to the log
        connection.send(failure(error))
        return 1
    return 0


def _end_with_run(connection: Connection) -> None:
    """Stop as for a signal once the run has ended, which sends nothing else."""
    try:
        connection.recv()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted("stopped")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
