"""A ppft server that tells of its dead: shared by `ppft.Server` and by pathos' ParallelPool on top of it."""

from __future__ import annotations

import atexit
import itertools
import json
import pickle
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from os import environ, getcwd
from time import monotonic

from ppft import Server
from ppft._pp import _Task, _Worker
from ppft.transport import CPipeTransport

from pipeline_runner.backends._launch import PoolKilled, Roster, WorkerVanished, workers_brand
from pipeline_runner.calls import Receipt
from pipeline_runner.classes import dataclass, field
from pipeline_runner.methods import PoolSettings, Process
from pipeline_runner.servers import without_ctrl_c
from pipeline_runner.typed import Any
from pipeline_runner.worker.brand import Brand

BOOT = (
    "import sys, json; path, brand = json.loads(sys.argv.pop()); sys.path[:] = path; "
    "import pipeline_runner.worker.ppft_worker as w; w.main(brand and w.Brand(*brand))"
)
PROTOCOL = 5


@dataclass(frozen=True)
class Vanished:
    """Stands in the place of a result that will never come."""

    pid: int | None = None
    exitcode: int | None = None


@dataclass(frozen=True)
class Child:
    """A subprocess with the two attributes by which we know every worker."""

    popen: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def exitcode(self) -> int | None:
        return self.popen.poll()


class Wire(CPipeTransport):  # type: ignore[misc]
    """ppft's pipe to a worker, remembering that it broke."""

    broken = False

    def receive(self, preprocess: Any = None) -> Any:
        try:
            return super().receive(preprocess)
        except BaseException:
            self.broken = True
            raise

    def send(self, message: Any) -> None:
        try:
            super().send(message)
        except BaseException:
            self.broken = True
            raise


class Worker(_Worker):  # type: ignore[misc]
    """A ppft worker started our way, and started again when it has died.

    ppft marks a dead worker as free, so that it swallows every later task; and it never reads its
    workers' stderr, so that 64 kB on it stop them for ever.
    """

    def __init__(self, roster: Roster, most: int | None, brand: Brand | None) -> None:
        self.roster = roster
        self.brand = brand
        self.most = most  # tasks that it may run before a fresh one takes its place
        super().__init__(restart_on_free=False, pickle_proto=PROTOCOL)
        self.is_free = True

    def start(self) -> None:
        path = [entry or getcwd() for entry in sys.path]
        brand = self.brand and (self.brand.runner, self.brand.number)
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        with self.roster.launch():
            if self.roster.doomed:
                raise PoolKilled
            with without_ctrl_c():
                popen = subprocess.Popen(
                    [sys.executable, *flags, "-u", "-c", BOOT, json.dumps([path, brand])],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            self.child = Child(popen)
            self.roster.add(self.child)
        self.t = Wire(popen.stdout, popen.stdin)
        self.served = 0
        try:
            self.pid = int(self.t.receive())
            self.t.send(str(self.pickle_proto))
        except BaseException:
            self.cut()
            raise

    def free(self) -> None:
        self.served += 1
        if (self.t.broken or self.served == self.most) and not self.roster.doomed:
            if not self.t.broken:  # it waits for work, and holds nothing that others need
                self.child.popen.kill()
            with suppress(subprocess.TimeoutExpired):
                self.child.popen.wait(1.0)
            self.cut()
            # What cannot be started again stays broken: its tasks fail at once, and are told.
            with suppress(Exception):
                self.start()
        self.is_free = True

    def cut(self) -> None:
        """Close both ends of the wire."""
        for end in (self.child.popen.stdin, self.child.popen.stdout):
            if end is not None:
                with suppress(OSError):
                    end.close()


class LookedAt(_Task):  # type: ignore[misc]
    """A task that may be looked at over and over: pathos' uimap asks all of its tasks whether they have finished,
    without a pause, which took 0.74 of a CPU for as long as the calls lasted."""

    done = False
    seen = -1  # the server's news when it was looked at last

    @property
    def finished(self) -> bool:
        if not self.done and self.server.asker == threading.get_ident():
            if self.seen == self.server.news:  # nothing has ended since
                self.server.ended.wait(0.05)
                self.server.ended.clear()
            self.seen = self.server.news
        return self.done

    @finished.setter
    def finished(self, done: bool) -> None:
        self.done = done
        self.server.tell()


class Watched(Server):  # type: ignore[misc]
    """ppft's server, whose tasks always end: with a value, or with `Vanished`.

    A server that only ever lives on this machine: no ppservers, and a secret of its own all the
    same, because ppft's default is printed in its source.
    """

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.ended = threading.Event()  # some task has
        self.given: set[Any] = set()  # tasks that may still be waited for
        self.functions: set[Any] = set()
        self.asker: int | None = None  # the thread that looks at its tasks without a pause
        self.news = 0  # another number whenever a task has ended
        self._numbers = itertools.count(1)
        self._marking = threading.Lock()
        with same_pythonpath():
            super().__init__(ncpus=0, ppservers=(), secret=secrets.token_hex(32), proto=PROTOCOL)

    def hire(self, workers: int, most: int | None) -> None:
        """Start the workers ourselves: the server only counts them."""
        brand = workers_brand()
        for _ in range(workers):
            self._Server__workers.append(Worker(self.roster, most, brand))
        self.set_ncpus(workers)

    def submit(self, func: Any, *args: Any, **keywords: Any) -> Any:
        # ppft keeps a function's source by its address: one that is freed could run as another.
        self.functions.add(func)
        task = super().submit(func, *args, **keywords)
        self._mark(task)
        self.given.add(task)
        if self._exiting:  # too late to be found by `stop`
            finish(task, Vanished())
        if task.finished:  # too late to be found by `_run_local`
            self.given.discard(task)
        return task

    def _run_local(self, job: Any, sfunc: Any, sargs: Any, worker: Any) -> None:
        self._mark(job)
        child = worker.child
        super()._run_local(job, sfunc, sargs, worker)
        if not job.finished:
            finish(job, Vanished(child.pid, child.exitcode))
        self.given.discard(job)
        self.ended.set()

    def tell(self) -> None:
        self.news = next(self._numbers)
        self.ended.set()

    def _mark(self, task: Any) -> None:
        """Have a task told apart, before it can end: its worker may be quicker than whoever hands it in."""
        with self._marking:
            if not isinstance(task, LookedAt):
                task.__class__ = LookedAt

    def wait_for(self, handle: Any) -> None:
        """Wait until a task, or a handle around some, is finished: ppft's and pathos' own waiting can miss it."""
        while not (handle.ready() if hasattr(handle, "ready") else handle.finished):
            self.ended.wait(0.05)
            self.ended.clear()

    def stop(self) -> None:
        """End the workers and let nothing of the server outlive them."""
        self._exiting = True
        self._Server__queue.clear()
        self.roster.kill()
        for task in list(self.given):
            finish(task, Vanished())
        self.ended.set()
        self.roster.reaped(2.0)
        hands = [threading.Thread(target=worker.cut, daemon=True) for worker in self._Server__workers]
        for hand in hands:  # a reader in another thread may hold the pipe, if the worker left a child behind
            hand.start()
        deadline = monotonic() + 0.5
        for hand in hands:
            hand.join(max(0.0, deadline - monotonic()))
        atexit.unregister(self.destroy)  # it would kill by number processes that are long gone


@contextmanager
def same_pythonpath() -> Iterator[None]:
    """ppft puts this process's whole path into its own environment, for good: take it out again."""
    before = environ.get("PYTHONPATH")
    try:
        yield
    finally:
        environ.pop("PYTHONPATH", None)
        if before is not None:
            environ["PYTHONPATH"] = before


def finish(task: Any, result: object) -> None:
    """End a task that ppft would leave waiting."""
    if not task.finished:
        with suppress(RuntimeError):  # it has just ended by itself
            task.finalize(pickle.dumps((result, "")))


@dataclass(frozen=True)
class Opened:
    pool: Any  # what is asked: the server, or pathos' pool on top of it
    server: Any  # Watched, or what stands in its place while measuring
    roster: Roster = field(repr=False)
    guarded: bool = True


def open_server(settings: PoolSettings) -> Watched:
    server = Watched(Roster())
    try:
        server.hire(settings.workers, settings.max_calls_per_worker)
    except BaseException:
        server.stop()
        raise
    return server


class Unwatched:
    """Waits for a task of a server as ppft makes it."""

    def wait_for(self, handle: Any) -> None:
        while not (handle.ready() if hasattr(handle, "ready") else handle.finished):
            threading.Event().wait(0.01)


def raw_server(workers: int) -> Any:
    return Server(workers, ppservers=(), secret=secrets.token_hex(32))


def told(opened: Opened, results: Iterable[Any]) -> Iterable[Receipt]:
    """The receipts among the results; without our guards, whatever came."""
    return receipts(results, opened.roster) if opened.guarded else results


def receipts(results: Iterable[Any], roster: Roster) -> Iterator[Receipt]:
    """The receipts among the results; that some worker vanished is told when all others have ended."""
    vanished: Vanished | None = None
    for result in results:
        if roster.doomed:
            raise PoolKilled
        if isinstance(result, Vanished):
            vanished = result
        elif result is None:
            raise RuntimeError("ppft gave None for a result: the function could not be run")
        else:
            yield result
    if vanished:
        raise WorkerVanished(vanished.pid, vanished.exitcode)


def patiently(opened: Opened, results: Iterable[Any]) -> Iterator[Any]:
    """The results of a method that looks at its tasks without a pause, with pauses."""
    if opened.guarded:
        opened.server.asker = threading.get_ident()
    yield from results


def close(opened: Opened) -> None:
    """ppft has no gentle end that is also a sure one; its idle workers hold nothing."""
    opened.server.stop()


def processes(opened: Opened) -> Sequence[Process]:
    return opened.roster.processes()
