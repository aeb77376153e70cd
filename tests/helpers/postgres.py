"""A PostgreSQL server for a test: Debian's package, in a temporary folder, on a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSWORD = "opensesame-{42}%"
"""A password with characters that mean something in URLs and templates."""


def programs() -> Path | None:
    """The folder of the server's programs, None where there is none."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        port: Port on this machine.
        start: Function that starts it again after `stop`.
        stop: Function that stops it, whoever is connected.
    """

    port: int
    start: Callable[[], None]
    stop: Callable[[], None]

    def url(self, password: str | None = None) -> str:
        """The URL of its database."""
        from sqlalchemy import URL

        address = URL.create("postgresql", "tester", password, "127.0.0.1", self.port, "postgres")
        return address.render_as_string(hide_password=False)


@contextmanager
def postgres() -> Iterator[Server]:
    """Run a server while a test does; the test is skipped where there is none."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL does not run as root")
    data = Path(tempfile.mkdtemp(prefix="postgres-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(data, "nobody", "nogroup")
        as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program: str, *arguments: str, password: str | None = None) -> None:
        command = [*as_user, str(folder / program), *arguments]
        subprocess.run(
            command, check=True, cwd=data, capture_output=True, input=password, text=True
        )

    def start() -> None:
        options = f"-p {port} -k {data} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = str(data / "log")
        run("pg_ctl", "-D", str(data / "cluster"), "-w", "-l", log, "-o", options, "start")

    def stop() -> None:
        run("pg_ctl", "-D", str(data / "cluster"), "-w", "-m", "fast", "stop")

    try:
        (data / "password").write_text(PASSWORD + "\n")
        options = ["-U", "tester", "--auth=scram-sha-256", "-E", "UTF8", "--no-sync"]
        run("initdb", "-D", str(data / "cluster"), f"--pwfile={data / 'password'}", *options)
        start()
        yield Server(port, start, stop)
    finally:
        with suppress(subprocess.CalledProcessError):
            stop()
        shutil.rmtree(data, ignore_errors=True)
