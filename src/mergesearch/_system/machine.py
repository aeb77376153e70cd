"""What this process may use of the machine it runs on.

Control groups of Linux, those of containers and batch systems, may leave it less than there is. A
group is limited by those around it too. Both versions are known, since clusters still use the
first one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path


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


# -- control groups --------------------------------------------------------------------------------

_MOUNT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")  # lines such as "0::/job_7" and "4:memory:/job_7", first version
_MEMORY = {  # file with the limit, and counts of what cannot be dropped; the page cache can
    "memory.max": ("anon", "shmem", "kernel"),
    "memory.limit_in_bytes": ("total_rss", "total_shmem"),
}


def memory_left() -> int | None:
    """Return the bytes that the tightest group leaves, None where none has a limit."""
    left = [
        limit - _used(group, counts)
        for group in _groups("memory")
        for name, counts in _MEMORY.items()
        if (limit := _number(group / name)) is not None
    ]
    return max(0, min(left)) if left else None


def core_quota() -> int | None:
    """Return how many cores' time the tightest group has, None where none has a quota."""
    quotas = [quota for group in _groups("cpu") if (quota := _quota(group)) is not None]
    return max(1, int(min(quotas))) if quotas else None


def _groups(controller: str) -> Iterator[Path]:
    """Folders of this process's group and of those around it, as far as they can be seen."""
    for line in _text(_OWN).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            mount = _MOUNT / controller if controllers else _MOUNT
            own = Path(path.lstrip("/"))
            yield from (mount / group for group in (own, *own.parents))


def _used(group: Path, names: tuple[str, ...]) -> int:
    counts = dict(line.split() for line in _text(group / "memory.stat").splitlines())
    return sum(int(counts.get(name, 0)) for name in names)


def _quota(group: Path) -> float | None:
    """Processor time of a group for each second, in seconds; None without a quota."""
    numbers = _text(group / "cpu.max").split() or [  # "200000 100000", or "max 100000"
        _text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
    ]
    return int(numbers[0]) / int(numbers[1]) if all(map(str.isdecimal, numbers)) else None


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None  # else absent, or "max"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
