"""How worker processes are launched and kept count of: one place for what every process library shares."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from time import monotonic
from weakref import WeakSet, ref

from pipeline_runner.axes import StartMethod
from pipeline_runner.classes import dataclass
from pipeline_runner.errors import PipelineError
from pipeline_runner.forking import let_go_of_imports, wait_for_imports
from pipeline_runner.methods import Process
from pipeline_runner.servers import (
    deaf_to,
    hidden_main,
    launch_lock,
    start_fork_server,
    start_tracker,
    without_ctrl_c,
)
from pipeline_runner.typed import Any
from pipeline_runner.worker.brand import KNOWN, Brand, bearers, new
from pipeline_runner.worker.limits import (
    LIBRARIES,
    below,
    children,
    end_all,
    fork_servers,
    is_corpse,
    kill_tree,
    started_by,
)

A_LAUNCHS = 14  # descriptors: its socket, five pipes, and what the beacon needs of it then
PLENTY = 4096  # of open files: nobody has so many workers
DESCRIPTORS_S = 2.0
GRACE_S = 3.0  # how long a pool that owes nothing may take to end by itself


class WorkerVanished(PipelineError):
    """A worker process ended in the middle of a call, and its library does not say so."""

    def __init__(self, pid: int | None, exitcode: int | None) -> None:
        super().__init__(pid, exitcode)
        self.pid = pid
        self.exitcode = exitcode

    def __str__(self) -> str:
        return f"worker {self.pid} ended in a call (exit code {self.exitcode})"


class PoolKilled(PipelineError):
    """The pool was ended while someone waited for its answers."""

    def __str__(self) -> str:
        return "the pool was ended"


@dataclass(frozen=True)
class Ended:
    """What is kept of a process that is no more."""

    pid: int | None
    exitcode: int | None


_rosters: WeakSet[Roster] = WeakSet()


class Roster:
    """Every process that one pool has started, whether its library still knows it or not.

    Libraries replace and forget their dead; we must still be able to say what a worker died of.
    Of an ended process only its number and exit code stay: the object would hold descriptors.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive: list[Process] = []
        self._ended: deque[Ended] = deque(maxlen=1000)
        self._launching = 0
        self.doomed = False
        with launch_lock:
            _rosters.add(self)

    @contextmanager
    def launch(self) -> Iterator[None]:
        """Surrounds a launch and its `add`: a pool is not reaped while another process may still come, and nobody
        takes for a stranger what is not yet counted in."""
        with self._lock:
            self._launching += 1
        try:
            await_descriptors()
            with launch_lock:
                yield
        finally:
            with self._lock:
                self._launching -= 1

    def add(self, process: Process) -> None:
        """Count a process in; one that was started while the pool is being killed ends at once."""
        with self._lock:
            self._sweep()
            self._alive.append(process)
        if self.doomed:
            kill_process(process)

    def processes(self) -> Sequence[Process]:
        with self._lock:
            self._sweep()
            return [*self._alive, *self._ended]

    def alive(self) -> Sequence[Process]:
        with self._lock:
            self._sweep()
            return list(self._alive)

    def kill(self) -> None:
        """End every process now, and every one that may still be started."""
        self.doomed = True
        for process in self.alive():
            kill_process(process)

    def reaped(self, within_s: float) -> bool:
        """Wait until no process is left. False: time was up."""
        deadline = monotonic() + within_s
        pause_s = 0.0005  # those that were let go are gone in a moment; whoever takes longer is not asked all the time
        while self._launching or self.alive():
            if monotonic() > deadline:
                return False
            threading.Event().wait(pause_s)
            pause_s = min(0.005, 2 * pause_s)
        return True

    def _sweep(self) -> None:
        alive: list[Process] = []
        for process in self._alive:
            code = process.exitcode
            if code is None:
                alive.append(process)
            else:
                self._ended.append(Ended(process.pid, code))
        self._alive = alive


def await_descriptors() -> None:
    """Wait, for a while, until there are descriptors for one more process.

    Those of a process that has just ended are held until the beacon has heard all that it said. A fork server
    breaks, and ends its workers, where a launch fails half-way.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit > PLENTY:
        return
    deadline = monotonic() + DESCRIPTORS_S
    while not _are_left(limit, A_LAUNCHS) and monotonic() < deadline:
        threading.Event().wait(0.005)


def _are_left(limit: int, count: int) -> bool:
    try:
        return len(os.listdir("/dev/fd")) + count <= limit
    except OSError:  # not even one to look with
        return False


def kill_process(process: Process) -> None:
    """End it and all that it has started. The exit code is asked first, so that the number is still its own."""
    if process.pid is not None and process.exitcode is None:
        kill_tree(process.pid)


def context(library: str, start_method: StartMethod, roster: Roster) -> Any:
    """A context of `multiprocessing` or `multiprocess` whose processes are launched our way.

    Pools start replacements from their own threads, so the way goes with the context. The
    processes pickle as the library's own class: a worker needs nothing of this module.
    """
    plain = import_module(library).get_context(start_method.value)
    if start_method is not StartMethod.FORK:
        start_tracker(library)  # before the pool's first semaphore does
    base: Any = plain.Process

    class Worker(base):  # type: ignore[misc]
        @staticmethod
        def _Popen(process: Any) -> Any:
            with roster.launch():
                with launching(library, start_method):
                    popen = base._Popen(process)
                if start_method is StartMethod.FORKSERVER:
                    read_exit_code_once(popen)
                process._popen = popen
                roster.add(process)
            return popen

        def __reduce_ex__(self, protocol: Any) -> Any:
            return object.__new__, (base,), self.__dict__

    return type("Context", (type(plain),), {"Process": Worker})()


_BORN_S = 0.02  # by which a process that was just forked is surely known to its library


def end_orphans() -> None:
    """End what dead workers have left behind: a fork server takes it in, and other workers' orphans carry our brand."""
    with launch_lock:
        strangers = _strangers()
        if strangers:
            threading.Event().wait(_BORN_S)
            strangers &= _strangers()
            for pid in strangers:
                kill_tree(pid)
            end_all(lambda: [pid for pid in strangers if not is_corpse(pid)])  # it takes them a moment to be gone


def _strangers() -> set[int]:
    """Living children of the fork servers that no library knows of, and what is branded and below no worker."""
    found = {child for server in fork_servers() for child in children(server) if not is_corpse(child)}
    if _warden is not None and _warden.brand.runner == os.getpid():
        branded = bearers(_warden.brand)
        known = {process.pid for roster in list(_rosters) for process in roster.alive() if process.pid is not None}
        found |= branded.difference(known, *map(below, known))
    return found.difference(*map(started_by, LIBRARIES))


@dataclass(frozen=True)
class Warden:
    """The process that ends whatever carries a brand when this one is gone."""

    pid: int
    brand: Brand


_warden: Warden | None = None


def brand_for(start_method: StartMethod) -> Brand | None:
    """What workers that are launched so are to carry. A fork server watches over its own."""
    return None if start_method is StartMethod.FORKSERVER else workers_brand()


def workers_brand() -> Brand | None:
    """What this process's workers are to carry; who looks for it when this process is gone has been started."""
    global _warden
    if not KNOWN:
        return None
    with launch_lock:
        if _warden is None or _warden.brand.runner != os.getpid():
            _warden = start_warden(new())
        elif is_corpse(_warden.pid):
            _warden = start_warden(_warden.brand)
        return _warden.brand


WARDEN = "import sys; sys.path.insert(0, sys.argv.pop()); import pipeline_runner.worker.warden as w; w.main()"


def start_warden(brand: Brand) -> Warden:
    """Start it out of reach, from its first moment, of what is meant for us, our group or our terminal, and holding
    nothing of ours. It is never waited for: it ends after us."""
    import subprocess

    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    command = [sys.executable, "-I", "-S", "-c", WARDEN, str(brand.runner), str(brand.number), root]
    with deaf_to(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        silent = subprocess.DEVNULL
        popen = subprocess.Popen(
            command, stdin=silent, stdout=silent, stderr=silent, cwd="/", start_new_session=True, close_fds=True
        )
    popen.returncode = 0  # else it warns, when it is forgotten, that it was not waited for
    return Warden(popen.pid, brand)


@contextmanager
def launching(library: str, start_method: StartMethod) -> Iterator[None]:
    """Surround the launch of one process."""
    with launch_lock:
        if start_method is StartMethod.FORK:
            with without_ctrl_c(), quiet_fork():
                yield
            return
        start_tracker(library)
        with hidden_main():
            if start_method is StartMethod.FORKSERVER:
                start_fork_server(library)
                yield
            else:
                with without_ctrl_c():
                    yield


os.register_at_fork(before=wait_for_imports, after_in_child=let_go_of_imports)


@contextmanager
def quiet_fork() -> Iterator[None]:
    """Python 3.12 warns at a fork beside threads; whoever chose `fork` has read that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork\\(\\)", category=DeprecationWarning)
        yield


def read_exit_code_once(popen: Any) -> None:
    """Let two threads ask for the exit code of a fork server's child.

    The code can be read once from a pipe; the second of two readers at the same time would find
    the end of the pipe and report 255 (popen_forkserver.Popen.poll).
    """
    lock = threading.Lock()
    wait = import_module(f"{type(popen).__module__.partition('.')[0]}.connection").wait
    itself = ref(popen)  # not held: in a circle, its descriptors would stay open until somebody looks for circles

    def poll(flag: int = os.WNOHANG) -> Any:
        popen: Any = itself()
        if flag != os.WNOHANG and popen.returncode is None:
            wait([popen.sentinel])
        with lock:
            return type(popen).poll(popen, os.WNOHANG)

    popen.poll = poll
