"""The kit's instruments: chunks, a line to the workers, an asker with a deadline, and a spy on the library."""

import os
import pickle
import select
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace

import conformance_probe as probe

from pipeline_runner.calls import Perform, Ticket

PERFORM = Perform(probe.row, probe.one)
LAMBDAS = Perform(probe.lambda_row, probe.lambda_one)
DEADLINE_S = 15.0  # for what should take milliseconds; the machine may be busy
FREED_S = 3.5  # kill may take 3 s, whatever happened


class Wires:
    """Named pipes between the test and the workers, held open so that nobody waits for the other to come."""

    def __init__(self, folder):
        self.folder = str(folder)
        self._descriptors = {}
        for name in ("news", "gate"):
            os.mkfifo(f"{folder}/{name}")
            self._descriptors[name] = os.open(f"{folder}/{name}", os.O_RDWR)
        self._rest = b""
        self.heard = []

    def payload(self, deed, argument=None):
        return pickle.dumps((self.folder, deed, argument))

    def hear(self, enough, within_s=DEADLINE_S):
        """Read news until `enough(all news so far)`, else fail with what was heard."""
        deadline = time.monotonic() + within_s
        while not enough(self.heard):
            left = deadline - time.monotonic()
            assert left > 0, f"waited for news that did not come; heard {self.heard}"
            self._read(left)
        return self.heard

    def hear_all(self):
        """Everything that was told until now."""
        while self._read(0):
            pass
        return self.heard

    def release(self, calls=1):
        os.write(self._descriptors["gate"], b"." * calls)

    def _read(self, wait_s):
        news = self._descriptors["news"]
        if not select.select([news], [], [], wait_s)[0]:
            return False
        *lines, self._rest = (self._rest + os.read(news, 1 << 16)).split(b"\n")
        self.heard += [line.decode() for line in lines]
        return True

    def close(self):
        """Free whoever is still at the pipes. Their names go first: a worker that opened one later, to tell of its end,
        would wait for ever for a test that is over, and be missing in the next test on the same pool."""
        for name in self._descriptors:
            os.unlink(f"{self.folder}/{name}")
        for descriptor in self._descriptors.values():
            os.close(descriptor)


def started(chunk):
    return lambda heard: any(line.startswith(f"start {chunk} ") for line in heard)


def ended(*chunks):
    return lambda heard: all(f"end {chunk}" in heard for chunk in chunks)


class KitChunks:
    """Chunks from any iterable of payloads; counts what is taken, and can be closed from outside."""

    def __init__(self, payloads, workers=2):
        self.workers = workers
        self.taken = 0
        self.exhausted = False
        self.closed = False
        self._payloads = iter(payloads)
        self._lock = threading.Lock()

    def __iter__(self):
        for payload in self._payloads:
            if self.closed:
                return
            self.taken += 1
            yield ticket(self.taken - 1), payload
        self.exhausted = True

    rows = __iter__

    def columns(self):
        tasks, columns = iter(self), (deque(), deque())

        def column(mine):
            while True:
                with self._lock:
                    if not columns[mine]:
                        task = next(tasks, None)
                        if task is None:
                            return
                        for side, value in zip(columns, task, strict=True):
                            side.append(value)
                    value = columns[mine].popleft()
                yield value

        return column(0), column(1)

    def close(self):
        self.closed = True


def ticket(chunk):
    return Ticket(beacon="", lease=0, job=0, step=0, chunk=chunk, budget_s=0.0, leave=False)


class Asker(threading.Thread):
    """Asks a method in a thread of its own, as the engine does."""

    def __init__(self, method, pool, chunks, perform=PERFORM):
        super().__init__(daemon=True)
        self.method, self.pool, self.chunks, self.perform = method, pool, chunks, perform
        self.receipts = []
        self.error = None
        self._more = threading.Condition()
        self.start()

    def run(self):
        try:
            for receipt in self.method.ask(self.pool, self.perform, self.chunks):
                with self._more:
                    self.receipts.append(receipt)
                    self._more.notify()
        except Exception as error:
            self.error = error

    def has_given(self, receipts):
        """Wait until so many receipts have come."""
        with self._more:
            return self._more.wait_for(lambda: len(self.receipts) >= receipts, DEADLINE_S)

    def all_receipts(self):
        self.join(DEADLINE_S)
        assert not self.is_alive(), f"{self.method.name} did not come back; receipts {self.receipts}"
        if self.error:
            raise self.error
        return self.receipts

    def freed(self, within_s=FREED_S):
        self.join(within_s)
        return not self.is_alive()


class Spy:
    """Stands before a library's object and notes how it is called."""

    def __init__(self, real):
        self._real = real
        self.calls = []

    def __getattr__(self, name):
        value = getattr(self._real, name)
        if not callable(value):
            return value

        def call(*arguments, **keywords):
            self.calls.append((name, arguments, keywords))
            return value(*arguments, **keywords)

        return call


def spied(pool):
    """The pool with a spy where it meets its library: in its field `pool` or `context`, else all of it."""
    for name in ("pool", "context"):
        if is_dataclass(pool) and name in {field.name for field in fields(pool)}:
            spy = Spy(getattr(pool, name))
            return replace(pool, **{name: spy}), spy
    spy = Spy(pool)
    return spy, spy


def wait_for_end(pid):
    """Wait until a process is no more, without asking again and again."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            assert select.select([descriptor], [], [], DEADLINE_S)[0], f"process {pid} goes on"
        finally:
            os.close(descriptor)


def left_alive(processes):
    return [process for process in processes if process.exitcode is None]
