"""The values of one stage: kept where someone will want all of them, passed on to those who read along.

They stay pickled. Order is that of the call numbers; a call that was dropped leaves a gap that
nobody waits for.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline_runner.calls import Pack
from pipeline_runner.classes import dataclass, field
from pipeline_runner.record.lineage import of_whole, weight
from pipeline_runner.typed import Any, Protocol


class Reader(Protocol):
    """Who reads along: another stage's intake, or a live iterator."""

    def push(self, indices: range, pack: Pack) -> None: ...
    def end(self, total: int) -> None: ...

    @property
    def backlog(self) -> int: ...


@dataclass
class _Tap:
    reader: Reader
    ordered: bool
    next: int = 0  # the number that an ordered reader gets next
    held: dict[int, tuple[range, Pack]] = field(default_factory=dict)  # by first number: came too early

    @property
    def backlog(self) -> int:
        return self.reader.backlog + len(self.held)


class Results:
    """Owned by the engine's main thread; others only read, under the lock that they were given."""

    __slots__ = (  # there may be thousands
        "_dropped",
        "_error",
        "_in_order",
        "_keep",
        "_lineage",
        "_lock",
        "_read",
        "_segments",
        "_stirred",
        "_taps",
        "_weights",
        "ended",
        "total",
    )

    def __init__(
        self,
        *,
        in_order: bool,
        keep: bool,
        lock: threading.Condition,
        read: bool = True,
        stirred: Callable[[], None] | None = None,
    ) -> None:
        """`stirred` is told that there is news for whoever waits under the lock and does not read along; None: they are
        woken at once."""
        self._in_order = in_order
        self._read = read  # whether any stage may ask for its lineage
        self._keep = keep
        self._lock = lock
        self._stirred = stirred or lock.notify_all
        self._segments: list[tuple[range, Pack]] = []  # as they came
        self._taps: list[_Tap] = []
        self._dropped: list[int] = []  # sorted
        self._error: Callable[[], BaseException] | None = None
        self.total: int | None = None  # how many numbers there are, dropped ones included
        self.ended = False
        self._weights = 0  # of the digests of its calls
        self._lineage: bytes | None = None  # once it has ended: each of its readers asks

    @property
    def backlog(self) -> int:
        """Segments that the slowest reader has not taken yet."""
        return max((tap.backlog for tap in self._taps), default=0)

    @property
    def followed(self) -> bool:
        """Whether somebody reads along."""
        return bool(self._taps)

    def read_along(self, reader: Reader, *, ordered: bool) -> None:
        """Pass on what is kept so far, then all that comes."""
        tap = _Tap(reader, ordered)
        with self._lock:
            for indices, pack in self._segments:
                self._pass(tap, indices, pack)
            if self.ended:
                self._finish(tap)
            else:
                self._taps.append(tap)

    def put(self, indices: range, pack: Pack) -> None:
        if not self._read:  # digests are for those who make calls of the values: 8 bytes a call, perhaps of millions
            pack = pack._replace(digests=None)
        with self._lock:
            if self._keep:
                self._segments.append((indices, pack))
            for tap in self._taps:
                self._pass(tap, indices, pack)
            self._wake(self._taps)

    def made(self, indices: Sequence[int], digests: bytes | None) -> None:
        """These calls have ended well, whether anybody reads their values or not."""
        if digests is not None and self._read:
            self._weights += weight(indices, digests)

    def lineage(self) -> bytes:
        """What tells this whole result from that of other items, or with other calls dropped. Known at the end."""
        if self._lineage is None or not self.ended:
            self._lineage = of_whole(self.total or 0, self._dropped, self._weights)
        return self._lineage

    def drop(self, index: int) -> None:
        """This call will have no value."""
        with self._lock:
            bisect.insort(self._dropped, index)
            for tap in self._taps:
                self._release(tap)
            self._lock.notify_all()

    def dropped(self, index: int) -> bool:
        at = bisect.bisect_left(self._dropped, index)
        return at < len(self._dropped) and self._dropped[at] == index

    def end(self, total: int, error: Callable[[], BaseException] | None = None) -> None:
        """Nothing more will come. `error` makes what a reader of the whole is to be told instead."""
        with self._lock:
            self.total = max([total, *(indices.stop for indices, _ in self._segments)]) if error else total
            self.ended = True
            self._error = error
            for tap in self._taps:
                self._finish(tap)
            self._wake(self._taps)
            self._taps.clear()

    def _wake(self, readers: Sequence[_Tap]) -> None:
        if readers:
            self._lock.notify_all()
        else:
            self._stirred()

    def forget(self) -> None:
        """Nobody will read it any more."""
        self._segments.clear()

    def segments(self) -> list[tuple[range, Pack]]:
        """What is kept: in call order, or as it came where the stage returns `unordered`."""
        return sorted(self._segments, key=lambda s: s[0].start) if self._in_order else list(self._segments)

    def values(self) -> list[Any]:
        """All of it, decoded. Errors: what ended it early."""
        if self._error is not None:
            raise self._error()
        return self.kept_values()

    def kept_values(self) -> list[Any]:
        """What there is of it, decoded."""
        return [value for _, pack in self.segments() for value in pack.values()]

    @property
    def unfinished(self) -> bool:
        """Whether the stage did not end well: what is here is not all of it."""
        return self._error is not None

    def one(self, index: int) -> Any:
        """The value of one call. Errors: KeyError when it has none."""
        for indices, pack in self._segments:
            if index in indices:
                at = pack.start + indices.index(index)
                return pack._replace(start=at, stop=at + 1).values()[0]
        raise KeyError(index)

    def has(self, index: int) -> bool:
        return any(index in indices for indices, _ in self._segments)

    def _pass(self, tap: _Tap, indices: range, pack: Pack) -> None:
        if not tap.ordered:
            tap.reader.push(indices, pack)
            return
        tap.held[indices.start] = (indices, pack)
        self._release(tap)

    def _finish(self, tap: _Tap) -> None:
        for _, (indices, pack) in sorted(tap.held.items()):
            tap.reader.push(indices, pack)
        tap.reader.end(self.total or 0)

    def _release(self, tap: _Tap) -> None:
        while True:
            if tap.next in tap.held:
                indices, pack = tap.held.pop(tap.next)
                tap.reader.push(indices, pack)
                tap.next = indices.stop
            elif self.dropped(tap.next):
                tap.next += 1
            else:
                return


def runs(indices: Iterable[int]) -> Iterator[range]:
    """Neighbouring numbers together, in the order given."""
    if isinstance(indices, range):  # most of all: nothing to look for
        if indices:
            yield indices
        return
    start: int | None = None
    last = 0
    for index in indices:
        if start is None:
            start = index
        elif index != last + 1:
            yield range(start, last + 1)
            start = index
        last = index
    if start is not None:
        yield range(start, last + 1)
