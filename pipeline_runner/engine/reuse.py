"""Calls that an earlier run has ended well are not made again: their values are told at once, and only the others
go on to the feed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline_runner.calls import Calls, Pack
from pipeline_runner.engine.intake import Intake

AT_ONCE = 4096  # calls that are looked up together

Reused = list[tuple[int, range, Pack | None]]  # step of the chain, its calls, their values where anyone reads them


class Row(Protocol):
    """Some calls that an earlier run has kept: record.Values is one."""

    @property
    def data(self) -> bytes | None: ...
    def pack(self, index: int, calls: int) -> Pack: ...
    def matching(self, index: int, digests: bytes | None, most: int) -> int: ...


class Earlier(Protocol):
    """What an earlier run has of a stage: record.Earlier is one."""

    def find(self, index: int) -> tuple[Row, int] | None: ...


class Reusing:
    """Another intake's calls, without those that need not be made.

    A call of a chain is reused when every step that somebody reads was kept; then none of it runs.
    """

    def __init__(
        self, intake: Intake, steps: Sequence[tuple[int, Earlier, bool]], tell: Callable[[Reused], None]
    ) -> None:
        self._intake = intake
        self._steps = steps  # (number, what is kept of it, whether its values are wanted)
        self._tell = tell
        self._owed: list[Calls] = []

    @property
    def size(self) -> int | None:
        left = self._intake.size
        return None if left is None else left + sum(map(len, self._owed))

    @property
    def total(self) -> int:
        return self._intake.total

    @property
    def arrivals(self) -> int:
        return self._intake.arrivals

    def leave(self) -> None:
        self._intake.leave()

    def draw(self, most: int) -> Calls | None:
        while not self._owed:
            calls = self._intake.draw(max(most, AT_ONCE))
            if not calls:
                return calls
            self._sort_out(calls)
        calls = self._owed.pop(0)
        if len(calls) > most:
            self._owed.insert(0, calls.cut(most, len(calls)))
            calls = calls.cut(0, most)
        return calls

    def _sort_out(self, calls: Calls) -> None:
        """Tell what is there already, and keep the rest."""
        if calls.fresh:
            self._owed.append(calls)
            return
        told: Reused = []
        at = owed_from = 0
        while at < len(calls):
            found = self._kept(calls, at)
            if not found:
                at += 1
                continue
            if owed_from < at:
                self._owed.append(calls.cut(owed_from, at))
            told += found
            at += len(found[0][1])
            owed_from = at
        if owed_from < len(calls):
            self._owed.append(calls.cut(owed_from, len(calls)))
        if told:
            self._tell(told)

    def _kept(self, calls: Calls, at: int) -> Reused:
        """The run of calls from `at` on that every step has; empty when one has not."""
        index = calls.indices[at]
        most = _run(calls.indices, at)
        rows: list[tuple[int, Row, bool]] = []
        for number, earlier, wanted in self._steps:
            found = earlier.find(index)
            if found is None:
                return []
            row, stop = found
            digests = None if calls.digests is None else calls.digests[8 * at : 8 * (at + most)]
            most = row.matching(index, digests, min(most, stop - index))
            if not most or (wanted and row.data is None):
                return []
            rows.append((number, row, wanted))
        span = range(index, index + most)
        return [(number, span, row.pack(index, most) if wanted else None) for number, row, wanted in rows]


def _run(indices: Sequence[int], at: int) -> int:
    """How many neighbouring numbers begin at this place."""
    if isinstance(indices, range):
        return len(indices) - at
    stop = at + 1
    while stop < len(indices) and indices[stop] == indices[stop - 1] + 1:
        stop += 1
    return stop - at
