"""What an earlier run has of one stage: which of its calls ended well under the same recipe, and their values."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline_runner.calls import Pack
from pipeline_runner.record.seal import intact
from pipeline_runner.record.store import Store

_ROW = "recipe, first, calls, digests, data, file, start, seal"


@dataclass(frozen=True, slots=True)
class Kept:
    """Calls first to stop of a stage, as one row has them."""

    seq: int
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class Values:
    """A row that was read and found intact."""

    first: int
    digests: bytes | None
    data: bytes | None
    start: int

    def matching(self, index: int, digests: bytes | None, most: int) -> int:
        """How many of the next `most` calls were given what `digests` says; None: their numbers say it."""
        if self.digests is None or digests is None:
            return most if self.digests is digests else 0
        at = 8 * (index - self.first)
        if digests[: 8 * most] == self.digests[at : at + 8 * most]:
            return most
        pairs = (digests[n : n + 8] == self.digests[at + n : at + n + 8] for n in range(0, 8 * most, 8))
        return next((number for number, same in enumerate(pairs) if not same), most)

    def pack(self, index: int, calls: int) -> Pack:
        """The values of `calls` calls from `index` on."""
        if self.data is None:
            raise AssertionError("values were asked for that nobody kept: this is our bug")
        at = self.start + index - self.first
        return Pack(self.data, at, at + calls)


class Earlier:
    """Rows of one stage of one run. Used by one thread at a time.

    A row that is missing, damaged, or of another recipe is as if it had never been: its calls are
    owed again. Memory: one small entry a row, and the row that was read last.
    """

    def __init__(self, store: Store, run: str, stage: str, recipe: bytes) -> None:
        self._store, self._run, self._stage, self._recipe = store, run, stage, recipe
        self._connection = store.connect()
        self._rows = self._disjoint()
        self._starts = [row.first for row in self._rows]
        self._last: tuple[int, Values | None] | None = None

    def __bool__(self) -> bool:
        return bool(self._rows)

    @property
    def calls(self) -> int:
        """How many calls it has, if all of its rows are intact."""
        return sum(row.stop - row.first for row in self._rows)

    def find(self, index: int) -> tuple[Values, int] | None:
        """The intact row that has this call, and where its calls stop; None when there is none."""
        at = bisect_right(self._starts, index) - 1
        if at < 0 or index >= self._rows[at].stop:
            return None
        values = self._read(self._rows[at].seq)
        return None if values is None else (values, self._rows[at].stop)

    def close(self) -> None:
        self._connection.close()

    def _disjoint(self) -> list[Kept]:
        """The rows' calls, none of them twice: after a damage a call may have been kept again."""
        rows: list[Kept] = []
        for seq, first, calls in self._all():
            stop = first + calls
            if rows and first < rows[-1].stop:
                if stop <= rows[-1].stop:
                    continue
                first = rows[-1].stop
            rows.append(Kept(seq, first, stop))
        return rows

    def _all(self) -> Iterator[tuple[int, int, int]]:
        try:
            yield from self._connection.execute(
                "SELECT seq, first, calls FROM done WHERE run = ? AND stage = ? AND recipe = ?"
                " ORDER BY first, seq DESC",
                (self._run, self._stage, self._recipe),
            )
        except (sqlite3.DatabaseError, TypeError):
            return  # damaged from here on: what cannot be read is owed

    def _read(self, seq: int) -> Values | None:
        if self._last is not None and self._last[0] == seq:
            return self._last[1]
        values = self._intact(seq)
        self._last = (seq, values)
        return values

    def _intact(self, seq: int) -> Values | None:
        try:
            row = self._connection.execute(f"SELECT {_ROW} FROM done WHERE seq = ?", (seq,)).fetchone()
        except sqlite3.DatabaseError:
            return None
        if row is None:
            return None
        recipe, first, calls, digests, body, file, start, stored = row
        data = self._store.read_value(file) if file else body
        parts = (self._run, self._stage, recipe, first, calls, digests, data, file, start)
        if recipe != self._recipe or not intact(self._store.key, stored, *parts):
            return None
        return Values(first, digests, data, start)
