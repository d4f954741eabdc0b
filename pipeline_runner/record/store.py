"""The state folder: who may use it, its database, its values, and what is done when it is damaged or not ours."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sqlite3
import stat
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO, ClassVar

from pipeline_runner.errors import PipelineError
from pipeline_runner.record.seal import load_key

VERSION = 1
INLINE = 1 << 18  # bytes of a chunk's values that go into the database itself; larger ones get a file
BUSY_S = 10.0  # how long another run of the same folder may hold the database


class StoreError(PipelineError):
    """The state folder cannot be used as it is."""

    exit_code: ClassVar[int] = 4

    def __init__(self, path: Path | str, why: str, cure: str) -> None:
        self.path, self.why, self.cure = str(path), why, cure
        super().__init__(f"{path}: {why}\n  {cure}")


class Locked(StoreError):
    """Another runner is at this pipeline."""

    def __init__(self, path: Path, owner: dict[str, object]) -> None:
        self.owner = owner
        since = f", since {owner['since']}" if owner.get("since") else ""
        who = f"pid {owner['pid']}{since}" if owner.get("pid") else "a process that has not said its name"
        super().__init__(path, f"this pipeline is being run already ({who})", "wait until it has ended, or end it")


@dataclass(eq=False)
class Lock:
    """Held while a run goes on; the kernel lets go of it when the runner dies, however it dies."""

    file: IO[str]
    path: Path
    run: str

    def release(self) -> None:
        held = _held[self.path]
        held[self] = True
        if all(held.values()):
            for lock in _held.pop(self.path):
                lock.file.close()


_held: dict[Path, dict[Lock, bool]] = {}
"""Locks of this very process, and whether they were released. The kernel gives a process its own lock once more, and
takes it away when any file of that name is closed here: so the files of all are closed with the last."""


def held_here(path: Path) -> tuple[str, ...]:
    """The runs of this process that hold a lock."""
    return tuple(lock.run for lock, released in _held.get(path, {}).items() if not released)


class Store:
    """A state folder, opened. Errors: StoreError where it cannot be read or written."""

    def __init__(self, folder: Path, *, create: bool = True) -> None:
        self.folder = folder
        self.values = folder / "values"
        self.database = folder / "journal.db"
        if not create and not self.database.exists():
            raise StoreError(folder, "there is no run here yet", "run a pipeline first, or name another with --state")
        with _usable(folder):
            self._make()
        self.key = load_key()
        with _usable(folder):
            self._prepare()

    def connect(self) -> sqlite3.Connection:
        """A connection of one's own. WAL with synchronous=NORMAL: a commit survives the death of every process, and
        costs 0.1 ms; only a power cut may take the last ones, whole."""
        connection = sqlite3.connect(self.database, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def lock(self, pipeline: str, run: str) -> Lock:
        """Be the only runner of this pipeline. Errors: Locked, at once."""
        path = self.lock_file(pipeline)
        with _usable(path):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        try:
            # A POSIX lock, not flock: forked workers do not inherit it, so an orphan cannot keep it.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with file:
                raise Locked(path, _owner(file.read())) from None
        with _usable(path):
            file.seek(0)
            file.truncate()
            file.write(json.dumps({"pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S"), "run": run}))
            file.flush()
        lock = Lock(file, path, run)
        _held.setdefault(path, {})[lock] = False
        return lock

    def lock_file(self, pipeline: str) -> Path:
        """Where a pipeline's lock is, held or not."""
        return self.folder / "locks" / f"{hashlib.sha256(pipeline.encode()).hexdigest()[:16]}.lock"

    def write_value(self, name: str, data: bytes) -> None:
        """Put a value's file in its place, whole or not at all."""
        path = self.values / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(data)
            aside.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise

    def read_value(self, name: str) -> bytes | None:
        """A value's bytes, or None when its file is not there."""
        try:
            return (self.values / name).read_bytes()
        except OSError:
            return None

    def _make(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self.folder.stat()
        if status.st_uid != os.getuid():
            cure = "values are read back by pickle, and only your own may be: name another with --state"
            raise StoreError(self.folder, "this state folder belongs to another user", cure)
        if stat.S_IMODE(status.st_mode) & 0o077:
            self.folder.chmod(0o700)
        self.values.mkdir(mode=0o700, exist_ok=True)
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")

    def _prepare(self) -> None:
        fresh = not self.database.exists()
        if fresh:
            os.close(os.open(self.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            self._check()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
                raise
            self._set_aside()
            self._check()

    def _check(self) -> None:
        with contextlib.closing(self.connect()) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                cure = "use that version, or another folder with --state"
                raise StoreError(self.database, f"it was written by a newer prun (format {version})", cure)
            if version == 0:
                connection.execute("BEGIN IMMEDIATE")
                # Another run may have made the tables while we waited for our turn.
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version == 0:
                    for statement in _statements():
                        connection.execute(statement)
                connection.execute("COMMIT")
            connection.execute("SELECT count(*) FROM run").fetchone()

    def _set_aside(self) -> None:
        """A database that cannot be read is kept to be looked at, and a new one begins: what it knew is owed."""
        for suffix in ("", "-wal", "-shm"):
            path = self.database.with_name(self.database.name + suffix)
            if path.exists():
                path.replace(path.with_name(f"damaged-{time.strftime('%Y%m%d-%H%M%S')}-{path.name}"))
        os.close(os.open(self.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


@contextlib.contextmanager
def _usable(path: Path):  # type: ignore[no-untyped-def]
    """Tell what the operating system or SQLite will not do in a sentence that names the path and the need."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise store_error(path, error) from error


def store_error(path: Path, error: BaseException) -> StoreError:
    """An OSError or sqlite3.Error in words."""
    cure = "free some space or make it writable, then go on with --resume; or name another folder with --state"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StoreError(path, f"the run store cannot be used: {text}", cure)


def _owner(text: str) -> dict[str, object]:
    try:
        owner = json.loads(text)
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}


def _statements() -> list[str]:
    script = files("pipeline_runner.record").joinpath("schema.sql").read_text("utf-8")
    lines = [line.partition("--")[0] for line in script.splitlines()]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]
