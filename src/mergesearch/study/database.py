"""The database of a run: one place that knows its kinds, opens it and checks its version.

Optuna's study and the ledger share it, over one engine. What holds for SQLite alone is here and
nowhere else.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import optuna
import sqlalchemy as sa

from mergesearch import __version__
from mergesearch._system.closing import Closing
from mergesearch.errors import DatabaseAway, MergeSearchError, RunFolderError, StorageError
from mergesearch.study.ledger import runs
from mergesearch.study.ledger.tables import RUN, SCHEMA, SCHEMA_VERSION, metadata
from mergesearch.study.records import RunRecord
from mergesearch.study.servers import connection_options, is_away
from mergesearch.study.waiting import WAIT_SECONDS, ServerWait, waiting

_READING_SECONDS = 60.0  # time that another process has to end its transaction
_usable_tables: set[str] = set()  # versions of Optuna's tables that were found to be its own


class Database(Closing):
    """An open database.

    Attributes:
        storage: Optuna's storage in it.
        engine: Engine that the storage and the ledger use.
        server_wait: What waits for its server.
    """

    def __init__(
        self, storage: optuna.storages.RDBStorage, server_wait: ServerWait | None = None
    ) -> None:
        self.storage = storage
        self.engine: sa.Engine = storage.engine
        self.server_wait = server_wait or ServerWait()

    @classmethod
    def open(cls, url: str) -> Database:
        """Open a database that holds a run for reading; who writes it is not disturbed.

        Raises:
            RunFolderError: It cannot be read.
        """
        with _explained(url):
            return cls(_storage(_reading(url), skip_table_creation=True))

    @classmethod
    def create(cls, url: str, on_wait: Callable[[], None] = lambda: None) -> Database:
        """Open a database for writing; its tables are made where they are missing.

        A file keeps a write-ahead log, so that reading never waits for writing. What another
        process holds locked is waited for, and so is a server that goes away later.

        Args:
            url: SQLAlchemy URL of the database.
            on_wait: Function that is called twice a second while it waits; what it raises ends the
                waiting.

        Raises:
            RunFolderError: It cannot be used, holds other tables, or was written by another
                version.
            StorageError: The disk is full, or cannot be written; later methods raise it too.
        """
        with _engine(url, on_wait) as engine, _explained(url):
            if not _has_schema(engine, url):
                if is_file(url):
                    _refuse_foreign(engine, url)
                _make_tables(engine)
            if is_file(url):
                with engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        with _explained(url):
            return cls(_storage(url, on_wait), ServerWait(on_wait))

    def close(self) -> None:
        """Close every connection; a file's write-ahead log is folded into it."""
        self.storage.remove_session()
        self.engine.dispose()


def runs_of(url: str, name: str | None = None) -> dict[int, RunRecord]:
    """Return the runs on record by their id in the ledger; none where there is no database yet.

    Args:
        url: SQLAlchemy URL of the database.
        name: Name of the run that is meant, None for any; a file holds one run, whatever its name.

    Raises:
        RunFolderError: The database cannot be read, or was written by another version.
    """
    file = _file(url)
    if file is not None and not file.is_file():
        return {}
    with _engine(_reading(url)) as engine, _explained(url):
        found = runs(engine) if _has_schema(engine, url) else {}
    any_name = name is None or is_file(url)
    return {run_id: run for run_id, run in found.items() if any_name or run.name == name}


def sqlite_url(file: Path, **options: str) -> str:
    """Return the URL of a database file; any character may be in its path.

    Args:
        **options: Options of SQLite's URI.
    """
    url = sa.URL.create(
        "sqlite",
        database=f"file:{quote(os.fsencode(file.absolute()))}",  # a URI; its escapes allow for all
        query={**options, "uri": "true"},
    )
    return url.render_as_string(hide_password=False)


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
    if name.startswith("file:"):
        return Path(os.fsdecode(unquote_to_bytes(name.removeprefix("file:"))))
    return Path(name)


def _reading(url: str) -> str:
    """The URL that opens a database for reading only, where its kind knows the difference."""
    file = _file(url)
    if file is None:
        return url
    log = file.with_name(f"{file.name}-wal")
    if not os.access(file.parent, os.W_OK) and not log.exists():
        return sqlite_url(file, immutable="1")  # the medium cannot be written
    return sqlite_url(file, mode="ro")


@contextmanager
def _engine(url: str, on_wait: Callable[[], None] | None = None) -> Iterator[sa.Engine]:
    engine = sa.create_engine(url, **engine_arguments(url, on_wait))
    _explain(engine, url)
    try:
        yield engine
    finally:
        engine.dispose()


def _storage(
    url: str, on_wait: Callable[[], None] | None = None, **others: Any
) -> optuna.storages.RDBStorage:
    storage = optuna.storages.RDBStorage(
        url,
        engine_kwargs=engine_arguments(url, on_wait),
        skip_compatibility_check=True,
        **others,
    )
    _explain(storage.engine, url)
    _check_tables(storage, url)
    return storage


def _check_tables(storage: optuna.storages.RDBStorage, url: str) -> None:
    """Check that Optuna's tables are those of the installed Optuna.

    Its own check imports the history of its tables at every opening, which takes longer than all
    else that an opening does.
    """
    version = storage.get_current_version()
    if version in _usable_tables:
        return
    if version != storage.get_head_version():
        older = version in storage.get_all_versions()
        raise RunFolderError(
            f"its study was written by {'an older' if older else 'a newer'} version of Optuna than"
            f" {optuna.__version__}",
            where=location(url),
            fix="run `optuna storage upgrade --storage URL`" if older else "update Optuna",
        )
    _usable_tables.add(version)


def engine_arguments(url: str, on_wait: Callable[[], None] | None = None) -> dict[str, Any]:
    """Return the arguments that SQLAlchemy's engine takes besides the URL.

    Args:
        url: SQLAlchemy URL of the database.
        on_wait: Function that is called twice a second while another process holds a file locked;
            None for a reader, which waits for a minute.
    """
    if not is_file(url):
        # Two are needed in a turn: who has them is never kept waiting by those who have none.
        return {"connect_args": connection_options(url), "pool_pre_ping": True, "pool_size": 2}
    if on_wait is None:
        return {"connect_args": {"timeout": _READING_SECONDS}}
    return {"connect_args": {"timeout": WAIT_SECONDS, "factory": waiting(on_wait)}}


def _explain(engine: sa.Engine, url: str) -> None:
    """Let a driver's errors become errors of ours, but for a row that is there already."""

    def explain(context: sa.engine.ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        if context.is_pre_ping or not isinstance(error, sa.exc.DBAPIError):
            return  # the pool connects anew
        if not is_file(url) and is_away(context):
            raise _away(error, url) from context.original_exception
        if not isinstance(error, sa.exc.IntegrityError):
            raise _unusable(error, url) from context.original_exception

    sa.event.listen(engine, "handle_error", explain)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn what a driver or Optuna says of a database that cannot be used into one sentence."""
    try:
        yield
    except (sa.exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
        said = error if isinstance(error, sa.exc.DBAPIError) else error.__cause__
        if not isinstance(said, sa.exc.DBAPIError):
            raise
        away = not is_file(url) and isinstance(said, sa.exc.OperationalError)
        raise (_away if away else _unusable)(said, url) from error


_PASSING = {
    sqlite3.SQLITE_FULL: "make room on the disk; the same command resumes from here",
    sqlite3.SQLITE_IOERR: "check the disk; the same command resumes from here",
    sqlite3.SQLITE_READONLY: "make it writable again; the same command resumes from here",
    sqlite3.SQLITE_BUSY: "another process holds it locked: end that one, then try again",
}
_LASTING = {
    sqlite3.SQLITE_CANTOPEN: "a copy of a run needs study.db-wal too, and a folder that can be"
    " written",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore a copy, or save what can be read of it with"
    " `sqlite3 study.db .recover`",
    sqlite3.SQLITE_NOTADB: "it is damaged: restore a copy",
}


def _away(error: sa.exc.DBAPIError, url: str) -> DatabaseAway:
    said = str(error.orig).strip().splitlines()
    return DatabaseAway(
        f"it cannot be reached: {said[0] if said else type(error.orig).__name__}",
        where=location(url),
        fix="start its server, or look at --storage, PGPASSWORD, ~/.pgpass and how many"
        " connections the server allows",
    )


def _unusable(error: sa.exc.DBAPIError, url: str) -> MergeSearchError:
    """One sentence and what to do; it depends on whether the same file may be used later."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    kind = StorageError if code in _PASSING else RunFolderError
    return kind(
        f"it cannot be used: {error.orig}",
        where=location(url),
        fix=(_PASSING | _LASTING).get(code),
    )


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
