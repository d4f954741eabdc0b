"""What travels: calls in chunks on the way out, outcomes on the way back.

Everything here is imported by every worker, so it needs only the standard library's cheapest modules.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum

from pipeline_runner.buffers import Buffers
from pipeline_runner.classes import dataclass, replace
from pipeline_runner.errors import NoValue
from pipeline_runner.typed import Any, NamedTuple, Protocol


class Pack(NamedTuple):
    """Some values of a pickled list, still pickled: the parent relays them without decoding."""

    data: bytes  # one pickled list
    start: int
    stop: int  # values[start:stop] are meant
    digests: bytes | None = None  # 8 bytes a value: of what its call was given; None: its number says it
    large: Buffers | None = None  # what of them is not in `data`

    @property
    def size_bytes(self) -> int:
        """Of the whole list."""
        return len(self.data) + (0 if self.large is None else self.large.size_bytes)

    def whole(self) -> list[Any]:
        """Decode the whole list. Errors: whatever a user's class raises when it is unpickled."""
        values: list[Any] = pickle.loads(self.data) if self.large is None else self.large.load(self.data)
        return values

    def values(self) -> list[Any]:
        """Decode those that are meant. Errors: as of the whole list."""
        values = self.whole()
        return values if self.start == 0 and self.stop == len(values) else values[self.start : self.stop]

    def cut(self, start: int, stop: int) -> Pack:
        """Some of them, still packed."""
        digests = None if self.digests is None else self.digests[8 * start : 8 * stop]
        return Pack(self.data, self.start + start, self.start + stop, digests, self.large)


Part = list[Any] | range | Pack
Column = tuple[Part, ...]  # one argument of many calls, in pieces


def part_size(part: Part) -> int:
    return part.stop - part.start if isinstance(part, Pack) else len(part)


def column_values(column: Column) -> list[Any]:
    """The column's values, decoded, as one list."""
    if len(column) == 1:
        (part,) = column
        if isinstance(part, list):
            return part
        return part.values() if isinstance(part, Pack) else list(part)
    values: list[Any] = []
    for part in column:
        values.extend(part.values() if isinstance(part, Pack) else part)
    return values


def cut_column(column: Column, start: int, stop: int) -> Column:
    """The pieces of rows start to stop, without decoding any."""
    pieces: list[Part] = []
    at = 0
    for part in column:
        size = part_size(part)
        low, high = max(start - at, 0), min(stop - at, size)
        if low < high:
            pieces.append(part.cut(low, high) if isinstance(part, Pack) else part[low:high])
        at += size
    return tuple(pieces)


class Unfilled:
    """Stands for the keywords of a call whose `${…}` have no value: that call fails, and says why."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why

    def keys(self) -> Iterable[str]:
        raise NoValue(self.why)

    def __getitem__(self, name: str) -> Any:
        raise NoValue(self.why)


@dataclass(frozen=True)
class Calls:
    """Some calls of a stage: their numbers, and one column for each argument.

    Shape: every column has len(indices) rows. No column at all: a call that takes only its `with`.
    `keywords` is a column of mappings, there only when a `with` speaks of ${item} or ${index}.
    `digests` has 8 bytes a call that tell what it is given, where its number alone does not and a
    journal wants to know.
    """

    indices: Sequence[int]
    columns: tuple[Column, ...] = ()
    keywords: Column | None = None
    digests: bytes | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def large_bytes(self) -> int:
        """Of the large buffers that their packed values are with: also those of other calls that came along."""
        packs = [part for column in self.columns for part in column if isinstance(part, Pack)]
        return sum(pack.large.size_bytes for pack in packs if pack.large is not None)

    def in_one(self) -> Calls:
        """The same calls with all that they are given in themselves. Errors: what unpickling a value raises."""
        if not self.large_bytes:
            return self
        return replace(self, columns=tuple((column_values(column),) for column in self.columns))

    @property
    def relayed(self) -> bool:
        """Whether some of it is values of other stages, still packed."""
        return any(isinstance(part, Pack) for column in self.columns for part in column)

    def cut(self, start: int, stop: int) -> Calls:
        return Calls(
            self.indices[start:stop],
            tuple(cut_column(column, start, stop) for column in self.columns),
            None if self.keywords is None else cut_column(self.keywords, start, stop),
            None if self.digests is None else self.digests[8 * start : 8 * stop],
        )

    def split(self, most: int) -> Iterator[Calls]:
        """The same calls in runs of at most `most`."""
        for start in range(0, len(self), most):
            yield self.cut(start, min(start + most, len(self)))


class Ticket(NamedTuple):
    """What a worker must know of a chunk before it looks inside."""

    beacon: str  # address to tell the news to
    lease: int  # which opened pool this worker belongs to
    job: int  # which job description the calls are for
    step: int  # where in a fused chain they begin; 0 for the first stage of it
    chunk: int
    budget_s: float  # hand the rest back after this long; 0: never
    leave: bool  # ask before starting, and wait for the answer
    size: int = 1  # calls in the chunk
    quiet: bool = False  # that it begins need not be said at once: its worker's slate shows it


Task = tuple[Ticket, bytes]  # the bytes are a pickled (columns, keywords) of Calls


class Lost(NamedTuple):
    """The receipt of a chunk whose worker died, on a cluster that says so."""

    chunk: int
    why: str  # the library's own words


Receipt = int | bytes | Lost
"""What a pool method gives back for a chunk: its number, where outcomes travel with the news. From a worker that cannot
reach the beacon it is a letter with all the news of the chunk (engine/letters.py)."""


class Perform(NamedTuple):
    """The one function that pools are ever given, in the two shapes that they ask for.

    Both are module-level functions, so that every serializer can name them. A cluster hands both of them the brief of
    the chunk's stage too, behind the payload.
    """

    row: Callable[..., Receipt]  # f(ticket, payload): single, star, zip
    one: Callable[[Any], Receipt]  # f((ticket, payload)): map


class Chunks(Protocol):
    """The chunks of one round, seen in the shape that a method asks for. Every view may be taken once.

    A view is lazy, and its next() may wait until a chunk may be handed in: a method that takes
    all its input first gets all of it without waiting, since nothing else could make room.
    """

    workers: int  # processes of the pool: what a batch is

    def __iter__(self) -> Iterator[Task]: ...  # one at a time, or one iterable
    def rows(self) -> Iterator[Task]: ...  # one row a chunk
    def columns(self) -> tuple[Iterable[Ticket], Iterable[bytes]]: ...  # one column a parameter


class Cause(StrEnum):
    """Why a call failed. The words are also those of `retry: {on: […]}`."""

    RAISED = "raised"
    RESULT = "result"  # it ended, but its value cannot be pickled, or read back
    LOST = "lost"  # its worker died
    TIMEOUT = "timeout"
    MEMORY = "memory"


@dataclass(frozen=True)
class Failure:
    """Why one call failed, in plain text: user classes are told, never sent as themselves."""

    cause: Cause
    type: str  # the exception's class name; "WorkerDied", "Timeout" when there was none
    message: str
    traceback: str = ""  # the user's frames only
    lineage: tuple[str, ...] = ()  # names of the exception's classes, itself first: what `retry: {on: …}` matches
    pickled: bytes | None = None  # the exception itself, when it survives a round trip

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


class Done(NamedTuple):
    """Calls start to stop of a chunk ended well."""

    step: int
    start: int  # positions in the chunk
    stop: int
    data: bytes | None  # the pickled list of their values; None where nobody reads this step
    large: Buffers | None = None  # what of them is not in `data`

    @property
    def size_bytes(self) -> int:
        return (0 if self.data is None else len(self.data)) + (0 if self.large is None else self.large.size_bytes)


class Failed(NamedTuple):
    """One call of a chunk failed in a step."""

    step: int
    position: int  # in the chunk
    failure: Failure
    carried: bytes | None  # pickled [value] that a later step of a chain was given, so that it alone can be tried again


class Rest(NamedTuple):
    """Calls from this position on were not begun: the chunk's time was up."""

    start: int


class Wrote(NamedTuple):
    """A call has put its `outs` in their places."""

    call: int  # its number in the stage
    files: tuple[tuple[str, str], ...]  # (path, digest of what is in it)


class Timed(NamedTuple):
    """How long each call of a chunk took whose calls are of several stages."""

    seconds: tuple[float, ...]  # by position


Outcome = Done | Failed | Rest | Wrote | Timed
