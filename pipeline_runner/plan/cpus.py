"""How many CPUs this process may use: not how many the machine has, but what scheduler and container allow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil

from pipeline_runner.cgroups import Read, folders, text


def usable() -> int:
    """CPUs by affinity, and by the quota of the control groups that we are in; at least 1."""
    quota = cgroup_quota(text)
    count = _by_affinity()
    return count if quota is None else max(1, min(count, ceil(quota)))


def _by_affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cgroup_quota(read: Read) -> float | None:
    """The smallest CPU quota of our control group and those above it, in CPUs; None: no quota."""
    limits = [limit for path in folders("cpu", read) for limit in _limits(read, path)]
    return min(limits, default=None)


def _limits(read: Read, folder: str) -> Iterator[float]:
    both = (read(f"{folder}/cpu.max") or "").split()
    if len(both) != 2:
        both = [(read(f"{folder}/cpu.cfs_{part}_us") or "").strip() for part in ("quota", "period")]
    quota, period = both
    if quota.isdigit() and period.isdigit() and int(period):
        yield int(quota) / int(period)
