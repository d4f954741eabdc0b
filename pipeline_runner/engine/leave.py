"""Leave to begin: keeps the calls that run at one time within the run's workers, however many pools are alive, and
within the tokens that there are.

Stages that are alive together each have a pool of their own, and each pool may have all the workers
of the run, so that whoever has work can use them all. A worker therefore asks before it begins a
chunk, and the engine lets in as many as the user allowed. The calls of a chunk run one after the other,
so it holds what one call of its stage holds: all of it or nothing, so that nobody waits with a token in hand.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count

from pipeline_runner.plan.plan import Chain, Plan
from pipeline_runner.typed import NamedTuple


class _Visitor(NamedTuple):
    """A chunk that asks, in the order in which they are let in."""

    rank: tuple[int, int]  # by priority; then later chains first: what is begun is finished before more is begun
    arrival: int
    chunk: int
    course: int


class Leave:
    """Which chunks are at work, and which wait to be. Courses are known by the numbers of their chains."""

    def __init__(self, plan: Plan, chains: Sequence[Chain], lanes: Sequence[Collection[int]] = ()) -> None:
        """`lanes`: numbers of chains that share one pool, which has no more workers than the run."""
        heads = [plan.stages[chain.head] for chain in chains]
        self._holds: list[Mapping[str, int]] = [head.spec.limits for head in heads]
        self._priority = [head.spec.priority for head in heads]
        self._here = [not head.choice.backend.uses_cpus for head in heads]
        self._workers = plan.workers
        self._tokens = Counter(plan.pipeline.limits)
        self._at_work: dict[int, int] = {}  # chunk → its course
        self._waiting: list[_Visitor] = []
        self._arrivals = count()
        pools = {number: -1 - lane for lane, members in enumerate(lanes) for number in members}
        pools = {number: pools.get(number, number) for number, here in enumerate(self._here) if not here}
        self._side_by_side = len(set(pools.values())) > 1 and _overlap(plan, pools)

    def needed(self, course: int) -> bool:
        """Whether its chunks must ask. Calls in the runner's own process use no worker, but hold tokens too."""
        return bool(self._holds[course]) or (self._side_by_side and not self._here[course])

    def ask(self, course: int, chunk: int) -> list[int]:
        """A chunk is to begin. Gives those that may begin now."""
        insort(self._waiting, _Visitor((-self._priority[course], -course), next(self._arrivals), chunk, course))
        return list(self._let_in())

    def done(self, chunk: int) -> list[int]:
        """A chunk has ended, or its worker died. Gives those that may begin now."""
        course = self._at_work.pop(chunk, None)
        if course is None:
            self._waiting = [visitor for visitor in self._waiting if visitor.chunk != chunk]
        else:
            self._workers += not self._here[course]
            self._tokens.update(self._holds[course])
        return list(self._let_in())

    def forget(self, course: int) -> list[int]:
        """A course of the runner's own process is over, and nobody will tell of its chunks. Gives those that may
        begin now."""
        self._waiting = [visitor for visitor in self._waiting if visitor.course != course]
        left = [chunk for chunk, of in self._at_work.items() if of == course]
        return [let_in for chunk in left for let_in in self.done(chunk)] or list(self._let_in())

    def _let_in(self) -> Iterator[int]:
        """In their order; but one that lacks a token keeps back only those that would take it away."""
        kept_for_others: set[str] = set()
        left: list[_Visitor] = []
        for visitor in self._waiting:
            holds, here = self._holds[visitor.course], self._here[visitor.course]
            has_worker = here or self._workers > 0
            has_tokens = all(self._tokens[name] >= wanted for name, wanted in holds.items())
            if has_worker and has_tokens and kept_for_others.isdisjoint(holds):
                self._workers -= not here
                self._tokens.subtract(holds)
                self._at_work[visitor.chunk] = visitor.course
                yield visitor.chunk
            else:
                left.append(visitor)
                if has_worker:
                    kept_for_others.update(holds)
        self._waiting = left


def _overlap(plan: Plan, pools: Mapping[int, int]) -> bool:
    """Whether two pools may ever be at work at one time. `pools`: of each chain that has one."""
    if any(len(group.chains) > 1 for group in plan.groups):
        return True  # streams join them
    later: set[int] = set()
    for wave in reversed(plan.waves):  # each group is one chain, of the same number
        own = {pools[number] for number in wave if number in pools}
        # What comes later waits for one of this wave: for all of it only where it is but one.
        if len(own) > 1 or (own and len(wave) > 1 and later - own):
            return True
        later |= own
    return False
