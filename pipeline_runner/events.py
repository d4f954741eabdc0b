"""Everything that happens in a run, as values, in the order in which it was known.

One stream, made by one thread. Whoever listens (progress, journal, report, a user's own callable)
hears all of it; the state of a run is nothing but the fold of these.
"""

from __future__ import annotations

from time import time

from pipeline_runner.axes import Status
from pipeline_runner.calls import Failure
from pipeline_runner.classes import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Event:
    at: float = field(default_factory=time)  # seconds since the epoch, for show: nothing is decided by it


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    run: str
    pipeline: str
    workers: int
    stages: tuple[str, ...]
    hooks: tuple[str, ...] = ()  # what may run after them


@dataclass(frozen=True, kw_only=True)
class StageStarted(Event):
    """The stage's sources are there (or stream) and its pool is being opened."""

    stage: str
    method: str
    calls: int | None  # how many, where it is known
    fused_into: str | None = None  # the head of its chain


@dataclass(frozen=True, kw_only=True)
class CallsKnown(Event):
    """How many calls the stage has, known only now."""

    stage: str
    calls: int


@dataclass(frozen=True, kw_only=True)
class RoundStarted(Event):
    """A pass over the calls still owed, in a pool of its own lease."""

    stage: str
    number: int  # from 1
    workers: int


@dataclass(frozen=True, kw_only=True)
class ChunkStarted(Event):
    stage: str
    chunk: int
    first: int  # number of its first call
    calls: int
    pid: int


@dataclass(frozen=True, kw_only=True)
class CallsDone(Event):
    """Calls of one chunk ended well in this stage."""

    stage: str
    chunk: int
    indices: tuple[int, ...] | range
    size_bytes: int  # of the pickled values; 0 where nobody reads them


@dataclass(frozen=True, kw_only=True)
class CallsReused(Event):
    """Calls that an earlier run has ended well; they are not made again."""

    stage: str
    indices: range


@dataclass(frozen=True, kw_only=True)
class DepsRead(Event):
    """What was in a stage's `deps` when it began."""

    stage: str
    files: tuple[tuple[str, str], ...]  # (path, digest)


@dataclass(frozen=True, kw_only=True)
class CallsOutdated(Event):
    """Calls that an earlier run has ended well, and that are made again: what they depend on has changed."""

    stage: str
    calls: int
    why: tuple[str, ...] = ()  # "function work:scale has changed", …

    def __str__(self) -> str:
        calls = "1 finished call" if self.calls == 1 else f"{self.calls} finished calls"
        more = f" and {len(self.why) - 3} more" if len(self.why) > 3 else ""
        why = ", ".join(self.why[:3]) + more or "its function, `with` or sources have changed"
        return f'stage "{self.stage}": {why}; of its {calls} none is kept'


@dataclass(frozen=True, kw_only=True)
class StageRenamed(Event):
    """A stage computes what another one did that is not there any more: its finished calls count for it."""

    stage: str
    was: str
    calls: int

    def __str__(self) -> str:
        calls = "finished call is" if self.calls == 1 else f"{self.calls} finished calls are"
        return f'stage "{self.stage}" was called "{self.was}": its {calls} kept'


@dataclass(frozen=True, kw_only=True)
class JournalMended(Event):
    """The journal was damaged; what could be read of it is in a new one."""

    aside: str  # where the damaged one is
    rows: int  # of values, that could be read

    def __str__(self) -> str:
        return f"the journal was damaged: {self.rows} rows could be read and are kept; the old one is {self.aside}"


@dataclass(frozen=True, kw_only=True)
class JournalTaken(Event):
    """The journal was removed or replaced while the run wrote to it; nobody will find what it has written."""

    path: str

    def __str__(self) -> str:
        return f"{self.path} was taken away while the run went on: this run is not kept, and cannot be resumed"


@dataclass(frozen=True, kw_only=True)
class ChunkEnded(Event):
    stage: str
    chunk: int
    calls: int  # that ended in it, well or not
    took_s: float  # in the worker, without the queue
    pid: int


@dataclass(frozen=True, kw_only=True)
class CallRetried(Event):
    """A call failed and will be tried again."""

    stage: str
    index: int
    tries: int  # so far
    limit: int  # of tries in all
    wait_s: float
    failure: Failure


@dataclass(frozen=True, kw_only=True)
class CallFailed(Event):
    """A call failed for good; index -1: the stage failed as a whole."""

    stage: str
    index: int
    tries: int
    failure: Failure
    argument: str = ""  # in short
    said: tuple[str, ...] = ()  # the last lines that it wrote

    def __str__(self) -> str:
        call = f", call {self.index}" if self.index >= 0 else ""
        return f'stage "{self.stage}"{call}: {self.failure}'


@dataclass(frozen=True, kw_only=True)
class WorkerDied(Event):
    """A worker process ended while it had calls, or broke its pool."""

    stage: str
    pid: int
    exitcode: int | None  # -N: signal N; None: not told
    calls: tuple[int, ...] | range  # that it had begun, and that are not yet blamed


@dataclass(frozen=True, kw_only=True)
class WorkerStruck(Event):
    """Chaos has killed a worker that had just begun a chunk; its calls are innocent."""

    stage: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class PoolReplaced(Event):
    stage: str
    why: str


@dataclass(frozen=True, kw_only=True)
class PoolNarrowed(Event):
    """There are not as many workers as were meant, since there are too few file descriptors for them."""

    stage: str
    workers: int
    meant: int
    limit: int  # of open files
    needed: int  # for as many as were meant

    def __str__(self) -> str:
        return (
            f'stage "{self.stage}" has {self.workers} of {self.meant} workers: there may be {self.limit} open files, '
            f"and all need {self.needed}; raise it with `ulimit -n {self.needed}`"
        )


@dataclass(frozen=True, kw_only=True)
class Printed(Event):
    """A line that a call wrote."""

    stage: str
    index: int | None  # None: outside a call (setup)
    stream: str  # "stdout" or "stderr"
    line: str


@dataclass(frozen=True, kw_only=True)
class StageEnded(Event):
    stage: str
    status: Status
    took_s: float
    done: int | None = None  # calls that ended well, reused ones included; None: not told
    made: int | None = None  # calls that ended well in this try, and were not reused; None: not told
    work_s: float | None = None  # of workers, in its calls and those of stages fused into it; None: not told
    why: str = ""  # it was not run: a clause, "its condition is false: …"
    slowest: tuple[tuple[int, int, float], ...] = ()  # chunks: first call, calls, seconds of each on average
    profile: tuple[tuple[int, int, float], ...] = ()  # of uneven calls, all of them: first call, calls, seconds


@dataclass(frozen=True, kw_only=True)
class RunEnded(Event):
    status: Status
    took_s: float
