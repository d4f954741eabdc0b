"""How many CPUs this process may use: not how many the machine has, but what scheduler and container allow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path, PurePosixPath

Read = Callable[[str], str | None]  # a file's text, or None when it cannot be read


def usable() -> int:
    """CPUs by affinity, and by the quota of the control groups that we are in; at least 1."""
    quota = cgroup_quota(_text)
    count = _by_affinity()
    return count if quota is None else max(1, min(count, ceil(quota)))


def _by_affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except OSError:
        return None


def cgroup_quota(read: Read) -> float | None:
    """The smallest CPU quota of our control group and those above it, in CPUs; None: no quota.

    Inside a container the group's path is often that of the host, and its files lie at the root
    of the mount: so the root is always asked too.
    """
    limits = [limit for path in _groups(read) for limit in _limits(read, path)]
    return min(limits, default=None)


def _groups(read: Read) -> Iterator[str]:
    """Folders in which a quota may be written, under both versions of control groups."""
    for line in (read("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 2 has no controllers in its line. Version 1 mounts "cpu,cpuacct" with a link "cpu".
        root = "/sys/fs/cgroup/cpu" if controllers else "/sys/fs/cgroup"
        here = PurePosixPath(path)
        for folder in (here, *here.parents):
            yield root + ("" if str(folder) == "/" else str(folder))


def _limits(read: Read, folder: str) -> Iterator[float]:
    both = (read(f"{folder}/cpu.max") or "").split()
    if len(both) != 2:
        both = [(read(f"{folder}/cpu.cfs_{part}_us") or "").strip() for part in ("quota", "period")]
    quota, period = both
    if quota.isdigit() and period.isdigit() and int(period):
        yield int(quota) / int(period)
