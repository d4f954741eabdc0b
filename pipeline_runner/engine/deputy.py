"""Stands in for the runner on a cluster: has worker processes of its own there, hears them, and writes home.

It lives in whatever process the cluster runs our function in. Calls do not run in that process but below it, in workers
like those of any pool: so a call that dies takes nothing of the cluster along, a limit can be enforced by ending its
process, and what it prints is its own. All that becomes of a chunk goes home in one letter, as its receipt.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from time import monotonic

from pipeline_runner.backends._launch import Roster, end_orphans, workers_brand
from pipeline_runner.calls import Failure, Perform, Receipt, Ticket
from pipeline_runner.engine import blame
from pipeline_runner.engine.arena import Arena
from pipeline_runner.engine.beacon import Beacon
from pipeline_runner.engine.letters import Brief, write
from pipeline_runner.engine.messages import (
    ChunkBegun,
    ChunkLost,
    ChunkOver,
    LinesSaid,
    Message,
    StepReached,
    WorkerGone,
)
from pipeline_runner.servers import without_ctrl_c
from pipeline_runner.typed import Any
from pipeline_runner.worker import limits
from pipeline_runner.worker.hand import CODE

IDLE_S = 20.0  # a worker that has had nothing to do for so long is let go
LOOK_S = 0.05  # how often a call's limits are looked at
UNASKED_S = 0.5  # how often to ask whether anybody still waits for the chunk
EXITCODE_S = 5.0


def row(ticket: Ticket, payload: bytes, brief: bytes) -> Receipt:
    """Perform a chunk in a worker of this process's; what a cluster is given where it takes a row or columns."""
    return _deputy().perform(ticket, payload, brief)


def one(task: tuple[Ticket, bytes, bytes]) -> Receipt:
    """The same for a method that gives one argument."""
    return row(*task)


PERFORM = Perform(row=row, one=one)


class _NoRoom(Arena):
    """Large buffers go home in the letter: the runner cannot map memory of this host."""

    def lend(self, size: int) -> None:
        return None


class _Child:
    """A worker process as the roster wants it."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pid = popen.pid

    @property
    def exitcode(self) -> int | None:
        return self._popen.poll()


class Hand:
    """One worker process of a deputy, and the beacon that hears it."""

    def __init__(self, roster: Roster) -> None:
        self._news: deque[Message] = deque()
        self._beacon = Beacon(self._news.append, _NoRoom())
        self._jobs: list[Brief] = []  # that its worker was told of, by their numbers there
        self.chunks = 0  # that it has been given
        self.idle_since = monotonic()
        self._process = self._start(roster)

    def _start(self, roster: Roster) -> _Child:
        brand = workers_brand()
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        theirs, ours = os.pipe()
        words = [str(theirs), str(brand.number if brand else 0), str(os.getpid()), root]
        try:
            with roster.launch(), without_ctrl_c():
                popen = subprocess.Popen(
                    [sys.executable, "-c", CODE, *words], stdin=subprocess.DEVNULL, pass_fds=[theirs]
                )
                process = _Child(popen)
                roster.add(process)
        finally:
            os.close(theirs)
        self._pipe: Connection[Any, Any] = Connection(ours, readable=False)
        self._pipe.send(sys.path)
        return process

    @property
    def alive(self) -> bool:
        return self._process.exitcode is None

    def perform(self, ticket: Ticket, payload: bytes, its: Brief, wanted: Callable[[], bool]) -> list[Message]:
        """All the news of a chunk. The worker may have died of it, or been ended."""
        self.chunks += 1
        with suppress(OSError):  # it is dead, and will be heard to be
            self._pipe.send((ticket._replace(beacon=self._beacon.address, job=self._job(its)), payload))
        news: list[Message] = []
        begun_at: float | None = None
        asked_at = monotonic()
        sentence: Failure | None = None
        while True:
            limited = begun_at is not None and (its.timeout_s or its.memory_bytes)
            match self._next(LOOK_S if limited else UNASKED_S):
                case ChunkOver() as over:
                    self.idle_since = monotonic()
                    return [*news, over]
                case WorkerGone(pid=pid):
                    return [*news, self._lost(ticket, pid, sentence)]
                case ChunkBegun():
                    begun_at = monotonic()
                case LinesSaid() | StepReached() as said:
                    news.append(said)
                case _ if begun_at is None and not self.alive:  # it has died before it was heard
                    return [*news, self._lost(ticket, self._process.pid, None)]
                case _:
                    pass
            if limited and begun_at is not None and sentence is None:
                sentence = _sentence(its, self._process.pid, monotonic() - begun_at)
            unwanted = monotonic() - asked_at > UNASKED_S and not wanted()
            asked_at = monotonic() if monotonic() - asked_at > UNASKED_S else asked_at
            if sentence is not None or unwanted:
                limits.kill_tree(self._process.pid)

    def _next(self, wait_s: float) -> Message | None:
        if not self._news:
            self._beacon.hear(wait_s)
        return self._news.popleft() if self._news else None

    def _job(self, its: Brief) -> int:
        """The number by which this hand's worker knows the job."""
        if its not in self._jobs:
            self._jobs.append(its)
            self._beacon.publish(len(self._jobs) - 1, its.job)
        return self._jobs.index(its)

    def _lost(self, ticket: Ticket, pid: int, sentence: Failure | None) -> ChunkLost:
        deadline = monotonic() + EXITCODE_S
        while self.alive and monotonic() < deadline:
            threading.Event().wait(0.005)
        exitcode = self._process.exitcode
        failure = sentence or blame.death(pid, exitcode)
        return ChunkLost(ticket.chunk, pid, exitcode, failure, sentenced=sentence is not None)

    def let_go(self) -> None:
        """End the worker, and what it has left behind."""
        self._pipe.close()
        if self.alive:
            limits.kill_tree(self._process.pid)
        self._beacon.close()
        end_orphans()


def _sentence(its: Brief, pid: int, ran_s: float) -> Failure | None:
    """Why a call is to be ended now, if it is."""
    if its.timeout_s and ran_s >= its.timeout_s:
        return blame.overdue(pid, its.timeout_s)
    if its.memory_bytes and (held := limits.resident_bytes(pid)) > its.memory_bytes:
        return blame.too_large(pid, its.memory_bytes, held)
    return None


class Deputy:
    """The workers of one process of a cluster, which may run several chunks at a time."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._roster = Roster()
        self._lock = threading.Lock()
        self._idle: dict[object, list[Hand]] = {}
        self._briefs: dict[bytes, Brief] = {}
        threading.Thread(target=self._let_go_of_idle, name="prun-deputy", daemon=True).start()

    def perform(self, ticket: Ticket, payload: bytes, brief: bytes) -> bytes:
        its = self._read(brief)
        with self._hand(its) as hand:
            return write(hand.perform(ticket, payload, its, _wanted()))

    def _read(self, brief: bytes) -> Brief:
        """Once for the chunks of a stage that follow one another."""
        with self._lock:
            if brief not in self._briefs:
                self._briefs = {brief: pickle.loads(brief)}
            return self._briefs[brief]

    @contextmanager
    def _hand(self, its: Brief) -> Iterator[Hand]:
        """A worker that was set up as the job wants it: one that is idle, or a new one."""
        kind = (its.run, its.job.folder, its.job.env, its.job.workdir, its.job.setup, its.job.setup_with)
        with self._lock:
            idle = self._idle.setdefault(kind, [])
            hand = idle.pop() if idle else None
        if hand is not None and not hand.alive:
            hand.let_go()
            hand = None
        hand = hand or Hand(self._roster)
        try:
            yield hand
        finally:
            if hand.alive and (its.most is None or hand.chunks < its.most):
                with self._lock:
                    self._idle.setdefault(kind, []).append(hand)
            else:
                hand.let_go()

    def _let_go_of_idle(self) -> None:
        pause = threading.Event()
        while not pause.wait(IDLE_S / 4):
            old: list[Hand] = []
            with self._lock:
                for kind, hands in list(self._idle.items()):
                    old += [hand for hand in hands if monotonic() - hand.idle_since > IDLE_S]
                    self._idle[kind] = [hand for hand in hands if hand not in old]
                    if not self._idle[kind]:
                        del self._idle[kind]
            for hand in old:
                hand.let_go()


def _wanted() -> Callable[[], bool]:
    """Whether the cluster still wants what this thread is at. Dask lets a task that is running run on when its client
    has cancelled it, or is gone; Ray and MPI end the process."""
    distributed: Any = sys.modules.get("distributed")
    try:
        worker = distributed.get_worker()
        key = worker.get_current_task()
    except (AttributeError, ValueError):  # not a worker of Dask's
        return lambda: True

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state not in ("cancelled", "resumed")

    return wanted


_one: Deputy | None = None
_making = threading.Lock()


def _deputy() -> Deputy:
    """This process's; after a fork, the one in our memory is our parent's."""
    global _one
    with _making:
        if _one is None or _one.pid != os.getpid():
            _one = Deputy()
        return _one
