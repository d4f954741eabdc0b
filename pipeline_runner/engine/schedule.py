"""Which chain may start next: its sources are there, and there are workers that it could use.

Each answer costs what has changed since the last one, so that thousands of stages cost nothing to speak of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from pipeline_runner.plan.plan import Chain, EdgeKind, Plan
from pipeline_runner.spec.pipeline import StageName


class Schedule:
    """Chains by number, in the plan's order. A chain that streams from another belongs to its group and starts with
    it; the first of a group waits for workers."""

    def __init__(self, plan: Plan, chains: Sequence[Chain]) -> None:
        self._workers = plan.workers
        number_of = {name: number for number, chain in enumerate(chains) for name in chain.stages}
        self._unmet = [0] * len(chains)
        self._wait_for_start: dict[StageName, list[int]] = defaultdict(list)
        self._wait_for_end: dict[StageName, list[int]] = defaultdict(list)
        self._joins = [False] * len(chains)  # streams from a chain that runs
        for edge in plan.edges:
            number = number_of[edge.target]
            if number_of[edge.source] == number:
                continue
            streams = edge.kind is EdgeKind.STREAM
            (self._wait_for_start if streams else self._wait_for_end)[edge.source].append(number)
            self._joins[number] |= streams
            self._unmet[number] += 1
        self._joining: list[int] = []
        self._ready = [number for number, unmet in enumerate(self._unmet) if not unmet]
        heapify(self._ready)

    def next(self, busy: int) -> int | None:
        """A chain to start now, when `busy` workers have work already. None: not yet."""
        if self._joining:
            return heappop(self._joining)
        return heappop(self._ready) if self._ready and busy < self._workers else None

    def started(self, chain: Chain) -> None:
        for name in chain.stages:
            self._meet(self._wait_for_start.pop(name, ()))

    def ended(self, chain: Chain) -> None:
        """Also when it never started: whoever waits for it is then told so by the engine."""
        for name in chain.stages:
            self._meet(self._wait_for_start.pop(name, ()))
            self._meet(self._wait_for_end.pop(name, ()))

    def _meet(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._unmet[number] -= 1
            if not self._unmet[number]:
                heappush(self._joining if self._joins[number] else self._ready, number)
