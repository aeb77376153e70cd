"""The database of a run: one place that knows its kinds, opens it and checks its version.

Optuna's study and the ledger share it, over one engine. What holds for SQLite alone is here and
nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import optuna
import sqlalchemy as sa

from mergesearch import __version__
from mergesearch._system.closing import Closing
from mergesearch.errors import RunFolderError
from mergesearch.study.ledger import runs
from mergesearch.study.ledger.tables import RUN, SCHEMA, SCHEMA_VERSION, metadata
from mergesearch.study.records import RunRecord

_WAIT_SECONDS = 60.0  # for another process to end its transaction


class Database(Closing):
    """An open database.

    Attributes:
        storage: Optuna's storage in it.
        engine: Engine that the storage and the ledger use.
    """

    def __init__(self, storage: optuna.storages.RDBStorage) -> None:
        self.storage = storage
        self.engine: sa.Engine = storage.engine

    @classmethod
    def open(cls, url: str) -> Database:
        """Open a database that holds a run for reading; who writes it is not disturbed.

        Raises:
            RunFolderError: It cannot be read.
        """
        with _explained(url):
            return cls(_storage(_reading(url), skip_table_creation=True))

    @classmethod
    def create(cls, url: str) -> Database:
        """Open a database for writing; its tables are made where they are missing.

        A file keeps a write-ahead log, so that reading never waits for writing.

        Raises:
            RunFolderError: It cannot be used, holds other tables, or was written by another
                version.
        """
        with _engine(url) as engine, _explained(url):
            if not _has_schema(engine, url):
                if is_file(url):
                    _refuse_foreign(engine, url)
                _make_tables(engine)
            if is_file(url):
                with engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        with _explained(url):
            return cls(_storage(url))

    def close(self) -> None:
        """Close every connection; a file's write-ahead log is folded into it."""
        self.storage.remove_session()
        self.engine.dispose()


def runs_of(url: str) -> dict[int, RunRecord]:
    """Return the runs on record by their id in the ledger; none where there is no database yet.

    Raises:
        RunFolderError: The database cannot be read, or was written by another version.
    """
    file = _file(url)
    if file is not None and not file.is_file():
        return {}
    with _engine(_reading(url)) as engine, _explained(url):
        return runs(engine) if _has_schema(engine, url) else {}


def sqlite_url(file: Path) -> str:
    """Return the URL of a database file; any character may be in its path."""
    return _file_url(file)


def location(url: str) -> Path | str:
    """Return what a message names a database by: its file, or its URL without the password."""
    return _file(url) or str(sa.make_url(url))


def is_file(url: str) -> bool:
    """Whether a database is a file, which holds one run; that of a server may hold many."""
    return _file(url) is not None


def _file(url: str) -> Path | None:
    """The file of an SQLite URL, None for a server."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    name = parsed.database or ""
    return Path(unquote(name.removeprefix("file:")) if name.startswith("file:") else name)


def _file_url(file: Path, **options: str) -> str:
    """A URL that names a file by a URI within it, whose escapes allow for every character."""
    url = sa.URL.create(
        "sqlite",
        database=f"file:{quote(str(file.absolute()))}",
        query={**options, "uri": "true"},
    )
    return url.render_as_string(hide_password=False)


def _reading(url: str) -> str:
    """The URL that opens a database for reading only, where its kind knows the difference."""
    file = _file(url)
    return url if file is None else _file_url(file, mode="ro")


def _options(url: str) -> dict[str, Any]:
    return {} if _file(url) is None else {"connect_args": {"timeout": _WAIT_SECONDS}}


@contextmanager
def _engine(url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(url, **_options(url))
    try:
        yield engine
    finally:
        engine.dispose()


def _storage(url: str, **options: Any) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(url, engine_kwargs=_options(url), **options)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn what a driver or Optuna says of a database that cannot be used into one sentence."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        copied = "a copy of a run needs study.db-wal too, and a folder that can be written"
        unreadable = is_file(url) and isinstance(error, sa.exc.OperationalError)
        raise RunFolderError(
            f"it cannot be used: {error.orig}",
            where=location(url),
            fix=copied if unreadable else None,
        ) from error
    except RuntimeError as error:  # Optuna's tables are those of another version of Optuna
        raise RunFolderError(f"it cannot be used: {error}", where=location(url)) from error


def _has_schema(engine: sa.Engine, url: str) -> bool:
    """Whether the tables are there.

    Raises:
        RunFolderError: They are those of another version.
    """
    names = sa.inspect(engine).get_table_names()
    written_by = None
    if SCHEMA.name in names:
        with engine.connect() as connection:
            row = connection.execute(sa.select(SCHEMA)).one_or_none()
        if row is None or row.version == SCHEMA_VERSION:
            return row is not None
        written_by = row.written_by
    elif RUN.name in names:
        written_by = "mergesearch 0.2"  # the first versions did not say
    if written_by is not None:
        raise RunFolderError(
            f"it was written by {written_by}, which alone can read it",
            where=location(url),
            fix=f"use {written_by} for this run, or start a new one",
        )
    return False


def _refuse_foreign(engine: sa.Engine, url: str) -> None:
    foreign = set(sa.inspect(engine).get_table_names()) - set(metadata.tables)
    if foreign:
        raise RunFolderError(
            f"it holds tables that are not a run's, such as {min(foreign)}", where=location(url)
        )


def _make_tables(engine: sa.Engine) -> None:
    """Make the tables, the version first: what a kill leaves is then told from an old run."""
    SCHEMA.create(engine, checkfirst=True)
    metadata.create_all(engine)
    with engine.begin() as connection:
        written_by = f"mergesearch {__version__}"
        connection.execute(SCHEMA.insert(), {"version": SCHEMA_VERSION, "written_by": written_by})
