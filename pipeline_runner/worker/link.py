"""A worker's line to the beacon: it says what begins and ends, and asks for what it must know.

A frame is eight bytes of length, then a pickled tuple. Whoever ends the connection without a word
has died, and so the link is also how each side learns of the other's death.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from pipeline_runner.buffers import Place, held_here
from pipeline_runner.calls import Outcome, Ticket
from pipeline_runner.typed import Any, NamedTuple, Protocol
from pipeline_runner.worker import capture, limits
from pipeline_runner.worker.capture import Mark
from pipeline_runner.worker.job import Job
from pipeline_runner.worker.slate import At, Slate

LENGTH = struct.Struct("<Q")

# What is said, each the first word of a message. The runner's side of it is engine/beacon.py.
HELLO, WANT, BEGIN, ENDED, SAID, REACHED, ROOM = range(7)


class Given(NamedTuple):
    """A place that the runner has given us to write to."""

    path: str
    offset: int
    memory: None = None  # each is another one: to map it would cost more than it saves


class Link(Protocol):
    """What `perform` needs of the runner, whether it is a socket or a queue away."""

    process: bool  # whether the worker is a process of its own

    def begin(self, ticket: Ticket) -> Job: ...
    def said(self, ticket: Ticket, marks: Sequence[Mark]) -> None: ...
    def reached(self, ticket: Ticket, step: int) -> None: ...
    def room(self, size: int) -> Place | None: ...
    def ended(self, ticket: Ticket, outcomes: Sequence[Outcome], took_s: float) -> None: ...


class SocketLink:
    """The link of a worker process.

    Errors: when the runner is gone there is nobody left to tell, so the process ends.
    """

    process = True

    def __init__(self, address: str, lease: int) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(_sockaddr(address))
        except OSError:
            os._exit(1)
        self._jobs: dict[int, Job] = {}
        self._slate: Slate | None = None
        self._lock = threading.Lock()  # a thread of the user's may print while a chunk ends
        limits.take_in_orphans()
        self._hello(lease)
        threading.Thread(target=self._watch, name="prun-watch", daemon=True).start()

    def begin(self, ticket: Ticket) -> Job:
        """Tell that a chunk begins, wait for leave where it is needed, and give its job."""
        job = self._jobs.get(ticket.job)
        if job is None or self._slate is None or not ticket.quiet:
            job = self._begin_aloud(ticket, job)
        if self._slate is not None:
            self._slate.write(At(ticket.chunk, alone=ticket.size == 1))
        return job

    def _begin_aloud(self, ticket: Ticket, job: Job | None) -> Job:
        wanted = ticket.job if job is None else None
        self._send((BEGIN, ticket.lease, ticket.chunk, wanted, ticket.leave, ticket.size == 1))
        if job is None:
            job = pickle.loads(self._receive())
            # One chain at a time uses a pool, so an older job will not be asked for again.
            self._jobs = {ticket.job: job}
        if ticket.leave:
            self._receive()
        return job

    def said(self, ticket: Ticket, marks: Sequence[Mark]) -> None:
        self._send((SAID, ticket.lease, ticket.chunk, list(marks)))

    def reached(self, ticket: Ticket, step: int) -> None:
        """The chunk goes on to a later step of its chain."""
        self._send((REACHED, ticket.lease, ticket.chunk, step))

    def ended(self, ticket: Ticket, outcomes: Sequence[Outcome], took_s: float) -> None:
        # What this process still reads of what it was given must stay as it is, though the chunk has ended.
        self._send((ENDED, ticket.lease, ticket.chunk, list(outcomes), took_s, *held_here()))
        if self._slate is not None:
            self._slate.wipe()  # only now: who dies before that was told has died at it

    def room(self, size: int) -> Place | None:
        """A place for so many bytes of results. It is ours until the chunk has ended."""
        self._send((ROOM, size))
        given = pickle.loads(self._receive())
        return None if given is None else Given(*given)

    def _hello(self, lease: int) -> None:
        """The first words, and with them what this process will write."""
        files: tuple[int, ...] = capture.take() or ()
        if files:
            with suppress(OSError):  # no descriptor is left: what begins is said
                self._slate = Slate()
                files += (self._slate.file,)
        data = pickle.dumps((HELLO, lease, os.getpid()), pickle.HIGHEST_PROTOCOL)
        try:
            socket.send_fds(self._socket, [LENGTH.pack(len(data)), data], files)
        except OSError:
            os._exit(1)
        if self._slate is not None:
            os.close(self._slate.file)  # the memory stays

    def _send(self, message: tuple[Any, ...]) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        try:
            with self._lock:
                if len(data) < 1 << 16:
                    self._socket.sendall(LENGTH.pack(len(data)) + data)
                else:
                    self._socket.sendall(LENGTH.pack(len(data)))
                    self._socket.sendall(data)
        except OSError:
            os._exit(1)

    def _receive(self) -> bytes:
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        return self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            try:
                got = self._socket.recv_into(view)
            except OSError:
                got = 0
            if not got:
                os._exit(1)
            view = view[got:]
        return bytes(data)

    def _watch(self) -> None:
        """End this process when the runner does, even in the middle of a call.

        Pool workers notice it only after their call, executors' and forkserver's never do. What
        this process has started ends with it.
        """
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP if hasattr(select, "POLLRDHUP") else 0)
        poll.poll()
        limits.kill_below(os.getpid())
        os._exit(1)


_links: dict[str, Link] = {}
_owner = os.getpid()
_here: dict[str, Callable[[int], Link]] = {}


def link_to(address: str, lease: int) -> Link:
    """The link of this process to a beacon: one for its whole life."""
    _disown_our_parents()
    if address in _here:
        return _here[address](lease)
    if address not in _links:
        _links[address] = SocketLink(address, lease)
    return _links[address]


def _disown_our_parents() -> None:
    """After a fork, the links in our memory are our parent's."""
    global _owner
    if _owner != os.getpid():
        _links.clear()
        _here.clear()
        _owner = os.getpid()


def serve_here(address: str, make: Callable[[int], Link]) -> None:
    """Let calls that run in the runner's own process reach it without a socket."""
    _disown_our_parents()  # the runner may itself be a fork of a process that had us loaded
    _here[address] = make


def forget_here(address: str) -> None:
    _here.pop(address, None)


def _sockaddr(address: str) -> str | bytes:
    """`@name` is an abstract name (Linux): no file, so nothing is left behind by any death."""
    return b"\0" + address[1:].encode() if address.startswith("@") else address
