"""A chain on its way: its calls, its rounds, its pool, and what has become of each call so far."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from time import monotonic

from pipeline_runner.axes import Dispatch
from pipeline_runner.calls import Failure
from pipeline_runner.classes import replace
from pipeline_runner.engine.chunks import Sizes
from pipeline_runner.engine.feed import Feed, Flight
from pipeline_runner.engine.pools import Lease
from pipeline_runner.engine.results import Results
from pipeline_runner.engine.slowest import Slowest
from pipeline_runner.methods import Cluster, PoolSettings
from pipeline_runner.plan.plan import Chain, StagePlan
from pipeline_runner.record.profile import Profile


class Course:
    """Owned by the engine's main thread, except what is marked.

    What begins the same for all is the class's, until it is another: of thousands of stages of one call, which share a
    lane, most of it never is.
    """

    feed: Feed
    sizes: Sizes
    numbers: Iterator[int]  # of its chunks: each tells its course

    reuses: bool = False  # some of its calls may be kept from an earlier run
    salts: Sequence[bytes] = ()  # of each stage: what its calls are given beside their items
    round: int = 0
    lease: Lease | None = None  # set by the round's driver before it draws its first chunk
    started_at: float | None = None
    over: bool = False
    failed: bool = False  # a call failed for good where that is not to be skipped
    cancelled: bool = False

    sick: bool = False  # a worker of this round has died
    ending: threading.Event | None = None  # the pool is being killed
    ending_at: float = 0.0
    ended: tuple[BaseException | None] | None = None  # the method has ended, but deaths are still to be heard of
    ended_at: float = 0.0
    progress: int = 0  # calls that ended, or were blamed, in this round
    barren: int = 0  # rounds in a row that broke without any progress

    asked_at: float = 0.0  # when its pool was last asked for workers that died unheard
    weighed_at: float = 0.0  # when its workers' memory was last looked at
    made: int = 0  # calls, where it has no feed of its own
    work_s: float = 0.0  # of workers, in its chunks so far
    askers: int = 1  # threads that ask its method
    resting: bool = False  # its round was ended for want of calls
    cluster: Cluster | None = None  # where its workers are, where they are not ours
    brief: bytes = b""  # what a cluster must know of it

    def __init__(self, number: int, chain: Chain, stages: Sequence[StagePlan], results: Sequence[Results]) -> None:
        self.number = number
        self.chain = chain
        self.stages = stages
        self.results = results  # of each stage
        self.head = stages[0]
        self.workers = self.head.workers  # of its pool: no more than can be busy
        self.last_news = monotonic()

    @cached_property
    def tries(self) -> Counter[tuple[int, int]]:
        """By step and call number."""
        return Counter()

    @cached_property
    def sentenced(self) -> dict[int, tuple[int, Failure]]:
        """By pid: the chunk it is killed for, and why."""
        return {}

    @cached_property
    def slowest(self) -> Slowest:
        """Of its chunks; not of those in a lane, which are one call."""
        return Slowest()

    @cached_property
    def profile(self) -> Profile:
        """Of the same chunks."""
        return Profile()

    @cached_property
    def said(self) -> dict[int, deque[str]]:
        """By call number: the last lines that it wrote."""
        return {}

    def learn(self, indices: Sequence[int], ended: int, took_s: float) -> None:
        """A chunk of these calls is over, the first `ended` of them in this time."""
        self.sizes.learn(ended, took_s)
        self.slowest.learn(indices, ended, took_s)
        self.profile.learn(indices, ended, took_s)

    @property
    def learnt(self) -> bool:
        """Whether it had chunks of its own."""
        return "profile" in vars(self)

    @property
    def running(self) -> bool:
        return self.started_at is not None and not self.over

    @property
    def single(self) -> bool:
        """Whether every chunk must be one call: a timeout is a call's, and a worker is counted in calls."""
        limited = any(stage.spec.timeout_s or stage.spec.memory_bytes for stage in self.stages)
        return limited or self.head.spec.max_calls_per_worker is not None

    @property
    def alone(self) -> bool:
        """Whether it is one stage of one call."""
        return len(self.stages) == 1 and self.head.spec.over is None

    @property
    def timeout_s(self) -> float | None:
        return self.head.spec.timeout_s

    def settings(self, calls: int | None, env: tuple[tuple[str, str], ...]) -> PoolSettings:
        """What its pool is opened with: no more workers than can be busy."""
        plan = self.head
        if calls is not None:
            self.workers = max(1, min(plan.workers, calls))
        workers = self.workers = 1 if plan.choice.method.dispatch is Dispatch.BLOCKING else self.workers
        setup = f"{plan.spec.setup} {plan.spec.setup_with}" if plan.spec.setup else ""
        settings = PoolSettings(
            workers=workers,
            max_calls_per_worker=plan.spec.max_calls_per_worker,
            setup=setup,
            env=env,
            # Modules of one name in two folders are two modules: they do not meet in one worker.
            workdir=str((plan.spec.folder or Path()) / (plan.spec.workdir or "")),
            cluster=self.cluster,
        )
        return settings if plan.start_method is None else replace(settings, start_method=plan.start_method)

    @property
    def total(self) -> int:
        """How many numbers its calls had, when all are known; 0 before."""
        return self.feed.total if hasattr(self, "feed") else self.made

    def asks_as(self, flight: Flight | None) -> int:
        """The number of the course by whose rank and tokens a chunk begins."""
        return self.number

    def demand(self, priority: int) -> int:
        """Workers that it can still use for calls of this priority, or of a higher one: those of its pool, or fewer
        when its last chunks are in flight, or when it waits for what streams to it."""
        if self.head.choice.backend.in_process or self.head.spec.priority < priority:
            return 0  # calls that wait, or one at a time: they need no worker
        if not hasattr(self, "feed"):
            return 1
        if self.feed.spare:
            return self.workers
        return min(self.workers, max(1 if self.feed.drawn_out else 0, len(self.feed.flights)))

    def named(self, flight: Flight) -> Iterator[tuple[str, Sequence[int]]]:
        """The stages that a chunk is at work for now, each with the numbers of its calls."""
        yield self.chain.stages[flight.at], flight.calls.indices

    def told_of(self, flight: Flight | None, position: int | None) -> tuple[str, int | None]:
        """Whose call is at a position of a chunk: the stage, and the call's number; None: nobody's."""
        if flight is None:
            return self.chain.stages[0], None
        return self.chain.stages[flight.at], None if position is None else flight.calls.indices[position]

    def begin_round(self) -> None:
        self.round += 1
        self.lease = None
        self.sick = False
        self.ending = None
        self.ended = None
        self.sentenced.clear()
        self.progress = 0
        self.last_news = monotonic()
        self.feed.open()

    @property
    def begun(self) -> bool:
        """Whether a worker is at one of its chunks."""
        return any(flight.pid is not None for flight in list(self.feed.flights.values()))
