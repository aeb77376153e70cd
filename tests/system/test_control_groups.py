"""Limits of control groups, of both versions, with those around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mergesearch._system import control_groups
from mergesearch._system.control_groups import core_quota, memory_left

Group = Callable[..., None]
NO_LIMIT = 9223372036854771712  # what the first version says instead of "max"


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    """Writes files of a group: its folder, then a text for each name, "_" standing for dots."""
    monkeypatch.setattr(control_groups, "_MOUNT", tmp_path)
    monkeypatch.setattr(control_groups, "_OWN", tmp_path / "own")

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
