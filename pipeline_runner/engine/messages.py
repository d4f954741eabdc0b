"""What can arrive in the engine's inbox: all that it ever learns."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline_runner.calls import Failure, Outcome
from pipeline_runner.classes import dataclass
from pipeline_runner.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.engine.reuse import Reused

Line = tuple[int | None, str, str]  # position in the chunk, or None; "stdout" or "stderr"; the text


@dataclass(frozen=True)
class WorkerHere:
    """A worker of a lease has found the beacon."""

    lease: int
    pid: int


@dataclass(frozen=True)
class ChunkBegun:
    lease: int
    chunk: int
    pid: int
    waits: bool  # for leave


@dataclass(frozen=True)
class StepReached:
    """A chunk has gone on to a later step of its chain."""

    chunk: int
    step: int


@dataclass(frozen=True)
class ChunkOver:
    """Every outcome of a chunk is here, safe from whatever happens to its worker next."""

    lease: int
    chunk: int
    pid: int
    outcomes: Sequence[Outcome]
    took_s: float


@dataclass(frozen=True)
class ChunkLost:
    """On a cluster, the worker of a chunk has died; the pool goes on."""

    chunk: int
    pid: int  # on its own host; 0: not known
    exitcode: int | None
    failure: Failure  # of the one call that it had
    sentenced: bool = False  # its call was ended for going beyond a limit: it is surely to blame


@dataclass(frozen=True)
class LinesSaid:
    lease: int
    chunk: int
    lines: Sequence[Line]


@dataclass(frozen=True)
class WorkerGone:
    """A worker process has ended, after all that it said."""

    lease: int
    pid: int


@dataclass(frozen=True)
class WorkerRefused:
    """There was no descriptor to hear a worker by."""

    limit: int  # of open files


@dataclass(frozen=True)
class RoundOver:
    """The method gave its last receipt, or broke."""

    course: int
    round: int
    error: BaseException | None


@dataclass(frozen=True)
class PoolOpened:
    course: int
    round: int
    lease: int


@dataclass(frozen=True)
class CallsKept:
    """Calls that an earlier run has ended well, and that need not be made."""

    course: int
    reused: Sequence[Reused]


@dataclass(frozen=True)
class Cancel:
    """End the run. signal: by which, if by one."""

    signal: int | None


Message = (
    CallsKept
    | WorkerHere
    | ChunkBegun
    | StepReached
    | ChunkOver
    | ChunkLost
    | LinesSaid
    | WorkerGone
    | WorkerRefused
    | RoundOver
    | PoolOpened
    | Cancel
)
