"""Cores and memory, as /proc and control groups tell them."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mergesearch._system import machine


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control group's folder, on a machine of which 3,000,000 bytes are free."""
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine, "_mem_available", lambda: 3_000_000)
    return tmp_path


def limit(group: Path, text: str, anon: int = 0, file: int = 0) -> None:
    (group / "memory.max").write_text(text, encoding="ascii")
    stat = f"anon {anon}\nfile {file}\nshmem 10\nkernel 5\n"
    (group / "memory.stat").write_text(stat, encoding="ascii")


def test_without_a_limit_it_is_what_is_free(group: Path) -> None:
    assert machine.available_memory() == 3_000_000
    limit(group, "max\n")
    assert machine.available_memory() == 3_000_000


def test_a_group_leaves_its_limit_less_what_cannot_be_dropped(group: Path) -> None:
    limit(group, "1000\n", anon=300, file=600)
    assert machine.available_memory() == 1000 - 300 - 10 - 5


def test_a_full_group_leaves_nothing(group: Path) -> None:
    limit(group, "1000\n", anon=2000)
    assert machine.available_memory() == 0


def test_a_limit_above_what_is_free_changes_nothing(group: Path) -> None:
    limit(group, "9000000\n")
    assert machine.available_memory() == 3_000_000


def test_a_group_without_counts_has_used_nothing(group: Path) -> None:
    (group / "memory.max").write_text("1000\n", encoding="ascii")
    assert machine.available_memory() == 1000


def test_where_the_system_hides_it_nothing_is_said(
    group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(group, "1000\n")
    monkeypatch.setattr(machine, "_mem_available", lambda: None)
    assert machine.available_memory() is None


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="needs /proc")
def test_free_memory_is_in_bytes() -> None:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    total = next(int(line.split()[1]) for line in lines if line.startswith("MemTotal:"))
    free = machine.available_memory()
    assert free is not None
    assert 1_000_000 < free <= total * 1024


def test_cores_are_those_that_this_process_may_use() -> None:
    if hasattr(os, "sched_getaffinity"):
        assert machine.available_cores() == len(os.sched_getaffinity(0))
    assert machine.available_cores() >= 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be bound")
def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {2, 3, 5, 7, 11})
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: taken.append(list(cores)))
    for index in range(2):
        machine.take_share_of_cores(index, 2)
    for index in range(7):
        machine.take_share_of_cores(index, 7)
    assert taken[:2] == [[2, 3], [5, 7, 11]]
    assert all(len(cores) == 1 for cores in taken[2:])
    assert {cores[0] for cores in taken[2:]} == {2, 3, 5, 7, 11}


def test_a_machine_that_never_sleeps_has_not_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    first = machine.seconds_asleep()
    assert first >= 0.0
    assert machine.seconds_asleep() == pytest.approx(first, abs=0.01)
    monkeypatch.setattr(machine, "time", SimpleNamespace())
    assert machine.seconds_asleep() == 0.0


@pytest.mark.parametrize(
    ("awake", "always"),
    [("CLOCK_MONOTONIC", "CLOCK_BOOTTIME"), ("CLOCK_UPTIME_RAW", "CLOCK_MONOTONIC_RAW")],
)
def test_how_long_it_slept_is_told_by_two_clocks(
    monkeypatch: pytest.MonkeyPatch, awake: str, always: str
) -> None:
    clocks = {awake: 1, always: 2, "clock_gettime": lambda clock: {1: 500.0, 2: 800.0}[clock]}
    monkeypatch.setattr(machine, "time", SimpleNamespace(**clocks))
    assert machine.seconds_asleep() == 300.0
