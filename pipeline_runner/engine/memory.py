"""How much memory there is for us: what the machine has left, and what the container allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

Read = Callable[[str], str | None]  # a file's text, or None when it cannot be read


def available_bytes(read: Read = lambda path: _text(path)) -> int:
    """What can be taken before something has to be swapped out or killed; 0 where nobody says."""
    machine = [int(line.split()[1]) << 10 for line in (read("/proc/meminfo") or "").splitlines() if "MemAvail" in line]
    groups = [left for folder in _groups(read) for left in _left(read, folder)]
    return max(0, min([*machine, *groups], default=0))


def _groups(read: Read) -> Iterator[str]:
    """Folders in which a limit may be written, under both versions of control groups; the root of the mount too, where
    a container has its own."""
    for line in (read("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = "/sys/fs/cgroup/memory" if controllers else "/sys/fs/cgroup"
        here = PurePosixPath(path)
        for folder in (here, *here.parents):
            yield root + ("" if str(folder) == "/" else str(folder))


def _left(read: Read, folder: str) -> Iterator[int]:
    for most, now in (("max", "current"), ("limit_in_bytes", "usage_in_bytes")):
        limit, used = ((read(f"{folder}/memory.{name}") or "").strip() for name in (most, now))
        if limit.isdigit() and used.isdigit():
            yield int(limit) - int(used)


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except OSError:
        return None
