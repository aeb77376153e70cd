"""Cores and memory, as /proc and control groups tell them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mergesearch._system import machine
from mergesearch._system.machine import core_quota, memory_left


def test_memory_is_the_smaller_of_what_is_free_and_what_the_groups_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def available(free: int | None, left: int | None) -> int | None:
        monkeypatch.setattr(machine, "_mem_available", lambda: free)
        monkeypatch.setattr(machine, "memory_left", lambda: left)
        return machine.available_memory()

    assert available(3000, None) == 3000
    assert available(3000, 1000) == 1000
    assert available(3000, 9000) == 3000
    assert available(3000, 0) == 0
    assert available(None, 1000) is None


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="needs /proc")
def test_free_memory_is_in_bytes() -> None:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    total = next(int(line.split()[1]) for line in lines if line.startswith("MemTotal:"))
    free = machine.available_memory()
    assert free is not None
    assert 1_000_000 < free <= total * 1024


def test_cores_are_those_that_this_process_may_use() -> None:
    if hasattr(os, "sched_getaffinity"):
        assert 1 <= machine.available_cores() <= len(os.sched_getaffinity(0))
    assert machine.available_cores() >= 1


@pytest.mark.parametrize(
    ("quota", "slurm", "share", "cores"),
    [
        (None, "", "", 5),
        (3, "", "", 3),
        (64, "", "", 5),
        (None, "2", "", 2),
        (None, "many", "", 5),
        (4, "3", "2", 2),
        (1, "3", "2", 1),
    ],
)
def test_cores_are_the_least_of_all_limits(
    monkeypatch: pytest.MonkeyPatch, quota: int | None, slurm: str, share: str, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {2, 3, 5, 7, 11}, raising=False)
    monkeypatch.setattr(machine, "core_quota", lambda: quota)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", slurm)
    monkeypatch.setenv("MERGESEARCH_CORES", share)
    assert machine.available_cores() == cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be bound")
def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {2, 3, 5, 7, 11})
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: taken.append(list(cores)))
    monkeypatch.setattr(os, "environ", {})
    for index in range(2):
        machine.take_share_of_cores(index, 2)
    for index in range(7):
        machine.take_share_of_cores(index, 7)
    assert taken[:2] == [[2, 3], [5, 7, 11]]
    assert all(len(cores) == 1 for cores in taken[2:])
    assert {cores[0] for cores in taken[2:]} == {2, 3, 5, 7, 11}


@pytest.mark.parametrize(("quota", "share"), [(None, 3), (4, 2), (1, 1)])
def test_a_share_of_a_quota_is_no_more_than_that(
    monkeypatch: pytest.MonkeyPatch, quota: int | None, share: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {2, 3, 5, 7, 11}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: None, raising=False)
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(machine, "core_quota", lambda: quota)
    machine.take_share_of_cores(0, 2)
    assert machine.available_cores() == share


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


Group = Callable[..., None]
NO_LIMIT = 9223372036854771712  # what the first version says instead of "max"


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    """Writes files of a group: its folder, then a text for each name, "_" standing for dots."""
    monkeypatch.setattr(machine, "_MOUNT", tmp_path)
    monkeypatch.setattr(machine, "_OWN", tmp_path / "own")

    def write(folder: str, **texts: object) -> None:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (tmp_path / folder / name.replace("__", ".")).write_text(f"{text}\n", "ascii")

    return write


def second(group: Group, path: str = "/") -> None:
    """Let the process be in a group of the second version."""
    group(".", own=f"0::{path}")


def first(group: Group, path: str) -> None:
    """Let the process be in groups of the first version, as Slurm makes them."""
    group(".", own=f"9:name=systemd:/\n4:memory:{path}\n1:cpu,cpuacct:{path}\n0::/")


def test_without_limits_nothing_is_said(group: Group) -> None:
    assert (memory_left(), core_quota()) == (None, None)
    second(group)
    assert (memory_left(), core_quota()) == (None, None)
    group(".", memory__max="max", cpu__max="max 100000")
    assert (memory_left(), core_quota()) == (None, None)


def test_a_group_leaves_its_limit_less_what_cannot_be_dropped(group: Group) -> None:
    second(group)
    group(".", memory__max=1000, memory__stat="anon 300\nfile 600\nshmem 10\nkernel 5")
    assert memory_left() == 1000 - 300 - 10 - 5


def test_a_full_group_leaves_nothing_and_one_without_counts_has_used_nothing(group: Group) -> None:
    second(group)
    group(".", memory__max=1000)
    assert memory_left() == 1000
    group(".", memory__stat="anon 2000")
    assert memory_left() == 0


def test_groups_around_a_group_limit_it_too(group: Group) -> None:
    second(group, "/slurm/job_7/step_0")
    group("slurm/job_7/step_0", memory__max="max", cpu__max="max 100000")
    group("slurm/job_7", memory__max=1000, memory__stat="anon 300", cpu__max="400000 100000")
    group("slurm", memory__max=9000, memory__stat="anon 8500", cpu__max="800000 100000")
    assert memory_left() == 500
    assert core_quota() == 4


def test_a_group_whose_folder_is_not_seen_in_a_container_is_that_at_the_top(group: Group) -> None:
    second(group, "/docker/0123")
    group(".", memory__max=1000, cpu__max="200000 100000")
    assert memory_left() == 1000
    assert core_quota() == 2


def test_groups_of_the_first_version(group: Group) -> None:
    first(group, "/slurm/job_7")
    counts = "rss 1\ntotal_rss 300\ntotal_shmem 10\ntotal_cache 600"
    group("memory", memory__limit_in_bytes=NO_LIMIT, memory__stat="total_rss 5000")
    group("memory/slurm/job_7", memory__limit_in_bytes=1000, memory__stat=counts)
    group("cpu", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000)
    group("cpu/slurm/job_7", cpu__cfs_quota_us=250000, cpu__cfs_period_us=100000)
    assert memory_left() == 1000 - 300 - 10
    assert core_quota() == 2


def test_less_than_a_core_is_one(group: Group) -> None:
    second(group)
    group(".", cpu__max="50000 100000")
    assert core_quota() == 1
