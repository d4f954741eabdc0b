"""Where a run reads what earlier ones have: one connection for all of its stages.

To open one for each, and to ask for each which runs count, took two thirds of a run in which all was up to date.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator

from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.record.store import Store
from pipeline_runner.typed import Any

AT_ONCE = 512  # runs that are asked for together
QUICK = 1 << 18  # bytes that are read at once by whoever has no time to wait: a quarter of a millisecond

# Runs whose results are not for others. Few have the word at all, and only those are read: it may be a parameter's.
_UNCACHED = """
SELECT id FROM run WHERE body LIKE '%"uncached": true%'
AND CASE WHEN json_valid(body) THEN json_extract(body, '$.uncached') ELSE 1 END
"""


class NotAtHand(Exception):
    """To tell whether a call is kept much would have to be read, and whoever asks has no time for that."""


class Reading:
    """Questions to a store. May be used by several threads.

    Errors of every question: sqlite3.Error, where the database is damaged or closed.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        self._known: dict[str, bool] = {}  # by run: whether its results are not for others
        self._runs: tuple[int, str] | None = None  # how many there were, and the last of them, when they were looked at

    def rows(self, question: str, *given: Any) -> Iterator[tuple[Any, ...]]:
        """The answers, as far as they can be read. Nobody else may ask until all are taken."""
        with self._lock:
            yield from self._connection.execute(question, given)

    def row(self, question: str, *given: Any) -> tuple[Any, ...] | None:
        """The first answer; None: there is none."""
        with self._lock:
            found: tuple[Any, ...] | None = self._connection.execute(question, given).fetchone()
            return found

    def uncached(self, runs: Collection[str]) -> set[str]:
        """Those of a few runs whose results are not for others."""
        new = [run for run in runs if run not in self._known]
        for at in range(0, len(new), AT_ONCE):
            some = new[at : at + AT_ONCE]
            question = f"{_UNCACHED} AND id IN ({', '.join('?' * len(some))})"
            found = {run for (run,) in self.rows(question, *some)}
            self._known.update((run, run in found) for run in some)
        return {run for run in runs if self._known[run]}

    def note_uncached(self) -> None:
        """Have the table `uncached` name the runs whose results are not for others."""
        with self._lock:
            runs = self._connection.execute("SELECT count(*), max(id) FROM run").fetchone()
            if runs == self._runs:
                return
            if self._runs is None:
                self._connection.execute("PRAGMA temp_store = MEMORY")
                self._connection.execute("CREATE TEMP TABLE uncached (id TEXT PRIMARY KEY)")
            found = self._connection.execute(_UNCACHED).fetchall()
            self._connection.execute("DELETE FROM uncached")
            self._connection.executemany("INSERT INTO uncached VALUES (?)", found)
            self._runs = runs

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = self.store.connect()
        return self._opened
