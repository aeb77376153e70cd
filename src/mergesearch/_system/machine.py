"""What this process may use of the machine it runs on."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mergesearch._system.control_groups import core_quota, memory_left


def available_cores() -> int:
    """How many cores this process may use.

    The least of those that it is bound to, the quota of its control groups, what Slurm gave the
    task that it is (not every cluster binds a task to its cores), and its share among workers.
    """
    if hasattr(os, "sched_getaffinity"):
        bound = len(os.sched_getaffinity(0))
    else:
        bound = os.cpu_count() or 1
    limits = [bound, core_quota(), _named("SLURM_CPUS_PER_TASK"), _named(_SHARE)]
    return min(limit for limit in limits if limit)


def take_share_of_cores(index: int, count: int) -> None:
    """Let this process and its children use only their share of the cores.

    Args:
        index: Place of this process among those that share the cores, from 0.
        count: Number of processes that share them; where they are more, some share a core.
    """
    share = -(-available_cores() // count)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        first, end = (len(cores) * place // count for place in (index, index + 1))
        os.sched_setaffinity(0, cores[first:end] or [cores[index % len(cores)]])
    os.environ[_SHARE] = str(share)


def available_memory() -> int | None:
    """Bytes that this process may still take without swapping; None where the system hides it.

    The smaller of what is free (MemAvailable of /proc/meminfo) and what its control groups leave.
    """
    free, left = _mem_available(), memory_left()
    return free if free is None or left is None else min(free, left)


def seconds_asleep() -> float:
    """Return how long the machine has slept since it was started; 0 where the system hides it."""
    for awake, always in (("MONOTONIC", "BOOTTIME"), ("UPTIME_RAW", "MONOTONIC_RAW")):
        names = [f"CLOCK_{awake}", f"CLOCK_{always}"]
        if all(hasattr(time, name) for name in names):  # those of Linux, or of macOS
            least, most = (time.clock_gettime(getattr(time, name)) for name in names)
            return max(0.0, most - least)
    return 0.0


_SHARE = "MERGESEARCH_CORES"  # number of cores of one of several workers


def _named(variable: str) -> int | None:
    """The number in an environment variable, None where there is none."""
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else None


def _mem_available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(found[0]) if found else None
