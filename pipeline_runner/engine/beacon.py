"""Hears the workers: what begins, what ends with which outcome, and who dies.

It has no thread of its own: who waits for news listens to the sockets (`hear`). A thread between the two was one more
to be woken, and to wait for the interpreter, for each chunk.
"""

from __future__ import annotations

import errno
import os
import pickle
import resource
import selectors
import socket
import struct
import sys
import tempfile
import threading
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic

from pipeline_runner.calls import Outcome, Ticket
from pipeline_runner.engine.arena import Arena
from pipeline_runner.engine.messages import (
    ChunkBegun,
    ChunkOver,
    Line,
    LinesSaid,
    Message,
    StepReached,
    WorkerGone,
    WorkerHere,
    WorkerRefused,
)
from pipeline_runner.engine.overheard import Overheard
from pipeline_runner.typed import Any
from pipeline_runner.worker import slate
from pipeline_runner.worker.capture import Mark
from pipeline_runner.worker.job import Job
from pipeline_runner.worker.link import BEGIN, ENDED, HELLO, LENGTH, REACHED, ROOM, SAID, forget_here, serve_here
from pipeline_runner.worker.slate import At

REFUSE_S = 2.0  # a worker that there is no descriptor for waits so long for one
AT_ONCE = 1 << 16  # bytes that are read in one go; of a larger frame the rest goes where it is to be
LOOK_S = 0.05  # how often to look what a call that goes on has written
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid of SO_PEERCRED


class _Worker:
    """One connection, and the frame that is arriving on it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.lease = -1
        self.pid = -1
        self.pidfd = -1
        self.gone = False
        self.overheard: Overheard | None = None
        self.begun: int | None = None  # the chunk of which it was told last that it has begun
        self.ended: int | None = None  # and that it has ended
        self._slate: int | None = None  # descriptor of what it writes down
        self._said: At | None = None  # what it said that it is at, for one without a slate
        self.dying = False  # what is still to be read is the last
        self._head = b""
        self._body: bytearray | None = None
        self._filled = 0

    def says(self, at: At) -> None:
        self._said = at
        self.begun = at.chunk

    @property
    def at(self) -> At | None:
        """What it is at now, as far as we know."""
        at = self._said if self._slate is None else slate.read(self._slate)
        return None if at is None or at.chunk == self.ended else at

    def frames(self) -> tuple[list[bytes | bytearray], bool]:
        """Whole frames that have arrived, and whether the other side is still there."""
        frames: list[bytes | bytearray] = []
        while True:
            try:
                got, most = self._read(frames)
            except BlockingIOError:
                return frames, True
            except OSError:
                return frames, False
            if not got:
                return frames, False
            if got < most and not self.dying:  # no more is there: to ask once more is to wait for the interpreter again
                return frames, True

    def _read(self, frames: list[bytes | bytearray]) -> tuple[int, int]:
        """Take what is there, once; how much it was, and how much it could have been."""
        if self._body is not None:
            with memoryview(self._body) as view:
                most = len(view) - self._filled
                got = self.connection.recv_into(view[self._filled :], 0, socket.MSG_DONTWAIT)
            self._filled += got
            if self._filled == len(self._body):
                frames.append(self._body)
                self._body = None
            return got, most
        if self.pid < 0:
            greeting = self._greeted()
            self._head += greeting
            self._cut(frames)
            return len(greeting), len(greeting)
        arrived = self.connection.recv(AT_ONCE, socket.MSG_DONTWAIT)
        self._head = self._head + arrived if self._head else arrived
        self._cut(frames)
        return len(arrived), AT_ONCE

    def _cut(self, frames: list[bytes | bytearray]) -> None:
        """The whole frames of what has arrived; the rest waits, in its own place where its length is known."""
        at, end = 0, len(self._head)
        while end - at >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._head, at)
            if at + LENGTH.size + length > end:
                self._body = bytearray(length)
                self._filled = end - at - LENGTH.size
                self._body[: self._filled] = self._head[at + LENGTH.size :]
                at = end
                break
            frames.append(self._head[at + LENGTH.size : at + LENGTH.size + length])
            at += LENGTH.size + length
        self._head = self._head[at:]

    def _greeted(self) -> bytes:
        """The first bytes, which come with the files that it writes to."""
        # Not socket.recv_fds, which forgets its flags.
        flags = socket.MSG_DONTWAIT | getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        files = array("i")
        room = socket.CMSG_SPACE(3 * files.itemsize)
        got, ancillary, _, _ = self.connection.recvmsg(LENGTH.size - len(self._head), room, flags)
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                files.frombytes(data[: len(data) // files.itemsize * files.itemsize])
        match list(files):
            case [out, err]:
                self.overheard = Overheard(out, err)
            case [out, err, slate_file]:
                self.overheard = Overheard(out, err)
                self._slate = slate_file
            case _:  # we are short of descriptors: what it writes is lost
                for file in files:
                    os.close(file)
        return got

    def close(self) -> None:
        self.connection.close()
        if self.overheard is not None:
            self.overheard.close()
            self.overheard = None
        for file in (self._slate, self.pidfd):
            if file is not None and file >= 0:
                os.close(file)
        self._slate, self.pidfd = None, -1


class Beacon:
    """The socket that workers tell their news to, and the same for calls in this very process.

    On Linux its address is abstract: there is no file, so nothing stays behind whatever dies.
    Only processes of the same user are heard.
    """

    def __init__(self, tell: Callable[[Message], None], arena: Arena | None = None, bell: int | None = None) -> None:
        """`bell`: a descriptor that ends the wait for news when it can be read."""
        self._tell = tell
        self._arena = Arena() if arena is None else arena
        self._jobs: dict[int, bytes] = {}
        self._plain: dict[int, Job] = {}
        self._workers: dict[int, _Worker] = {}  # by pid
        self._selector = selectors.DefaultSelector()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self.address = self._bind()
        self._listener.listen(128)
        self._listener.setblocking(False)
        self.here = f"here:{self.address}"
        self._doors: dict[int, threading.Event] = {}  # by chunk: calls of this process that wait for leave
        serve_here(self.here, lambda lease: _Here(tell, lease, self._plain, self._doors, self._arena))
        self._bell = bell
        self._looked_at = 0.0  # when it was seen last what workers are at
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY)
        self._pausing = False  # no look at who knocks, for a moment
        self._short_since: float | None = None  # that there was no descriptor for who knocks
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        if bell is not None:
            self._selector.register(bell, selectors.EVENT_READ, lambda: os.read(bell, 1 << 10))

    def _bind(self) -> str:
        if sys.platform == "linux":
            name = f"prun-{os.getpid()}-{os.urandom(8).hex()}"
            self._listener.bind(b"\0" + name.encode())
            return f"@{name}"
        self._folder = tempfile.TemporaryDirectory(prefix="prun-")
        path = os.path.join(self._folder.name, "beacon")
        self._listener.bind(path)
        return path

    def publish(self, number: int, job: Job) -> None:
        """Make a job known before its first chunk is handed in."""
        self._plain[number] = job
        self._jobs[number] = pickle.dumps(job, pickle.HIGHEST_PROTOCOL)

    def withdraw(self, number: int) -> None:
        self._jobs.pop(number, None)
        self._plain.pop(number, None)

    def give_leave(self, pid: int, chunk: int) -> None:
        """Let a worker begin the chunk that it asked about. Nothing happens if it has died."""
        door, worker = self._doors.get(chunk), self._workers.get(pid)
        if door is not None:
            door.set()
        elif worker is not None:
            _send(worker.connection, b"")

    def close(self) -> None:
        """Stop hearing. Workers that are still there end by themselves."""
        forget_here(self.here)
        self._plain.clear()
        for worker in self._workers.values():
            worker.close()
        self._listener.close()
        self._selector.close()
        if self._bell is not None:
            os.close(self._bell)
        if self._spare is not None:
            os.close(self._spare)
        if self._folder is not None:
            self._folder.cleanup()

    def hear(self, patience_s: float, awake: Callable[[], None] = lambda: None) -> None:
        """Tell all that has been said. If nothing has, wait for it, or for the bell, but no longer than this.

        `awake` is called when the wait is over, before anything is told: who waits here needs no bell for that.
        """
        ready = self._selector.select(min(patience_s, LOOK_S) if self._workers or self._pausing else patience_s)
        awake()
        if self._pausing:
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
            self._pausing = False
        for key, _ in ready:
            key.data()
        if self._workers and monotonic() - self._looked_at > LOOK_S:
            for worker in list(self._workers.values()):
                self._look_at(worker)
            self._looked_at = monotonic()

    def _look_at(self, worker: _Worker) -> None:
        """See what a worker is at, and what a call has written that goes on."""
        at = worker.at
        if at is None:
            return
        self._tell_begun(worker, at)
        if worker.overheard is None:
            return
        sizes = worker.overheard.sizes()
        self._hear(worker)  # news of what was written before, so that the rest is known to be later
        if worker.gone or worker.ended == at.chunk:
            return
        if at.alone:
            self._tell_lines(worker, at.chunk, worker.overheard.so_far(0, sizes))
        else:
            worker.overheard.stem(sizes)

    def _tell_begun(self, worker: _Worker, at: At) -> None:
        """That it is at a chunk, if it has not said so itself."""
        if worker.begun != at.chunk:
            worker.begun = at.chunk
            self._tell(ChunkBegun(worker.lease, at.chunk, worker.pid, waits=False))

    def _tell_lines(self, worker: _Worker, chunk: int | None, lines: Sequence[Line]) -> None:
        if lines and chunk is not None:
            self._tell(LinesSaid(worker.lease, chunk, lines))

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._back_off()
            return  # else it died while it knocked: its pool knows
        self._short_since = None
        if not _same_user(connection):
            connection.close()
            return
        worker = _Worker(connection)
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._hear(worker))

    def _back_off(self) -> None:
        """There is no descriptor for another worker. Look again in a moment, since the listener stays ready and would
        keep us busy; one that has waited for long is refused, so that it ends and its pool learns of it."""
        self._short_since = self._short_since or monotonic()
        if monotonic() - self._short_since > REFUSE_S:
            self._refuse()
        if not self._pausing:
            self._selector.unregister(self._listener)
            self._pausing = True

    def _refuse(self) -> None:
        """Let it in by the descriptor that was kept for this, and out again."""
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        with suppress(OSError):  # somebody else took the descriptor
            self._listener.accept()[0].close()
            self._tell(WorkerRefused(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)

    def _hear(self, worker: _Worker) -> None:
        frames, alive = worker.frames()
        for frame in frames:
            self._take(worker, pickle.loads(frame))
        if not alive:
            self._lose(worker)

    def _take(self, worker: _Worker, message: tuple[Any, ...]) -> None:
        match message:  # what comes most often first
            case (kind, int(lease), int(chunk), outcomes, float(took_s), *read) if kind == ENDED:
                worker.ended = chunk
                self._arena.settle(worker.pid, read)
                self._tell(ChunkOver(lease, chunk, worker.pid, outcomes, took_s))
            case (kind, int(lease), int(pid)) if kind == HELLO:
                worker.lease, worker.pid = lease, pid
                self._workers[pid] = worker
                self._watch(worker)
                self._tell(WorkerHere(lease, pid))
            case (kind, int(lease), int(chunk), job, bool(waits), bool(alone)) if kind == BEGIN:
                worker.lease = lease
                worker.says(At(chunk, alone))
                # The job goes first: once the engine knows, it may send the leave that the worker reads second.
                if job is not None:
                    _send(worker.connection, self._jobs.get(job, b""))
                self._tell(ChunkBegun(lease, chunk, worker.pid, waits))
            case (kind, int(size)) if kind == ROOM:
                _send(worker.connection, pickle.dumps(self._arena.lend_to(worker.pid, size)))
            case (kind, int(), int(chunk), marks) if kind == SAID:
                if worker.overheard is not None:
                    for mark in marks:
                        self._tell_lines(worker, chunk, worker.overheard.up_to(mark))
            case (kind, int(), int(chunk), int(step)) if kind == REACHED:
                self._tell(StepReached(chunk, step))
            case _:
                raise AssertionError(f"a worker said what we do not know: {message!r}: this is our bug")

    def _watch(self, worker: _Worker) -> None:
        """Hear of its death from the kernel too: a grandchild may hold the connection open."""
        if not hasattr(os, "pidfd_open"):
            return
        try:
            worker.pidfd = os.pidfd_open(worker.pid)
        except OSError:
            return  # gone already, or no descriptor is left: the connection's end says so
        self._selector.register(worker.pidfd, selectors.EVENT_READ, lambda: self._died(worker))

    def _died(self, worker: _Worker) -> None:
        if not worker.gone:
            worker.dying = True
            frames, _ = worker.frames()  # what it said before it died is still in the socket
            for frame in frames:
                self._take(worker, pickle.loads(frame))
        self._lose(worker)

    def _lose(self, worker: _Worker) -> None:
        if worker.gone:
            return
        worker.gone = True
        self._selector.unregister(worker.connection)
        if worker.pidfd >= 0:
            self._selector.unregister(worker.pidfd)
        # A death is judged by what all others were at: some may have died too, or be ended for it.
        for other in {id(w): w for w in (worker, *self._workers.values())}.values():
            if (at := other.at) is not None:
                self._tell_begun(other, at)
        at = worker.at
        if worker.overheard is not None:
            last = worker.ended if at is None else at.chunk
            self._tell_lines(worker, last, worker.overheard.rest(0 if at is not None and at.alone else None))
        worker.close()
        if self._workers.get(worker.pid) is worker:
            del self._workers[worker.pid]
        if worker.pid >= 0:
            self._arena.forget(worker.pid)
            self._tell(WorkerGone(worker.lease, worker.pid))


class _Here:
    """The link of calls that run in the runner's own process: the inbox itself."""

    process = False

    def __init__(
        self,
        tell: Callable[[Message], None],
        lease: int,
        jobs: dict[int, Job],
        doors: dict[int, threading.Event],
        arena: Arena,
    ) -> None:
        self._tell = tell
        self._lease = lease
        self._jobs = jobs
        self._doors = doors
        self.room = arena.lend

    def begin(self, ticket: Ticket) -> Job:
        """Errors: KeyError when its stage has ended, perhaps while this waited for leave."""
        if not ticket.leave:
            self._tell(ChunkBegun(ticket.lease, ticket.chunk, os.getpid(), waits=False))
            return self._jobs[ticket.job]
        door = self._doors[ticket.chunk] = threading.Event()
        self._tell(ChunkBegun(ticket.lease, ticket.chunk, os.getpid(), waits=True))
        while not door.wait(LOOK_S) and ticket.job in self._jobs:
            pass
        del self._doors[ticket.chunk]
        return self._jobs[ticket.job]

    def said(self, ticket: Ticket, marks: Sequence[Mark]) -> None:
        raise AssertionError("what is written in the runner itself is not taken: this is our bug")

    def reached(self, ticket: Ticket, step: int) -> None:
        self._tell(StepReached(ticket.chunk, step))

    def ended(self, ticket: Ticket, outcomes: Sequence[Outcome], took_s: float) -> None:
        self._tell(ChunkOver(ticket.lease, ticket.chunk, os.getpid(), outcomes, took_s))


def _same_user(connection: socket.socket) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the socket's folder is ours alone
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(credentials)[1] == os.getuid())


def _send(connection: socket.socket, data: bytes) -> None:
    """Send a whole frame. A worker that asked is reading, so this waits for nothing but the copy."""
    with suppress(OSError):  # it died meanwhile, and its connection's end will say so
        connection.sendall(LENGTH.pack(len(data)) + data)
