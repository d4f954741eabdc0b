"""What is in files, remembered: a file that looks as it did when it was read is not read again.

A look is a file's size, times and inode. It is believed only when the file had been left alone for a while before it
was read: one that was written a moment ago may be written once more within the same tick of the clock, and look the
same.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from time import time_ns

from pipeline_runner.record.reading import NotAtHand
from pipeline_runner.record.seal import intact, seal
from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.record.store import Store
from pipeline_runner.typed import Any
from pipeline_runner.worker import contents

A_FILE = 1 << 12  # bytes that could be read while one more file of a folder is looked at
SETTLED_NS = 2_000_000_000  # the coarsest clock of a file system that is in use: FAT's

Look = bytes  # size, mtime, ctime, inode
Memory = tuple[str, bytes, str, bytes]  # a row of the store's: path, the look, the digest, their seal


class Files:
    """Digests of files and folders. May be used by several threads. `store` is where they are remembered from run to
    run; None: nowhere."""

    def __init__(self, store: Store | None = None) -> None:
        self._key = b"" if store is None else store.key
        self._connection = None if store is None else store.connect()
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Look, str]] = {}
        self._asked: set[str] = set()  # of which the store has nothing that is not in `_known`
        self._fresh: list[Memory] = []

    def digest(self, path: str | os.PathLike[str], most: int | None = None) -> str:
        """What is in a file, or in all files of a folder. Errors: OSError; NotAtHand, where more than `most` bytes
        would have to be read to tell it."""
        where = os.path.abspath(path)
        status = os.stat(where)
        if stat.S_ISDIR(status.st_mode):
            return contents.folder(where, self._of_file if most is None else _Haste(self._of_file, most))
        return self._of_file(where, most, status)

    def expect(self, paths: Iterable[str]) -> None:
        """Have at hand what is remembered of these files, which will be asked for soon."""
        with self._lock:
            given = [path for path in paths if path not in self._known]
            if self._connection is None or not given:
                return
            question = f"SELECT path, look, digest, seal FROM file WHERE path IN ({', '.join('?' * len(given))})"
            with suppress(sqlite3.Error):  # damaged: each is asked for by itself
                for path, *row in self._connection.execute(question, given):
                    self._believe(path, *row)
                self._asked.update(given)

    def told(self, folder: Path, path: Any) -> tuple[Any, str]:
        """A path with what is in it: what a call that reads it is told by. Of one that cannot be read, its name."""
        try:
            return path, self.digest(folder / path)
        except (OSError, TypeError, ValueError):
            return path, ""

    def fresh(self) -> list[Memory]:
        """Rows for the store: what was read since this was asked last."""
        with self._lock:
            told, self._fresh = self._fresh, []
        return told

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _of_file(self, path: str, most: int | None = None, status: os.stat_result | None = None) -> str:
        status = status or os.stat(path)
        look = _look(status)
        known = self._remembered(path)
        if known is not None and known[0] == look:
            return known[1]
        if most is not None and status.st_size > most:
            raise NotAtHand
        digest = contents.file(path)
        settled = max(status.st_mtime_ns, status.st_ctime_ns) < time_ns() - SETTLED_NS
        if settled and _look(os.stat(path)) == look:
            self._remember(path, look, digest)
        return digest

    def _remembered(self, path: str) -> tuple[Look, str] | None:
        with self._lock:
            if path not in self._known and path not in self._asked and self._connection is not None:
                with suppress(sqlite3.Error):  # damaged: the file is read again
                    row = self._connection.execute("SELECT look, digest, seal FROM file WHERE path = ?", (path,))
                    if (found := row.fetchone()) is not None:
                        self._believe(path, *found)
            return self._known.get(path)

    def _believe(self, path: str, look: Any, digest: Any, mark: Any) -> None:
        """Take over a row of the store, if it is intact."""
        if isinstance(look, bytes) and intact(self._key, mark, path, look, digest):
            self._known[path] = look, digest

    def _remember(self, path: str, look: Look, digest: str) -> None:
        with self._lock:
            self._known[path] = look, digest
            if self._connection is not None:
                self._fresh.append((path, look, digest, seal(self._key, path, look, digest)))


class _Haste:
    """Digests of a folder's files, as long as there is time."""

    def __init__(self, of_file: Callable[[str, int], str], most: int) -> None:
        self._of_file, self._left = of_file, most

    def __call__(self, path: str) -> str:
        self._left -= A_FILE
        if self._left < 0:
            raise NotAtHand
        return self._of_file(path, self._left)


def _look(status: os.stat_result) -> Look:
    seen = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
    return b"".join([number.to_bytes(16, "little", signed=True) for number in seen])


def forget_missing(connection: sqlite3.Connection) -> None:
    """Drop what is remembered of files that are not there any more."""
    gone = [path for (path,) in connection.execute("SELECT path FROM file").fetchall() if not os.path.exists(path)]
    connection.executemany("DELETE FROM file WHERE path = ?", [(path,) for path in gone])
