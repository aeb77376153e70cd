"""Databases on a server: their addresses without passwords, and how they are connected to.

A password is kept in the memory of the process alone. So no address that is shown, recorded or
handed to another program holds one.
"""

from __future__ import annotations

import os
import re
import socket
from typing import Any

import sqlalchemy as sa

from mergesearch.errors import InputError

_DRIVER = "postgresql+psycopg"
_KINDS = ("postgres", "postgresql", "postgresql+psycopg")
_SECRET = re.compile("pass(?!file)|pwd|secret|scram", re.IGNORECASE)
_LIVELY = {
    # A server that is gone without a word is noticed after a minute, not after hours.
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    # So does the server notice a worker, and lets others have what it held.
    "options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
    # Statements prepared on one connection are unknown to the next one of PgBouncer.
    "prepare_threshold": None,
}
_LONGEST_NAME = 63  # bytes that a server keeps of a name
_passwords: dict[str, dict[str, str]] = {}  # passwords that libpq does not find by itself


def server_address(url: str) -> str:
    """Return the URL of a server's database without its passwords, which this process remembers.

    Where there is none in the URL, libpq looks for one in PGPASSWORD and ~/.pgpass.

    Raises:
        InputError: It is not the URL of a PostgreSQL database, or there is no driver.
    """
    try:
        parsed = sa.make_url(re.sub(r"^postgres(?=://)", "postgresql", url.strip()))
        if "@" in (parsed.host or ""):
            raise ValueError("the second part of a password with an @")
    except (sa.exc.ArgumentError, ValueError):
        raise _not_a_server(
            "what was given is not a URL",
            fix="leave a password to PGPASSWORD, or write its signs as %40 and the like",
        ) from None
    if parsed.drivername not in _KINDS or not parsed.database:
        shown = parsed.set(query={}).render_as_string()
        raise _not_a_server(f"{shown} is not the URL of a PostgreSQL database")
    _refuse_without_driver()
    query = parsed.query
    secrets = {name: str(value) for name, value in query.items() if _SECRET.search(name)}
    if parsed.password:
        secrets["password"] = parsed.password
    public = sa.URL.create(
        _DRIVER,
        parsed.username,
        host=parsed.host,
        port=parsed.port,
        database=parsed.database,
        query={name: value for name, value in query.items() if name not in secrets},
    )
    address = public.render_as_string()
    if secrets:
        _passwords[address] = secrets
    return address


def secrets_of(address: str) -> dict[str, str]:
    """Return the passwords that this process remembers for an address, for a process of its own."""
    return dict(_passwords.get(address, {}))


def remember_secrets(address: str, secrets: dict[str, str]) -> None:
    """Remember the passwords that `secrets_of` gave another process."""
    if secrets:
        _passwords[address] = dict(secrets)


def session_name(host: str, pid: int) -> str:
    """Return the name by which a server knows the sessions of a process."""
    return f"mergesearch {pid} {host}"[:_LONGEST_NAME]


def connection_options(address: str) -> dict[str, Any]:
    """Return the arguments of a connection to a server that its address does not name."""
    url = sa.make_url(address)
    if url.get_backend_name() != "postgresql":
        return {}
    known = _LIVELY | {"application_name": session_name(socket.gethostname(), os.getpid())}
    options = {name: value for name, value in known.items() if name not in url.query}
    return options | secrets_of(address)


def is_away(context: sa.engine.ExceptionContext) -> bool:
    """Whether an error says that the server ended a connection, or that there is none to it."""
    error = context.sqlalchemy_exception
    return context.is_disconnect or (
        context.connection is None and isinstance(error, sa.exc.OperationalError)
    )


def _not_a_server(what: str, fix: str | None = None) -> InputError:
    example = "such as postgresql://me@host/studies"
    return InputError(what, where="--storage", expected=example, fix=fix)


def _refuse_without_driver() -> None:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise InputError(
            "the driver of PostgreSQL is not installed", fix="pip install 'mergesearch[postgres]'"
        ) from None
