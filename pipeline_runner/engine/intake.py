"""Where a stage's calls come from, as columns to be drawn from: a source's items, or another stage's values."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from operator import eq
from time import perf_counter

from pipeline_runner.calls import Calls, Column, Pack, Unfilled, column_values, cut_column
from pipeline_runner.classes import replace
from pipeline_runner.engine.chunks import MOST_BYTES
from pipeline_runner.errors import PipelineError
from pipeline_runner.record.counted import SIZE
from pipeline_runner.record.lineage import deepened, each_deepened, in_lists, side_by_side, told_apart
from pipeline_runner.typed import Any, Protocol

HELD = 1 << 16  # items at most that one draw makes into lists
DRAW_S = 0.005  # after which a draw takes no more than twice what it has


class UnequalColumns(PipelineError):
    """One column of a `zip` ended before another."""

    exit_code = 1

    def __init__(self, short: str, short_length: int, long: str, long_length: int | None) -> None:
        self.short, self.short_length, self.long, self.long_length = short, short_length, long, long_length
        more = f"has {long_length}" if long_length is not None else "has more"
        super().__init__(
            f"zip needs columns of one length: {short} has {short_length} items, {long} {more}; "
            "write `shortest: true` to stop at the shortest"
        )


class Intake(Protocol):
    """Rows of arguments with their numbers, drawn in order."""

    def draw(self, most: int) -> Calls | None:
        """Up to `most` calls; none of them when nothing is there yet; None at the end."""
        ...

    @property
    def size(self) -> int | None:
        """How many are left, where that is known."""
        ...

    @property
    def total(self) -> int:
        """After the end: how many numbers there were, dropped ones included."""
        ...

    @property
    def arrivals(self) -> int:
        """Grows whenever something new has come, so that a waiter can tell whether to look again."""
        ...

    @property
    def dry(self) -> bool:
        """Whether nothing is there to be drawn now, and something may come."""
        ...

    def leave(self) -> None:
        """Nothing more will be drawn: no stage has to wait until its values are."""
        ...


class Once:
    """One call, which takes nothing but its `with`."""

    total = 1
    arrivals = 0
    dry = False

    def __init__(self, digests: bytes | None = None) -> None:
        self._drawn = False
        self._digests = digests  # what tells it from other calls of its stage, if anything does

    @property
    def size(self) -> int | None:
        return 0 if self._drawn else 1

    def draw(self, most: int) -> Calls | None:
        if self._drawn:
            return None
        self._drawn = True
        return Calls(range(1), digests=self._digests)

    def leave(self) -> None:
        pass


class FromItems:
    """The items of a source, drawn lazily. Who draws many gets fewer of a slow one, so that none waits for others.

    Errors: whatever the user's iterable raises.
    """

    arrivals = 0
    dry = False

    def __init__(self, items: Iterator[Any], size: int | None) -> None:
        self._items = items
        self._size = size
        self._at = 0

    @property
    def size(self) -> int | None:
        return None if self._size is None else max(0, self._size - self._at)

    @property
    def total(self) -> int:
        return self._at

    def draw(self, most: int) -> Calls | None:
        part = list(islice(self._items, 1))
        if not part:
            return None
        until = perf_counter() + DRAW_S
        while len(part) < most and perf_counter() < until:
            more = list(islice(self._items, min(len(part), most - len(part))))
            if not more:
                break
            part += more
        indices = range(self._at, self._at + len(part))
        self._at += len(part)
        return Calls(indices, ((part,),))

    def leave(self) -> None:
        pass


class FromSequence:
    """Items that are all there: parts of them are cut out whole, and those of a range are never made here at all."""

    arrivals = 0
    dry = False

    def __init__(self, items: list[Any] | range, parts: Iterable[range] | None = None) -> None:
        """`parts`: their numbers, in the order in which they are drawn; None: one after the other."""
        self._items = items
        self._parts = deque(parts if parts is not None else [range(len(items))] if items else [])
        self._drawn = 0

    @property
    def size(self) -> int | None:
        return len(self._items) - self._drawn

    @property
    def total(self) -> int:
        return self._drawn

    def draw(self, most: int) -> Calls | None:
        if not self._parts:
            return None
        part = self._parts.popleft()
        numbers = part[:most]
        if len(numbers) < len(part):
            self._parts.appendleft(part[most:])
        self._drawn += len(numbers)
        given = self._items[numbers.start : numbers.stop]
        # To pickle a range takes as long as to pickle some forty numbers.
        return Calls(numbers, ((list(given) if len(given) < 40 else given,),))

    def leave(self) -> None:
        pass


class FromValues:
    """The values of another stage, still packed: those that are there, and those that will come.

    `moved` is called when some have been taken: the stage that makes them may then have room again.
    """

    def __init__(self, moved: Callable[[], None]) -> None:
        self._segments: deque[tuple[range, Pack]] = deque()
        self._ended = False
        self._left = False
        self.total = 0
        self._moved = moved
        self.arrivals = 0
        # Two counters, each with one writer: the engine pushes, a driver draws.
        self._pushed = 0
        self._drawn = 0

    @property
    def size(self) -> int | None:
        return self._pushed - self._drawn if self._ended else None

    @property
    def dry(self) -> bool:
        return not (self._segments or self._ended)

    @property
    def backlog(self) -> int:
        """Segments that wait to be drawn."""
        return 0 if self._left else len(self._segments)

    def push(self, indices: range, pack: Pack) -> None:
        if self._left:
            return
        self._segments.append((indices, pack))
        self._pushed += len(indices)
        self.arrivals += 1

    def end(self, total: int) -> None:
        self.total = total
        self._ended = True
        self.arrivals += 1

    def draw(self, most: int) -> Calls | None:
        ended = self._ended  # before looking: what is pushed after this look was not the end
        if not self._segments:
            return None if ended else Calls(range(0))
        indices: list[int] = []
        parts: list[Pack] = []
        digests: list[bytes] = []
        size = 0
        while self._segments and len(indices) < most and size < MOST_BYTES:
            numbers, pack = self._segments.popleft()
            take = min(len(numbers), most - len(indices))
            indices.extend(numbers[:take])
            size += len(pack.data)
            taken = pack.cut(0, take)
            parts.append(taken._replace(digests=None))  # of the calls from here on, and no worker's business
            if taken.digests is not None:
                digests.append(taken.digests)
            if take < len(numbers):
                self._segments.appendleft((numbers[take:], pack.cut(take, len(numbers))))
        self._drawn += len(indices)
        self._moved()
        row = range(indices[0], indices[0] + len(indices))
        told = b"".join(digests) if digests else None
        return Calls(row if all(map(eq, indices, row)) else indices, (tuple(parts),), None, told)

    def leave(self) -> None:
        # What is here stays: a driver may be drawing it at this moment.
        self._left = True
        self._moved()


class SideBySide:
    """Several intakes as the columns of one: a[i] goes with b[i].

    A number that one column has dropped is dropped from all, so a skipped failure takes its row
    with it and never shifts the others. Errors: UnequalColumns.
    """

    def __init__(self, columns: list[Intake], names: list[str], shortest: bool, lost: Collection[int] = ()) -> None:
        self._columns = columns
        self._names = names
        self._shortest = shortest
        self._lost = lost  # columns of stages that did not end well: the others' rows beyond them are dropped too
        self._held: list[Calls] = [Calls(range(0), ((),)) for _ in columns]
        self._ended = [False] * len(columns)

    @property
    def size(self) -> int | None:
        sizes = [column.size for column in self._columns]
        known = [size + len(held) for size, held in zip(sizes, self._held, strict=True) if size is not None]
        return min(known) if len(known) == len(sizes) else None

    @property
    def total(self) -> int:
        return min(column.total for column in self._columns)

    @property
    def arrivals(self) -> int:
        return sum(column.arrivals for column in self._columns)

    @property
    def dry(self) -> bool:
        return any(column.dry and not held for column, held in zip(self._columns, self._held, strict=True))

    def draw(self, most: int) -> Calls | None:
        while True:
            for place in range(len(self._columns)):
                self._fill(place, most)
            if all(self._held):
                calls = self._together(most)
                if calls is not None:
                    return calls
            elif not any(ended and not held for ended, held in zip(self._ended, self._held, strict=True)):
                return Calls(range(0))
            elif self._shortest or any(self._ended[place] and not self._held[place] for place in self._lost):
                return None
            elif not any(self._held):
                return None if self._over() else Calls(range(0))
            else:
                self._drop_beyond()

    def leave(self) -> None:
        for column in self._columns:
            column.leave()

    def _fill(self, place: int, most: int) -> None:
        if self._held[place] or self._ended[place]:
            return
        drawn = self._columns[place].draw(most)
        if drawn is None:
            self._ended[place] = True
        elif len(drawn):
            self._held[place] = drawn

    def _together(self, most: int) -> Calls | None:
        """The longest run of numbers that all columns begin with; None when one had to drop some first."""
        start = max(held.indices[0] for held in self._held)
        for place, held in enumerate(self._held):
            skip = next((at for at, number in enumerate(held.indices) if number >= start), len(held))
            if skip:
                self._held[place] = held.cut(skip, len(held))
        if not all(self._held) or len({held.indices[0] for held in self._held}) > 1:
            return None
        size = 0
        limit = min(most, *(len(held) for held in self._held))
        while size < limit and len({held.indices[size] for held in self._held}) == 1:
            size += 1
        columns: list[Column] = []
        digests = side_by_side([held.cut(0, size) for held in self._held])
        for place, held in enumerate(self._held):
            columns.append(cut_column(held.columns[0], 0, size))
            self._held[place] = held.cut(size, len(held))
            indices = held.indices[:size]
        return Calls(indices, tuple(columns), None, digests)

    def _over(self) -> bool:
        """Whether every column is at its end. Errors: UnequalColumns when they ended apart."""
        if not all(self._ended):
            return False
        totals = [column.total for column in self._columns]
        if len(set(totals)) > 1:
            short, long = totals.index(min(totals)), totals.index(max(totals))
            raise UnequalColumns(self._names[short], totals[short], self._names[long], totals[long])
        return True

    def _drop_beyond(self) -> None:
        """One column is over. What others still hold was dropped from it, or never was in it: then they are unequal."""
        short = min(
            (place for place, ended in enumerate(self._ended) if ended and not self._held[place]),
            key=lambda place: self._columns[place].total,
        )
        total = self._columns[short].total
        for place, held in enumerate(self._held):
            if not held:
                continue
            if held.indices[-1] >= total:
                left = self._columns[place].size
                length = None if left is None else held.indices[-1] + 1 + left
                raise UnequalColumns(self._names[short], total, self._names[place], length)
            self._held[place] = Calls(range(0), ((),))


class Batched:
    """Another intake's items in lists of `size`, each there as soon as its items are; the last one shorter."""

    def __init__(self, intake: Intake, size: int) -> None:
        self._intake = intake
        self._in_one = size
        self._ended = False
        self.total = 0
        # Lists that grow: items may come one by one, and thousands of them be one batch.
        self._items: list[Any] = []
        self._numbers: list[int] = []
        self._digests: bytearray | None = bytearray()
        self._read: tuple[bytes, list[Any]] = (b"", [])

    @property
    def size(self) -> int | None:
        left = self._intake.size
        return None if left is None else -(-(left + len(self._items)) // self._in_one)

    @property
    def arrivals(self) -> int:
        return self._intake.arrivals

    @property
    def dry(self) -> bool:
        return self._intake.dry

    def draw(self, most: int) -> Calls | None:
        # Whoever asks for everything, or for much ahead, gets it in pieces: a list may be of any size.
        most = max(1, min(most, HELD // self._in_one))
        self._fill(most * self._in_one)
        whole = len(self._items) // self._in_one * self._in_one
        stop = len(self._items) if self._ended else whole
        if not stop:
            return None if self._ended else Calls(range(0))
        lists = [self._items[at : at + self._in_one] for at in range(0, stop, self._in_one)]
        told = None if self._digests is None else bytes(self._digests[: SIZE * stop])
        digests = in_lists(self._numbers[:stop], told, self._in_one)
        del self._items[:stop], self._numbers[:stop]
        if self._digests is not None:
            del self._digests[: SIZE * stop]
        self.total += len(lists)
        return Calls(range(self.total - len(lists), self.total), ((lists,),), digests=digests)

    def leave(self) -> None:
        self._intake.leave()

    def _fill(self, wanted: int) -> None:
        """Hold as many items as are wanted, or as are there."""
        while not self._ended and len(self._items) < wanted:
            drawn = self._intake.draw(wanted - len(self._items))
            if drawn is None:
                self._ended = True
            elif len(drawn):
                self._take(drawn)
            else:
                return

    def _take(self, drawn: Calls) -> None:
        for part in drawn.columns[0]:
            self._items += self._values(part) if isinstance(part, Pack) else part
        self._numbers += drawn.indices
        if drawn.digests is None or self._digests is None:
            self._digests = None  # an intake gives them always, or never
        else:
            self._digests += drawn.digests

    def _values(self, pack: Pack) -> list[Any]:
        """What was packed together is read once, however small the batches are that are made of it."""
        if pack.data is not self._read[0]:
            self._read = pack.data, pack.whole()
        return self._read[1][pack.start : pack.stop]


class _Over:
    """Another intake's calls, with something more known of them."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    @property
    def size(self) -> int | None:
        return self._intake.size

    @property
    def total(self) -> int:
        return self._intake.total

    @property
    def arrivals(self) -> int:
        return self._intake.arrivals

    @property
    def dry(self) -> bool:
        return self._intake.dry

    def leave(self) -> None:
        self._intake.leave()


class First(_Over):
    """The first so many of another intake's calls."""

    def __init__(self, intake: Intake, most: int) -> None:
        super().__init__(intake)
        self._left = most
        self._total = 0

    @property
    def size(self) -> int | None:
        left = self._intake.size
        return left if left is None else min(left, self._left)

    @property
    def total(self) -> int:
        return self._total

    def draw(self, most: int) -> Calls | None:
        calls = self._intake.draw(min(most, self._left)) if self._left else None
        drawn = 0 if calls is None else len(calls)
        self._left -= drawn
        self._total += drawn
        return calls


class PerCall(_Over):
    """Another intake's calls, each with keywords of its own: a `with` that speaks of ${item} or ${index}."""

    def __init__(
        self,
        intake: Intake,
        keywords: Callable[[int, Any], dict[str, Any] | Unfilled],
        item: Callable[[Sequence[Any]], Any],
    ) -> None:
        super().__init__(intake)
        self._keywords = keywords
        self._item = item  # from one value of each column

    def draw(self, most: int) -> Calls | None:
        calls = self._intake.draw(most)
        if not calls:
            return calls
        items = items_of(calls, self._item)
        given = [self._keywords(index, item) for index, item in zip(calls.indices, items, strict=True)]
        return replace(calls, keywords=(given,))


class Depending(_Over):
    """Another intake's calls, each of which reads files of its own: `deps` that speak of ${item} or ${index}."""

    def __init__(
        self, intake: Intake, files: Callable[[int, Any], bytes], item: Callable[[Sequence[Any]], Any]
    ) -> None:
        super().__init__(intake)
        self._files = files  # 8 bytes that stand for the files of a call, with what is in them
        self._item = item  # from one value of each column

    def draw(self, most: int) -> Calls | None:
        """Errors: DepMissing; ExpressionError when ${item.x} leads nowhere."""
        calls = self._intake.draw(most)
        if not calls:
            return calls
        items = items_of(calls, self._item)
        told = [self._files(index, item) for index, item in zip(calls.indices, items, strict=True)]
        return replace(calls, digests=each_deepened(calls.indices, calls.digests, told))


def items_of(calls: Calls, item: Callable[[Sequence[Any]], Any]) -> list[Any]:
    """What `${item}` is for each of these calls; nothing for a call that has none."""
    if not calls.columns:
        return [None] * len(calls)
    return [item(row) for row in zip(*map(column_values, calls.columns), strict=True)]


class Described(_Over):
    """Items, each with the digest of what it is."""

    def __init__(self, intake: Intake, how: Callable[[Any], bytes]) -> None:
        super().__init__(intake)
        self._how = how

    def draw(self, most: int) -> Calls | None:
        calls = self._intake.draw(most)
        return replace(calls, digests=told_apart(self._how, column_values(calls.columns[0]))) if calls else calls


class Deepened(_Over):
    """Calls whose digests tell all that they are given beside their items: whole results, their own numbers."""

    def __init__(self, intake: Intake, salt: bytes, *, numbered: bool) -> None:
        super().__init__(intake)
        self._salt = salt
        self._numbered = numbered

    def draw(self, most: int) -> Calls | None:
        calls = self._intake.draw(most)
        if not calls:
            return calls
        return replace(calls, digests=deepened(calls.indices, calls.digests, self._salt, numbered=self._numbered))
