"""Addresses of databases on servers: what they are, and that no password is in them."""

from __future__ import annotations

import os
import socket

import optuna
import pytest
import sqlalchemy as sa

from mergesearch.errors import DatabaseAway, InputError
from mergesearch.study.database import Database, location
from mergesearch.study.reading import RunRecords
from mergesearch.study.servers import (
    connection_options,
    remember_secrets,
    secrets_of,
    server_address,
    session_name,
)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s%40cret{1}@host:5433/studies",
        "postgres://me:s%40cret{1}@host:5433/studies",
        " postgresql+psycopg://me:s%40cret{1}@host:5433/studies\n",
        "postgresql://me@host:5433/studies?password=s%40cret{1}",
    ],
)
def test_an_address_has_no_password_and_a_connection_has(url: str) -> None:
    address = server_address(url)
    assert address == "postgresql+psycopg://me@host:5433/studies"
    assert str(location(address)) == address
    assert connection_options(address)["password"] == "s@cret{1}"
    assert secrets_of(address) == {"password": "s@cret{1}"}


@pytest.mark.parametrize("name", ["passwd", "Password", "sslpassword", "pwd", "client_secret"])
def test_a_misspelt_password_is_kept_out_of_an_address_too(name: str) -> None:
    address = server_address(f"postgresql://him@host/studies?{name}=s3&passfile=/home/me/.pgpass")
    assert address == "postgresql+psycopg://him@host/studies?passfile=%2Fhome%2Fme%2F.pgpass"
    assert secrets_of(address) == {name: "s3"}


def test_a_server_knows_the_sessions_of_a_process_by_its_machine_and_number() -> None:
    options = connection_options(server_address("postgresql://me@host/studies"))
    assert options["application_name"] == session_name(socket.gethostname(), os.getpid())
    assert session_name("node7", 4711) == "mergesearch 4711 node7"
    assert len(session_name("n" * 64, 4711)) == 63  # more of a name is cut by the server


def test_without_a_password_the_driver_looks_for_one() -> None:
    address = server_address("postgresql://you@host/studies?connect_timeout=3&sslmode=require")
    assert address.endswith("/studies?connect_timeout=3&sslmode=require")
    options = connection_options(address)
    assert "password" not in options
    assert "connect_timeout" not in options
    assert options["prepare_threshold"] is None  # which PgBouncer could not follow
    remember_secrets(address, {"password": "told"})
    assert connection_options(address)["password"] == "told"


@pytest.mark.parametrize(
    "url",
    [
        *("night", "sqlite:///study.db", "postgresql://me:secret@host", ""),
        *("mysql://me:secret@host/x", "mysql://host/x?password=secret", "postgresql://?pwd=secret"),
        *("postgresql://me:se@secret:x@host/studies", "postgresql://me:1@secret@host/studies"),
    ],
)
def test_what_is_not_a_postgresql_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InputError, match="--storage") as caught:
        server_address(url)
    assert "secret" not in str(caught.value)
    assert "such as postgresql://me@host/studies" in str(caught.value)


def test_what_optuna_wraps_is_one_sentence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its storage connects before anything of ours can listen to the errors."""

    def storage(*arguments: object, **options: object) -> None:
        refused = Exception("connection failed: FATAL:  sorry, too many clients already")
        wrapped = optuna.exceptions.StorageInternalError("An exception is raised on commit.")
        raise wrapped from sa.exc.OperationalError("SELECT 1", {}, refused)

    monkeypatch.setattr(optuna.storages, "RDBStorage", storage)
    with pytest.raises(DatabaseAway, match="too many clients already") as caught:
        Database.open("postgresql+psycopg://me@host/studies")
    assert "how many connections the server allows" in str(caught.value)


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    address = server_address("postgresql://me:secret@127.0.0.1:1/studies")
    with pytest.raises(DatabaseAway, match="cannot be reached") as caught:
        RunRecords.open(address, "night")
    assert "secret" not in str(caught.value)
    assert "PGPASSWORD" in str(caught.value)
