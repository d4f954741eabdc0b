"""Pools that stay warm: opened once for each kind, leased to one chain at a time, replaced whole after a death."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count

from pipeline_runner.backends._launch import end_orphans
from pipeline_runner.classes import dataclass, field, replace
from pipeline_runner.methods import Backend, PoolSettings
from pipeline_runner.typed import Any

OURS = 24  # descriptors of beacon, journal, fork server and a pool's own pipes
A_WORKERS = 7  # its connection, pidfd, slate and two files of what it writes, and at most two pipes of its library


@dataclass(eq=False)
class Lease:
    """An opened pool in somebody's hands. Its number is what its workers say they belong to."""

    number: int
    backend: Backend
    settings: PoolSettings
    pool: Any
    heard: set[int] = field(default_factory=set)  # workers that have come so far as to say so
    missing: int = 0  # workers that it would have if there were descriptors for them

    def died_unheard(self) -> bool:
        """Whether a worker has died before it could be heard. It may have taken a chunk along."""
        return any(p.exitcode and p.pid not in self.heard for p in self.backend.processes(self.pool))

    def exitcode(self, pid: int) -> int | None:
        """How a process of this pool ended, as far as its library knows."""
        return next((p.exitcode for p in self.backend.processes(self.pool) if p.pid == pid), None)


class Pools:
    """Every pool of a run. Drivers lease from their own threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Lease] = []
        self._leased: set[Lease] = set()
        self._ending: list[threading.Thread] = []
        self._numbers = count(1)
        self._descriptors = len(os.listdir("/dev/fd"))  # open before any is of ours

    def lease(self, backend: Backend, settings: PoolSettings) -> Lease:
        """A warm pool that has at least these workers, or a new one, of fewer where descriptors are short.

        Errors: what the library raises when it opens.
        """
        with self._lock:
            meant, room = settings.workers, self._room() - _workers(self._leased)
            if backend.uses_cpus and room < meant:
                settings = replace(settings, workers=max(1, room))
            for lease in self._idle:
                if lease.backend is backend and _fits(lease.settings, settings):
                    self._idle.remove(lease)
                    self._leased.add(lease)
                    lease.missing = meant - settings.workers
                    return lease
            cold = self._idle if _workers([*self._leased, *self._idle]) + settings.workers > self._room() else []
            self._idle = [lease for lease in self._idle if lease not in cold]
        for lease in cold:
            lease.backend.close(lease.pool)
        lease = Lease(next(self._numbers), backend, settings, backend.open(settings), missing=meant - settings.workers)
        with self._lock:
            self._leased.add(lease)
        return lease

    def _room(self) -> int:
        """Workers for which there are descriptors. One that cannot connect to the beacon would never be heard."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit == resource.RLIM_INFINITY:
            return sys.maxsize
        return (limit - self._descriptors - OURS) // A_WORKERS

    def descriptors(self, more: int) -> tuple[int, int]:
        """How many this process may have, and how many it needs for so many workers more than there are."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        workers = _workers([*self._leased, *self._idle]) + more
        return limit, self._descriptors + OURS + A_WORKERS * workers

    def give_back(self, lease: Lease) -> None:
        """Nothing is owed to it: the next may have it."""
        with self._lock:
            self._leased.discard(lease)
            self._idle.append(lease)

    def discard(self, lease: Lease) -> None:
        """End its processes now, in a thread of its own: a library may take its time to give up."""
        with self._lock:
            self._leased.discard(lease)
        self._end(lambda: lease.backend.kill(lease.pool), f"prun-kill-{lease.number}")

    def retire(self, number: int, pid: int) -> None:
        """A worker of this pool has died. If the pool is idle, nobody gets it any more: who dies at the wrong moment
        takes the lock of the pool's queue along, and the others would wait for it for ever."""
        with self._lock:
            lease = next((lease for lease in self._idle if lease.number == number), None)
            if lease is None or lease.exitcode(pid) == 0:
                return
            self._idle.remove(lease)
        self.discard(lease)

    def kill_processes(self) -> None:
        """SIGKILL to every worker; takes no lock, since a signal handler may have interrupted whoever holds it."""
        for lease in [*self._idle, *self._leased]:
            for process in lease.backend.processes(lease.pool):
                if process.pid and process.exitcode is None:
                    with suppress(OSError):
                        os.kill(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let every pool go, side by side, and wait until their processes are gone."""
        with self._lock:
            idle, self._idle = self._idle, []
            leased, self._leased = self._leased, set()
        for lease in idle:
            self._end(lambda lease=lease: lease.backend.close(lease.pool), f"prun-close-{lease.number}")  # type: ignore[misc]
        for lease in leased:
            self._end(lambda lease=lease: lease.backend.kill(lease.pool), f"prun-kill-{lease.number}")  # type: ignore[misc]
        for thread in self._ending:
            thread.join(10)
        self.end_orphans()

    def end_orphans(self) -> None:
        """End what dead workers have started and left behind."""
        end_orphans()

    def _end(self, how: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=how, name=name, daemon=True)
        thread.start()
        self._ending.append(thread)


def _workers(leases: Iterable[Lease]) -> int:
    return sum(lease.settings.workers for lease in leases if lease.backend.uses_cpus)


def _fits(have: PoolSettings, want: PoolSettings) -> bool:
    """Whether a pool can stand in for another: the same, except that one call does not mind idle workers."""
    return have == want or (want.workers == 1 and replace(have, workers=1) == want)
