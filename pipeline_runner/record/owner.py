"""Who is at a pipeline now: asked of the kernel, which knows whose lock it is and forgets the dead."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from pathlib import Path

from pipeline_runner.classes import dataclass
from pipeline_runner.record.locks import Locked, held_here, lock_file, owner_told
from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.record.store import Store

# struct flock: what it has is the same everywhere, the order of it is not.
_FLOCK = "qqihh" if sys.platform == "darwin" else "hhqqi4x"


@dataclass(frozen=True)
class Owner:
    """A runner at work."""

    pid: int
    run: str  # empty: it has not said yet


def owner(store: Store, pipeline: str) -> Owner | None:
    """The runner that is at a pipeline, or None.

    The lock is looked at and not tried: for the moment of a try, a runner that is just starting would be refused.
    """
    path = lock_file(store.folder, pipeline)
    own = held_here(path)
    if own is not None:
        return Owner(os.getpid(), own)
    told = _told(path)
    return None if told is None else Owner(told["pid"], str(told.get("run", "")))


def refuse_second(folder: Path, pipeline: str) -> None:
    """Refuse to run a pipeline that another process is at. Errors: Locked.

    It is refused again when the lock is taken. But this asks for nothing of ours, not even for the pipeline to be
    read, so whoever has started it twice hears of it in 0.3 s and not in 0.9 s.
    """
    path = lock_file(folder, pipeline)
    if held_here(path) is not None:
        return  # to close its file would give up the lock; taking it is refused soon enough
    told = _told(path)
    if told is not None:
        raise Locked(path, told)


def _told(path: Path) -> dict[str, Any] | None:
    """What the process that holds a lock has told of itself, with its pid from the kernel; None: nobody holds it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        pid = _holder(file)
        return None if pid is None else {**owner_told(os.read(file, 4096).decode("utf-8", "replace")), "pid": pid}
    finally:
        os.close(file)


def _holder(file: int) -> int | None:
    asked = (0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET) if _FLOCK[0] == "q" else (fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    told = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(_FLOCK, *asked)))
    pid, kind = (told[2], told[3]) if _FLOCK[0] == "q" else (told[4], told[0])
    return None if kind == fcntl.F_UNLCK else int(pid)
