"""Which chain may start next: its sources are there, and there are workers that it could use.

Each answer costs what has changed since the last one, so that thousands of stages cost nothing to speak of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from pipeline_runner.plan.plan import Chain, EdgeKind, Plan
from pipeline_runner.plan.ways import ways
from pipeline_runner.spec.pipeline import StageName

_Place = tuple[int, float, int]  # among those that are ready: priority, the way from it to the end, its number


class Schedule:
    """Chains by number: of those that are ready the higher priority goes first, then the one from which the longest
    way leads to the end, then the plan's order. Chains that are joined by streams are a group and start together: the
    first of them waits for workers, the others for the first. Hooks are not scheduled: they run when all else is over.

    `times`: seconds of work of a stage in an earlier run."""

    def __init__(self, plan: Plan, chains: Sequence[Chain], times: Mapping[StageName, float] | None = None) -> None:
        self._workers = plan.workers
        self._priority = [plan.stages[chain.head].spec.priority for chain in chains]
        self._way = ways(plan, chains, times or {})
        number_of = {name: number for number, chain in enumerate(chains) for name in chain.stages}
        self._unmet = [0] * len(chains)
        self._wait_for_start: dict[StageName, list[int]] = defaultdict(list)
        self._wait_for_end: dict[StageName, list[int]] = defaultdict(list)
        self._at_once = [False] * len(chains)  # needs no worker of its own: it streams from one that runs, or is off
        ends: dict[int, set[StageName]] = defaultdict(set)  # what each chain waits for the end of
        for edge in plan.edges:
            number = number_of[edge.target]
            if number_of[edge.source] == number:
                continue
            streams = edge.kind is EdgeKind.STREAM
            (self._wait_for_start if streams else self._wait_for_end)[edge.source].append(number)
            self._at_once[number] |= streams
            self._unmet[number] += 1
            if not streams:
                ends[number].add(edge.source)
        self._begin_together(plan, number_of, ends)
        self._now: list[_Place] = []
        self._ready = [
            self._place(number)
            for number, unmet in enumerate(self._unmet)
            if not unmet and chains[number].head not in plan.hooks
        ]
        heapify(self._ready)

    def _begin_together(
        self, plan: Plan, number_of: Mapping[StageName, int], ends: Mapping[int, set[StageName]]
    ) -> None:
        """Let all heads of a group begin at once, when all that any of the group waits for has ended: what is streamed
        to a reader that is not there yet is lost, and a reader is there only when each of its sources has begun."""
        for group in plan.groups:
            numbers = [number_of[chain.head] for chain in group.chains]
            heads = sorted((number for number in numbers if not self._at_once[number]), key=self._place)
            if len(numbers) == 1 or not heads:
                continue
            first, *others = heads
            awaited = {source for number in numbers for source in ends.get(number, ())}
            for source in awaited - ends.get(first, set()):
                self._wait_for_end[source].append(first)
                self._unmet[first] += 1
            leader = next(chain.head for chain in group.chains if number_of[chain.head] == first)
            for number in others:
                self._wait_for_start[leader].append(number)
                self._unmet[number] += 1
                self._at_once[number] = True

    def next(self, busy: Callable[[int], int]) -> int | None:
        """A chain to start now. None: not yet. `busy` tells how many workers have work of a priority, or of a higher
        one: a chain waits for those, and goes before the others."""
        if self._now:
            return heappop(self._now)[-1]
        if self._ready and busy(-self._ready[0][0]) < self._workers:
            return heappop(self._ready)[-1]
        return None

    @property
    def amid_a_group(self) -> bool:
        """Whether a group has begun of which others are still to start, before anything else happens."""
        return bool(self._now)

    def started(self, chain: Chain) -> None:
        for name in chain.stages:
            self._meet(self._wait_for_start.pop(name, ()))

    def ended(self, chain: Chain) -> None:
        """Also when it never started: whoever waits for it is then told so by the engine."""
        for name in chain.stages:
            self._meet(self._wait_for_start.pop(name, ()))
            self._meet(self._wait_for_end.pop(name, ()))

    def doom(self, number: int) -> None:
        """It will not run: it is to be taken as soon as all that it waits for has ended."""
        self._at_once[number] = True

    def _meet(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._unmet[number] -= 1
            if not self._unmet[number]:
                heappush(self._now if self._at_once[number] else self._ready, self._place(number))

    def _place(self, number: int) -> _Place:
        return -self._priority[number], -self._way[number], number
