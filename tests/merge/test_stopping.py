"""A build ends where it or all builds are stopped."""

from __future__ import annotations

import threading

import pytest

from mergesearch.errors import Interrupted
from mergesearch.merge.stopping import Stopping


def test_one_build_is_stopped_without_the_others() -> None:
    asked = threading.Event()
    one, other = Stopping(asked), Stopping(asked)
    one.stop()
    with pytest.raises(Interrupted):
        one.check()
    other.check()
    assert not asked.is_set()


def test_whoever_shares_the_event_stops_all() -> None:
    asked = threading.Event()
    builds = [Stopping(asked), Stopping(asked)]
    asked.set()
    for build in builds:
        with pytest.raises(Interrupted):
            build.check()
    Stopping().check()
