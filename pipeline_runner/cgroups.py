"""Where the kernel writes what our control groups, a container's among them, may take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

Read = Callable[[str], str | None]  # a file's text, or None when it cannot be read


def text(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except OSError:
        return None


def folders(controller: str, read: Read) -> Iterator[str]:
    """Folders in which a limit of this controller ("cpu", "memory") may be written, under both versions of groups.

    Our own group and those above it. Inside a container the group's path is often that of the host, and its files
    lie at the root of the mount: so the root is always among them.
    """
    for line in (read("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # Version 2 has no controllers in its line. Version 1 mounts "cpu,cpuacct" with a link "cpu".
        root = f"/sys/fs/cgroup/{controller}" if controllers else "/sys/fs/cgroup"
        here = PurePosixPath(path)
        for folder in (here, *here.parents):
            yield root + ("" if str(folder) == "/" else str(folder))
