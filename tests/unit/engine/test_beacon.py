"""The beacon as a worker meets it: who says what on the socket, and in which order the answers come."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import socket
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread, get_ident
from time import process_time

import pytest

from pipeline_runner.engine.beacon import AT_ONCE, Beacon, _Worker
from pipeline_runner.engine.messages import ChunkBegun, ChunkOver, WorkerGone, WorkerHere, WorkerRefused
from pipeline_runner.worker.job import Job
from pipeline_runner.worker.link import BEGIN, ENDED, HELLO, LENGTH
from pipeline_runner.worker.slate import At, Slate

JOB = Job(folder="/", steps=(), setup=None, setup_with=b"", env=())

pytestmark = pytest.mark.timeout(10)


class Worker:
    """A worker's end of the socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(b"\0" + address[1:].encode() if address.startswith("@") else address)

    def say(self, *message):
        data = pickle.dumps(message)
        self.socket.sendall(LENGTH.pack(len(data)) + data)

    def hear(self):
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        return self._exactly(length)

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            data += self.socket.recv(size - len(data))
        return data


@pytest.fixture
def heard():
    return SimpleQueue()


@contextmanager
def listening(tell):
    """A beacon that a thread listens to, as the engine's does."""
    beacon, over = Beacon(tell), Event()

    def listen():
        while not over.is_set():
            beacon.hear(0.02)

    listener = Thread(target=listen)
    listener.start()
    try:
        yield beacon
    finally:
        over.set()
        listener.join()
        beacon.close()


@pytest.fixture
def beacon(heard):
    with listening(heard.put) as beacon:
        yield beacon


def test_a_worker_is_heard_from_hello_to_the_end(beacon, heard):
    worker = Worker(beacon.address)
    worker.say(HELLO, 3, os.getpid())
    worker.say(BEGIN, 3, 7, None, False, True)
    worker.say(ENDED, 3, 7, [], 0.5)
    assert heard.get() == WorkerHere(3, os.getpid())
    assert heard.get() == ChunkBegun(3, 7, os.getpid(), False)
    assert heard.get() == ChunkOver(3, 7, os.getpid(), [], 0.5)
    worker.socket.close()
    assert heard.get() == WorkerGone(3, os.getpid())


def test_a_job_is_sent_before_the_engine_can_give_leave_to_begin():
    # The engine answers at once here, from the very call that tells it.
    def tell(message):
        if isinstance(message, ChunkBegun):
            beacon.give_leave(message.pid, message.chunk)

    with listening(tell) as beacon:
        beacon.publish(1, JOB)
        worker = Worker(beacon.address)
        worker.say(HELLO, 0, os.getpid())
        worker.say(BEGIN, 0, 1, 1, True, True)
        assert pickle.loads(worker.hear()) == JOB
        assert worker.hear() == b""
        worker.socket.close()


def test_what_a_worker_said_before_it_died_is_heard_before_its_death(beacon, heard):
    worker = Worker(beacon.address)
    worker.say(HELLO, 0, os.getpid())
    for chunk in range(50):
        worker.say(ENDED, 0, chunk, [], 0.0)
    worker.socket.close()
    assert isinstance(heard.get(), WorkerHere)
    assert [heard.get().chunk for _ in range(50)] == list(range(50))
    assert isinstance(heard.get(), WorkerGone)


def test_a_frame_that_arrives_in_pieces_is_one_message(beacon, heard):
    worker = Worker(beacon.address)
    data = pickle.dumps((HELLO, 5, os.getpid()))
    frame = LENGTH.pack(len(data)) + data
    for byte in frame:
        worker.socket.sendall(bytes([byte]))
    assert heard.get() == WorkerHere(5, os.getpid())
    worker.socket.close()


def test_leave_for_a_worker_that_has_died_is_nobodys_error(beacon):
    beacon.give_leave(2**22, 0)


@pytest.fixture
def no_descriptor_left():
    """From here on there is none for anything that is opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []

    def now():
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/dev/fd"))) + 1, before[1]))
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))

    yield now
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for descriptor in held:
        os.close(descriptor)


def test_a_worker_that_there_is_no_descriptor_for_is_refused_in_time_and_without_haste(
    beacon, heard, no_descriptor_left
):
    knocking = socket.socket(socket.AF_UNIX)
    no_descriptor_left()
    began = process_time()
    knocking.connect(b"\0" + beacon.address[1:].encode())
    assert isinstance(heard.get(timeout=8), WorkerRefused)
    assert knocking.recv(1) == b""
    assert process_time() - began < 0.5
    knocking.close()


def test_a_worker_is_heard_once_there_is_a_descriptor_again(beacon, heard, no_descriptor_left):
    worker, limit = Worker.__new__(Worker), resource.getrlimit(resource.RLIMIT_NOFILE)
    worker.socket = socket.socket(socket.AF_UNIX)
    no_descriptor_left()
    worker.socket.connect(b"\0" + beacon.address[1:].encode())
    with pytest.raises(Empty):
        heard.get(timeout=0.2)
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    worker.say(HELLO, 3, os.getpid())
    assert heard.get(timeout=5) == WorkerHere(3, os.getpid())
    worker.socket.close()


class Writer(Worker):
    """A worker that writes down what it is at."""

    def __init__(self, address: str, pid: int) -> None:
        super().__init__(address)
        self.slate = Slate()
        written = [os.memfd_create("out"), os.memfd_create("err"), self.slate.file]
        data = pickle.dumps((HELLO, 0, pid))
        socket.send_fds(self.socket, [LENGTH.pack(len(data)), data], written)
        for file in written:
            os.close(file)


def test_what_a_worker_writes_down_is_seen_while_it_is_at_it(beacon, heard):
    worker = Writer(beacon.address, os.getpid())
    worker.slate.write(At(9, alone=False))
    assert isinstance(heard.get(), WorkerHere)
    assert heard.get() == ChunkBegun(0, 9, os.getpid(), False)
    worker.say(ENDED, 0, 9, [], 0.5)
    assert isinstance(heard.get(), ChunkOver)
    worker.socket.close()
    assert isinstance(heard.get(), WorkerGone)


def test_what_a_worker_was_at_when_it_died_is_known_before_its_death(beacon, heard):
    worker = Writer(beacon.address, os.getpid())
    worker.say(ENDED, 0, 8, [], 0.5)
    worker.slate.write(At(9, alone=False))
    worker.socket.close()
    told = [heard.get() for _ in range(4)]
    assert [type(message) for message in told] == [WorkerHere, ChunkOver, ChunkBegun, WorkerGone]
    assert told[2].chunk == 9


def test_a_chunk_that_was_told_to_have_ended_is_nobodys_when_its_worker_dies(beacon, heard):
    worker = Writer(beacon.address, os.getpid())
    worker.slate.write(At(9, alone=False))
    worker.say(ENDED, 0, 9, [], 0.5)  # and it dies before it could wipe its slate
    worker.socket.close()
    kinds = []
    while not kinds or kinds[-1] is not WorkerGone:
        kinds.append(type(heard.get()))
    assert kinds.count(ChunkBegun) <= 1  # it may have been seen in time
    assert kinds[-2:] == [ChunkOver, WorkerGone]


def test_a_death_tells_what_all_others_are_at(beacon, heard):
    other = os.fork()
    if not other:
        signal.pause()
    try:
        one, two = Writer(beacon.address, os.getpid()), Writer(beacon.address, other)
        assert {type(heard.get()) for _ in range(2)} == {WorkerHere}
        two.slate.write(At(5, alone=False))
        one.socket.close()
        messages = [heard.get(), heard.get()]
        assert [type(message) for message in messages] == [ChunkBegun, WorkerGone]
        assert messages[0].pid == other
        two.socket.close()
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)


class Counted:
    """A connection that counts how often it is read."""

    def __init__(self, connection):
        self._connection = connection
        self.reads = 0

    def recv(self, *args):
        self.reads += 1
        return self._connection.recv(*args)

    def recv_into(self, *args):
        self.reads += 1
        return self._connection.recv_into(*args)


@pytest.mark.parametrize("frames", [1, 3])
def test_short_news_are_read_in_one_go(frames):
    here, there = socket.socketpair()
    with here, there:
        counted = Counted(here)
        worker = _Worker(counted)
        worker.pid = os.getpid()
        there.sendall((LENGTH.pack(5) + b"hello") * frames)
        assert worker.frames() == ([b"hello"] * frames, True)
        assert counted.reads == 1


def test_a_long_frame_comes_whole_with_what_is_before_and_after_it():
    here, there = socket.socketpair()
    said = [b"first", os.urandom(3 * AT_ONCE), b"last"]
    with here, there:
        worker = _Worker(here)
        worker.pid = os.getpid()
        sender = Thread(target=lambda: there.sendall(b"".join(LENGTH.pack(len(frame)) + frame for frame in said)))
        sender.start()
        heard = []
        while len(heard) < 3:
            heard += worker.frames()[0]
        sender.join()
        assert heard == said


def test_the_wait_is_over_before_anything_is_told():
    told = []
    beacon = Beacon(told.append)
    try:
        worker = Worker(beacon.address)
        worker.say(HELLO, 3, os.getpid())
        while WorkerHere(3, os.getpid()) not in told:
            beacon.hear(1.0, lambda: told.append("awake"))
        assert told[-2:] == ["awake", WorkerHere(3, os.getpid())]
        worker.socket.close()
    finally:
        beacon.close()


def test_what_is_said_is_told_by_the_thread_that_listens():
    told = []
    beacon = Beacon(lambda message: told.append(get_ident()))
    try:
        worker = Worker(beacon.address)
        worker.say(HELLO, 3, os.getpid())
        while not told:
            beacon.hear(1.0)
        assert told == [get_ident()]
        worker.socket.close()
    finally:
        beacon.close()
