"""What earlier runs have of one stage: which of its calls ended well under the same recipe, and their values."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from pipeline_runner.buffers import Buffers
from pipeline_runner.calls import Pack
from pipeline_runner.classes import dataclass
from pipeline_runner.record.counted import unpacked
from pipeline_runner.record.large import stored
from pipeline_runner.record.reading import QUICK, NotAtHand, Reading
from pipeline_runner.record.seal import intact
from pipeline_runner.record.sqlite import sqlite3
from pipeline_runner.typed import Any

_ROW = "run, stage, recipe, first, calls, digests, data, file, start, seal"


@dataclass(frozen=True, slots=True)
class Kept:
    """Calls first to stop of a stage, as one row has them."""

    seq: int
    first: int
    stop: int


@dataclass(frozen=True)
class Row:
    """A row that was read and found intact."""

    seq: int
    first: int
    calls: int
    digests: bytes | None
    data: bytes | None
    large: Buffers | None
    start: int
    own: bool  # of the very run and stage that ask

    def matching(self, at: int, digests: bytes | None, most: int) -> int:
        """How many of the next `most` calls from place `at` on were given what `digests` says; None: their numbers
        say it."""
        most = min(most, self.calls - at)
        if self.digests is None or digests is None:
            return most if self.digests is digests else 0
        if digests[: 8 * most] == self.digests[8 * at : 8 * (at + most)]:
            return most
        pairs = (digests[n : n + 8] == self.digests[8 * at + n : 8 * at + n + 8] for n in range(0, 8 * most, 8))
        return next((number for number, same in enumerate(pairs) if not same), most)


class Found:
    """Some neighbouring calls that are kept. Nothing is decided until they are taken."""

    def __init__(self, row: Row, at: int, calls: int, used: bytearray) -> None:
        self._row, self._at, self.calls, self._used = row, at, calls, used
        self.files: Sequence[str] = ()  # that they have written, where that was looked at
        self.own = row.own  # whether the run that asks has these calls already, under the numbers that it asks for

    def take(self, calls: int, digests: bytes | None) -> Pack | None:
        """The values of the first `calls` of them, which are not found again; None where none were kept."""
        self._used[self._at : self._at + calls] = b"\1" * calls
        if self._row.data is None:
            return None
        start = self._row.start + self._at
        return Pack(self._row.data, start, start + calls, digests, self._row.large)


class Earlier:
    """Rows of one stage: of one run, or with `anybodys` of all runs and stages that compute the same, for a stage whose
    calls are the same however often they are made. Used by one thread at a time.

    A row that is missing, damaged, or of another recipe is as if it had never been: its calls are
    owed again. A call is looked for under its number first, then by its digest alone, since items
    may have been put in before it. None is found twice, two calls of equal arguments being two
    calls; those that are anybody's are found as often as they are asked for.
    Memory: one small entry a row, the row that was read last, and 17 bytes a call.
    """

    def __init__(
        self,
        reading: Reading,
        run: str,
        stage: str,
        recipe: bytes,
        *,
        anybodys: bool = False,
        wanted: bool = False,
        known: tuple[Any, ...] | None = None,
    ) -> None:
        self._reading, self._run, self._stage, self._recipe = reading, run, stage, recipe
        self._anybodys, self._wanted = anybodys, wanted
        self.hurried = False
        # A row that was read before, of the one call of a stage: others are looked for only if it is not that call's.
        self._known = known if known and (not wanted or known[7] is not None or known[8] is not None) else None
        self._rows = [Kept(self._known[0], 0, 1)] if self._known else list(self._all())
        if self._known:
            self._numbered, self._overlap, self._starts = self._rows, False, [0]
        else:
            self._by_number()
        self._digests: array[int] | None = None  # sorted, of all calls; beside them, their places
        self._used: dict[int, bytearray] = {}  # by row: which of its calls were taken
        self._last: tuple[int, Row | None] | None = None

    def __bool__(self) -> bool:
        return bool(self._rows)

    def find(self, index: int, digests: bytes | None, most: int, *, wanted: bool) -> Found | None:
        """Up to `most` calls from this number on, as far as one intact row has them; None when it has not this one.

        `digests` are those of all of these calls. `wanted`: with their values.
        """
        found = self._find(index, digests, most, wanted)
        if found is None and self._known:
            self._known = self._last = self._digests = None
            self._rows = list(self._all())
            self._by_number()
            found = self._find(index, digests, most, wanted)
        return found

    def _find(self, index: int, digests: bytes | None, most: int, wanted: bool) -> Found | None:
        while (at := bisect_right(self._starts, index) - 1) >= 0 and index < self._numbered[at].stop:
            kept = self._numbered[at]
            row = self._read(kept.seq)
            if row is not None and row.first <= index < row.first + row.calls:
                found = self._found(row, index - row.first, digests, min(most, kept.stop - index), wanted)
                if found is not None:
                    return found
                break
            if not self._without(kept.seq):
                break
        return None if digests is None else self._elsewhere(digests, most, wanted)

    def _found(self, row: Row, at: int, digests: bytes | None, most: int, wanted: bool) -> Found | None:
        calls = row.matching(at, digests, most)
        used = self._used.setdefault(row.seq, bytearray(row.calls))
        taken = -1 if self._anybodys else used.find(1, at, at + calls)
        calls = calls if taken < 0 else taken - at
        return Found(row, at, calls, used) if calls and (row.data is not None or not wanted) else None

    def _elsewhere(self, digests: bytes, most: int, wanted: bool) -> Found | None:
        """A call that now has another number."""
        if self._digests is None:
            self._by_digest()
        known = self._digests or array("Q")
        digest = int.from_bytes(digests[:8], "little")
        at = bisect_left(known, digest)
        while at < len(known) and known[at] == digest:
            number = bisect_right(self._places_from, self._places[at]) - 1
            row = self._read(self._described[number])
            offset = self._places[at] - self._places_from[number]
            if row is not None and offset < row.calls:
                found = self._found(row, offset, digests, most, wanted)
                if found is not None:
                    found.own = False  # so that it is kept anew: what a number stood for before is not what it is
                    return found
            at += 1
        return None

    def _by_number(self) -> None:
        """The rows' calls, none of them twice: a call may have been kept again, after a damage or with another item.
        Of two rows the newer one counts."""
        self._numbered, self._overlap = [], False
        for kept in sorted(self._rows, key=lambda kept: (kept.first, -kept.seq)):
            first = kept.first
            if self._numbered and first < self._numbered[-1].stop:
                self._overlap = True
                first = self._numbered[-1].stop
            if first < kept.stop:
                self._numbered.append(Kept(kept.seq, first, kept.stop))
        self._starts = [kept.first for kept in self._numbered]

    def _without(self, damaged: int) -> bool:
        """Do without a row. Whether another may stand in for it: only one that it overlapped can."""
        if not self._overlap:
            return False
        self._rows = [kept for kept in self._rows if kept.seq != damaged]
        self._by_number()
        return True

    def _by_digest(self) -> None:
        self._described: list[int] = []  # rows that have digests
        pairs: list[int] = []
        sizes: list[int] = []
        place = 0
        for kept in reversed(self._rows):
            digests = self._digests_of(kept)
            if digests is None:
                continue
            values = array("Q", digests)
            pairs += (value << 64 | place + offset for offset, value in enumerate(values))
            self._described.append(kept.seq)
            sizes.append(place)
            place += len(values)
        pairs.sort()
        self._digests = array("Q", (pair >> 64 for pair in pairs))
        self._places = array("Q", (pair & (1 << 64) - 1 for pair in pairs))
        self._places_from = sizes

    def _digests_of(self, kept: Kept) -> bytes | None:
        """Not yet known to be intact: that is seen when the row itself is read."""
        try:
            row = self._reading.row("SELECT digests FROM done WHERE seq = ?", kept.seq)
        except sqlite3.Error:
            return None
        told = row and row[0]
        return unpacked(told, kept.stop - kept.first) if isinstance(told, bytes) else None

    def _all(self) -> Iterator[Kept]:
        """Every row, as far as they can be read; not yet known to be intact."""
        given: tuple[str | bytes, ...] = self._run, self._stage, self._recipe
        which = "seq FROM done WHERE run = ? AND stage = ? AND recipe = ?"
        if self._anybodys:
            # Of rows that each run has copied from the one before, the newest; of runs without the cache, their own.
            values = " AND (data IS NOT NULL OR file IS NOT NULL)" if self._wanted else ""
            others = "run = ? OR run NOT IN uncached"
            which = f"max(seq) AS seq FROM done WHERE ({others}) AND recipe = ?{values} GROUP BY first, calls, digests"
            given = (self._run, self._recipe)
        try:
            if self._anybodys:
                self._reading.note_uncached()
            for first, calls, seq in self._reading.rows(f"SELECT first, calls, {which} ORDER BY seq", *given):
                if isinstance(first, int) and isinstance(calls, int) and first >= 0 and calls > 0:
                    yield Kept(seq, first, first + calls)
        except sqlite3.Error:
            return  # damaged from here on: what cannot be read is owed

    def _read(self, seq: int) -> Row | None:
        if self._last is None or self._last[0] != seq:
            self._last = (seq, self._intact(seq))
        return self._last[1]

    def _intact(self, seq: int) -> Row | None:
        try:
            known = self._known[1:] if self._known and self._known[0] == seq else None
            row = known or self._reading.row(f"SELECT {_ROW} FROM done WHERE seq = ?", seq)
        except sqlite3.Error:
            return None
        if row is None:
            return None
        run, stage, recipe, first, calls, told, body, file, start, mark = row
        if self.hurried and isinstance(file, str) and self._reading.store.value_size(file) > QUICK:
            raise NotAtHand
        data, large, whole = stored(self._reading.store, body, file if isinstance(file, str) else None)
        parts = (run, stage, recipe, first, calls, told, data, file, start)
        own = (run, stage) == (self._run, self._stage)
        if recipe != self._recipe or not (own or self._anybodys):
            return None
        if not whole or not intact(self._reading.store.key, mark, *parts):
            return None
        return Row(seq, first, calls, None if told is None else unpacked(told, calls), data, large, start, own)
