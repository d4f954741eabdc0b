"""The state folder: who may use it, its database, its values, and what is done when it is damaged or not ours."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from pathlib import Path

from pipeline_runner.record.errors import UNREADABLE, StoreError, damaged, usable
from pipeline_runner.record.locks import Lock, alive, alone, lock_file, take_lock
from pipeline_runner.record.salvage import Salvage, create, finish, salvage, statements
from pipeline_runner.record.seal import load_key
from pipeline_runner.record.sqlite import sqlite3

VERSION = 3
GROWN_FROM = 2  # a journal of this format or later lacks only tables, and gets them when it is opened
MARK = 0x70720000  # with the version added, the application_id: both must say the same of a newer version
INLINE = 1 << 18  # bytes of a chunk's values that go into the database itself; larger ones get a file
LOG_PAGES = 8192  # of 4 KiB, in the log before they go into the database: that is when the disk is waited for
BUSY_S = 10.0  # how long another run of the same folder may hold the database
TINY = 1 << 20  # bytes of one whose indexes are compared with their tables, too
SMALL = 1 << 24  # bytes of a database that is looked through whenever it is opened: 10 ms


class Store:
    """A state folder, opened. Errors: StoreError where it cannot be read or written."""

    def __init__(self, folder: Path, *, create: bool = True, thorough: bool = False) -> None:
        self.folder = folder
        self.salvaged: Salvage | None = None  # what could be kept of a database that was damaged
        self.values = folder / "values"
        self.database = folder / "journal.db"
        with usable(folder):
            there = create or self.database.exists()
        if not there:
            raise StoreError(folder, "there is no run here yet", "run a pipeline first, or name another with --state")
        with usable(folder):
            self._make()
        self.really = os.path.realpath(folder)
        self._ways: dict[Path, bytes] = {}
        self.key = load_key()
        with usable(folder):
            self._prepare(thorough)
            self._sweep()

    def connect(self) -> sqlite3.Connection:
        """A connection of one's own. WAL with synchronous=NORMAL: a commit survives the death of every process, and
        costs 0.1 ms; only a power cut may take the last ones, whole. Errors: StoreError."""
        with usable(self.database):
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.database, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        except BaseException:
            connection.close()
            raise
        # What is damaged is damaged, and no error.
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        return connection

    def way_to(self, folder: Path) -> bytes:
        """Where a project's folder is from here on: it stays the same where both are moved together."""
        if folder not in self._ways:
            self._ways[folder] = os.fsencode(os.path.relpath(os.path.realpath(folder), self.really))
        return self._ways[folder]

    def lock(self, pipeline: str, run: str) -> Lock:
        """Be the only runner of this pipeline. Errors: Locked, at once."""
        path = lock_file(self.folder, pipeline)
        with usable(self.folder):
            return take_lock(path.parent, path.stem, run)

    def write_value(self, name: str, *data: bytes | memoryview) -> None:
        """Put a value's file in its place, whole or not at all: all that it is to have, piece by piece."""
        path = self.values / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        aside = self.values / "new" / f"{path.name}.{os.getpid()}"
        try:
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.writelines(data)
            aside.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise

    def value_size(self, name: str) -> int:
        """How many bytes a value's file has; 0 when it is not there."""
        try:
            return (self.values / name).stat().st_size
        except OSError:
            return 0

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
        for folder in (self.values, self.values / "new", self.folder / "locks"):
            folder.mkdir(mode=0o700, exist_ok=True)
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            with open(os.open(ignore, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as file:
                file.write("*\n")

    def _prepare(self, thorough: bool) -> None:
        self._free_companions()
        finish(self.database)
        if not self.database.exists():
            create(self.database)
        if not self._sound(thorough):
            with alone(self.folder / "locks"):
                self.salvaged = salvage(self.database)
            self._suspect.unlink(missing_ok=True)

    def _free_companions(self) -> None:
        """Let the journal's -wal and -shm be written when it may be. SQLite makes them with the mode that the journal
        has then, so that they stay read-only when the journal was so for a while."""
        if not self.database.exists() or not _writable(self.database):
            return
        for path in (self.database.with_name(f"{self.database.name}{end}") for end in ("-wal", "-shm")):
            if path.exists() and not _writable(path):
                path.chmod(0o600)

    def _sound(self, thorough: bool) -> bool:
        """Whether the database can be read, as far as was looked. Errors: StoreError, sqlite3.Error."""
        try:
            with contextlib.closing(self._connect()) as connection:
                if not _is_ours(connection, self.database):
                    return False
                size = self.database.stat().st_size
                if thorough or size < SMALL or self._suspect.exists():
                    # Only the whole check sees an index that is not of its table, by which a later look-up fails.
                    whole = size < TINY or self._suspect.exists()
                    (said,) = connection.execute(f"PRAGMA {'integrity' if whole else 'quick'}_check(1)").fetchone()
                    return bool(said == "ok")
        except UNREADABLE as error:
            if not damaged(error):
                raise
            return False
        return True

    @property
    def _suspect(self) -> Path:
        """Is there when a run has met damage that a quick look does not find."""
        return self.folder / "damaged"

    def distrust(self) -> None:
        """Look thoroughly when the folder is opened next."""
        with contextlib.suppress(OSError):
            self._suspect.touch(0o600)

    def _sweep(self) -> None:
        """What a runner was writing when it died is nothing yet."""
        for path in (self.values / "new").iterdir():
            if not alive(path.suffix[1:]):
                path.unlink(missing_ok=True)


def _is_ours(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the database has our tables: made here when it is new. Errors: StoreError for one of another version."""
    version = _grown(connection)
    if 0 < version != VERSION and _mark(connection) == MARK + version:
        whose = "a newer" if version > VERSION else "an older"
        why = f"it was written by {whose} prun, in format {version}; this one reads format {VERSION}"
        raise StoreError(path, why, f"use that version, or another folder with --state; or delete {path.parent}")
    if version == 0:
        connection.execute("BEGIN IMMEDIATE")
        # Another run may have made the tables while we waited for our turn.
        if _version(connection) == 0:
            if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                connection.execute("ROLLBACK")
                return False
            for statement in statements():
                connection.execute(statement)
        connection.execute("COMMIT")
    elif version != VERSION:
        return False
    connection.execute("SELECT count(*) FROM run").fetchone()
    return _as_made(connection) or _columns(connection) == _our_columns()  # a flipped bit may be in a name


def _as_made(connection: sqlite3.Connection) -> bool:
    """Whether all is told in the words that make it here, as SQLite keeps them: then the tables need not be made anew
    to be compared, which takes fifteen times as long."""
    told = connection.execute("SELECT CAST(name AS BLOB), CAST(sql AS BLOB) FROM sqlite_master WHERE sql IS NOT NULL")
    made = [words.replace(" IF NOT EXISTS", "", 1).encode().split() for words in statements() if "CREATE" in words]
    return {(name, *words.split()) for name, words in told} == {(words[2], *words) for words in made}


def _columns(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Each table's columns."""
    named = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
    return set(connection.execute(named))


@functools.cache
def _our_columns() -> set[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in statements():
            connection.execute(statement)
        return _columns(connection)


def _grown(connection: sqlite3.Connection) -> int:
    """The format of a journal, which is ours now if only tables were missing."""
    version = _version(connection)
    if not GROWN_FROM <= version < VERSION or _mark(connection) != MARK + version:
        return version
    connection.execute("BEGIN IMMEDIATE")
    for statement in statements():
        connection.execute(statement)
    connection.execute("COMMIT")
    return _version(connection)


def _mark(connection: sqlite3.Connection) -> int:
    mark: int = connection.execute("PRAGMA application_id").fetchone()[0]
    return mark


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _writable(file: Path) -> bool:
    return bool(file.stat().st_mode & stat.S_IWUSR)
