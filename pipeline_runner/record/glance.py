"""A state folder that is only looked at: a run may be at it, it may be damaged, and it stays as it is."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from pipeline_runner.record.errors import UNREADABLE, StoreError, store_error
from pipeline_runner.record.history import History
from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.record.store import BUSY_S, GROWN_FROM, VERSION, Store
from pipeline_runner.typed import TypeVar

T = TypeVar("T")
Traces = tuple[tuple[int, int, int] | None, ...]
TRIES = 5


class NothingYet(StoreError):
    """There is no journal in the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "there is no run here yet", "run a pipeline first, or name another folder")


class Glance:
    """A state folder that is read and never written: nothing is made, mended, grown, locked or waited for in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = _Untouched(folder)

    def traces(self) -> Traces:
        """What is another as soon as anybody has written to the journal."""
        database = self._store.database
        return tuple(_trace(path) for path in (database, database.with_name(f"{database.name}-wal")))

    def look(self, tell: Callable[[History], T]) -> T:
        """What there is to tell, as it was at one moment. Errors: NothingYet, StoreError, and those of `tell`."""
        for _ in range(TRIES):
            before = self.traces()
            if before[0] is None:
                raise NothingYet(self.folder)
            alone = before[1] is None
            try:
                told = self._told(tell, alone)
            except UNREADABLE as error:
                if self.traces() == before:
                    raise store_error(self._store.database, error) from error
            except StoreError:
                if self.traces() == before:
                    raise
            else:
                if not alone or self.traces() == before:
                    return told
        raise StoreError(self.folder, "it was being written to whenever it was looked at", "look again")

    def _told(self, tell: Callable[[History], T], alone: bool) -> T:
        with closing(self._store.opened(alone)) as connection:
            connection.execute("BEGIN")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if not GROWN_FROM <= version <= VERSION:
                why = f"it is in format {version}; this prun reads formats {GROWN_FROM} to {VERSION}"
                raise StoreError(self._store.database, why, "look at it with the prun that wrote it")
            return tell(History(self._store, connection))


class _Untouched(Store):
    """A store as far as histories ask for one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.values = folder / "values"
        self.database = folder / "journal.db"
        self.key = secrets.token_bytes()  # nobody's: no value is trusted, so none is ever unpickled

    def opened(self, alone: bool) -> sqlite3.Connection:
        """Errors: sqlite3.Error.

        `alone`: nobody has the journal open, which shows by the log that is not there. SQLite would then make one, to
        read; told that the file does not change, it makes none. Whether it did change is looked at afterwards.
        """
        how = "mode=ro&immutable=1" if alone else "mode=ro"
        connection = sqlite3.connect(
            f"file:{quote(str(self.database))}?{how}", uri=True, timeout=BUSY_S, isolation_level=None
        )
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        return connection


def _trace(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
