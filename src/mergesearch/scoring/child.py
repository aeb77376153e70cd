"""The scoring process: `python -m mergesearch.scoring.child DESCRIPTOR_OF_ITS_CONNECTION`."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import sys
from multiprocessing.connection import Connection

from mergesearch.scoring.server import Server

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


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
