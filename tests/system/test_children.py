"""What a child prints is in the log, without what would steer a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mergesearch._system.children import EscapedLog


def test_what_would_steer_a_terminal_is_written_out(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("before\n")
    with EscapedLog(path) as log:
        os.write(log.fileno(), b"red \x1b[31m, \xff, \xc2\x9b2J\nwithout an end")
        script = "import os; os.write(2, b'from a process \\x07\\n'); os.abort()"
        subprocess.run([sys.executable, "-c", script], stderr=log, check=False)
        log.drain()
    assert path.read_text(encoding="utf-8") == (
        "before\nred \\u001b[31m, \ufffd, \\u009b2J\nwithout an endfrom a process \\u0007\n"
    )
    log.close()
