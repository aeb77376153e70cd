"""What the control groups of Linux leave to this process: those of containers and batch systems.

A group is limited by those around it too. Both versions are known, since clusters still use the
first one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
