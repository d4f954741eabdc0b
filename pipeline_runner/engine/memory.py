"""How much memory there is for us: what the machine has left, and what the container allows."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_runner.cgroups import Read, folders, text


def available_bytes(read: Read = text) -> int:
    """What can be taken before something has to be swapped out or killed; 0 where nobody says."""
    machine = [int(line.split()[1]) << 10 for line in (read("/proc/meminfo") or "").splitlines() if "MemAvail" in line]
    groups = [left for folder in folders("memory", read) for left in _left(read, folder)]
    return max(0, min([*machine, *groups], default=0))


def _left(read: Read, folder: str) -> Iterator[int]:
    for most, now in (("max", "current"), ("limit_in_bytes", "usage_in_bytes")):
        limit, used = ((read(f"{folder}/memory.{name}") or "").strip() for name in (most, now))
        if limit.isdigit() and used.isdigit():
            yield int(limit) - int(used)
