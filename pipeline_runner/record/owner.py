"""Who is at a pipeline now: asked of the kernel, which knows whose lock it is and forgets the dead."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import sys
from dataclasses import dataclass

from pipeline_runner.record.locks import held_here
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
    path = store.lock_file(pipeline)
    own = held_here(path)
    if own is not None:
        return Owner(os.getpid(), own)
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        pid = _holder(file)
        return None if pid is None else Owner(pid, _run(os.read(file, 4096)))
    finally:
        os.close(file)


def _holder(file: int) -> int | None:
    asked = (0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET) if _FLOCK[0] == "q" else (fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    told = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(_FLOCK, *asked)))
    pid, kind = (told[2], told[3]) if _FLOCK[0] == "q" else (told[4], told[0])
    return None if kind == fcntl.F_UNLCK else int(pid)


def _run(text: bytes) -> str:
    try:
        return str(json.loads(text)["run"])
    except (ValueError, TypeError, KeyError):
        return ""
