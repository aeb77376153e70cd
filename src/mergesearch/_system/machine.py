"""What this process may use of the machine it runs on."""

from __future__ import annotations

import os
import time
from pathlib import Path


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return int(os.environ.get(_SHARE, 0)) or os.cpu_count() or 1


def take_share_of_cores(index: int, count: int) -> None:
    """Let this process and its children use only their share of the cores.

    Args:
        index: Place of this process among those that share the cores, from 0.
        count: Number of processes that share them; where they are more, some share a core.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        first, end = (len(cores) * place // count for place in (index, index + 1))
        os.sched_setaffinity(0, cores[first:end] or [cores[index % len(cores)]])
    else:
        os.environ[_SHARE] = str(max(1, available_cores() // count))


def available_memory() -> int | None:
    """Bytes that this process may still take without swapping; None where the system hides it.

    The smaller of what is free (MemAvailable of /proc/meminfo) and what a control group leaves.
    """
    free = _mem_available()
    if free is None:
        return None
    limit = _number(_CGROUP / "memory.max")
    return free if limit is None else min(free, max(0, limit - _cgroup_used()))


def seconds_asleep() -> float:
    """Return how long the machine has slept since it was started; 0 where the system hides it."""
    for awake, always in (("MONOTONIC", "BOOTTIME"), ("UPTIME_RAW", "MONOTONIC_RAW")):
        names = [f"CLOCK_{awake}", f"CLOCK_{always}"]
        if all(hasattr(time, name) for name in names):  # those of Linux, or of macOS
            least, most = (time.clock_gettime(getattr(time, name)) for name in names)
            return max(0.0, most - least)
    return 0.0


_CGROUP = Path("/sys/fs/cgroup")
_SHARE = "MERGESEARCH_CORES"  # of a process where the system cannot bind it to cores


def _mem_available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(found[0]) if found else None


def _cgroup_used() -> int:
    """Memory of the control group that cannot be dropped; the page cache can."""
    try:
        text = (_CGROUP / "memory.stat").read_text(encoding="ascii")
    except OSError:
        return 0
    counts = dict(line.split() for line in text.splitlines())
    return sum(int(counts.get(name, 0)) for name in ("anon", "shmem", "kernel"))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # absent, or "max"
        return None
