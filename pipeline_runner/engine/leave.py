"""Leave to begin: keeps the calls that run at one time within the run's workers, however many pools are alive.

Stages that are alive together each have a pool of their own, and each pool may have all the workers
of the run, so that whoever has work can use them all. A worker therefore asks before it begins a
chunk, and the engine lets in as many as the user allowed.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count

from pipeline_runner.plan.plan import Plan


class Leave:
    """Who is at work, and who waits to be. Later chains go first: what is begun is finished before more is begun."""

    def __init__(self, plan: Plan) -> None:
        self._free = plan.workers
        self._at_work: set[int] = set()
        self._waiting: list[tuple[int, int, int]] = []  # (-course, arrival, pid)
        self._arrivals = count()
        self.needed = any(len(wave) > 1 for wave in plan.waves) or any(len(group.chains) > 1 for group in plan.groups)

    def ask(self, course: int, pid: int) -> list[int]:
        """A worker asks. Gives those who may begin now."""
        heappush(self._waiting, (-course, next(self._arrivals), pid))
        return self._let_in()

    def done(self, pid: int) -> list[int]:
        """A worker has finished its chunk, or died. Gives those who may begin now."""
        if pid in self._at_work:
            self._at_work.discard(pid)
            self._free += 1
        else:
            self._waiting = [entry for entry in self._waiting if entry[2] != pid]
        return self._let_in()

    def _let_in(self) -> list[int]:
        pids: list[int] = []
        while self._free and self._waiting:
            _, _, pid = heappop(self._waiting)
            self._free -= 1
            self._at_work.add(pid)
            pids.append(pid)
        return pids
