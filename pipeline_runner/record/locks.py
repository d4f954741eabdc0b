"""Who is at a pipeline: one runner at a time, and the kernel lets go of it when that dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline_runner.classes import dataclass
from pipeline_runner.hashing import sha256
from pipeline_runner.record.errors import StoreError
from pipeline_runner.typed import IO

_ours: dict[Path, str] = {}
"""Locks of this very process. POSIX locks are a process's, so the kernel would let a second thread have them too;
flock's would be inherited by forked workers, and an orphan could keep them."""

_guard = threading.Lock()
_STORE = "store.lock"  # shared by all who have the folder open for a run


class Locked(StoreError):
    """Another runner is at this pipeline."""

    def __init__(self, path: Path, owner: dict[str, object]) -> None:
        self.owner = owner
        since = f", since {owner['since']}" if owner.get("since") else ""
        who = f"pid {owner['pid']}{since}" if owner.get("pid") else "a process that has not said its name"
        super().__init__(path, f"this pipeline is being run already ({who})", "wait until it has ended, or end it")


def lock_file(folder: Path, pipeline: str) -> Path:
    """Where a pipeline's lock is in a state folder, held or not."""
    name = sha256(pipeline.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return folder / "locks" / f"{name}.lock"


@dataclass
class Lock:
    """Held while a run goes on."""

    path: Path
    files: tuple[IO[str], ...]

    def release(self) -> None:
        with _guard:
            _ours.pop(self.path, None)
            last = not any(path.parent == self.path.parent for path in _ours)
            self.files[0].close()
            if last:  # closing any file of a lock gives up the lock of the whole process
                for file in _kept.pop(self.path.parent, []):
                    file.close()


_kept: dict[Path, list[IO[str]]] = {}  # by folder: the shared lock's files


def take_lock(folder: Path, name: str, run: str) -> Lock:
    """Be the only one of this name. Errors: Locked, at once; OSError."""
    path = folder / f"{name}.lock"
    told = {"pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S"), "run": run}
    with _guard:
        if path in _ours:
            raise Locked(path, json.loads(_ours[path]))
        file = _open(path)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with file:
                raise Locked(path, owner_told(file.read())) from None
        try:
            if folder not in _kept:
                shared = _open(folder / _STORE)
                fcntl.lockf(shared, fcntl.LOCK_SH)
                _kept[folder] = [shared]
            file.seek(0)
            file.truncate()
            file.write(json.dumps(told))
            file.flush()
        except BaseException:
            file.close()
            raise
        _ours[path] = json.dumps(told)
        return Lock(path, (file,))


def held_here(path: Path) -> str | None:
    """The run of this very process that holds a lock, or None."""
    return str(json.loads(_ours[path])["run"]) if path in _ours else None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Have the folder to oneself: no run is at it. Errors: StoreError, at once."""
    busy = StoreError(folder.parent, "its journal is damaged, and another run is at it", "wait until that has ended")
    with _guard:
        if any(path.parent == folder for path in _ours):
            raise busy
        with _open(folder / _STORE) as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise busy from None
            yield


def alive(pid: str) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _open(path: Path) -> IO[str]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")


def owner_told(text: str) -> dict[str, object]:
    """What a lock's file says of who took it last; nothing where that cannot be read."""
    try:
        owner = json.loads(text)
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}
