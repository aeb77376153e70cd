"""Databases of tests are not flushed to the disk: no test is about a failure of power."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa


def _unflushed(connection: Any, record: object) -> None:
    with suppress(sqlite3.Error):  # a damaged file, which the test is about
        connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(autouse=True, scope="module")
def _without_flushing() -> Iterator[None]:
    sa.event.listen(sa.Engine, "connect", _unflushed)
    yield
    sa.event.remove(sa.Engine, "connect", _unflushed)
