"""A lane: stages of one call each that ask for the same method in the same kind of pool share one, and travel together
where they are short.

Such a stage has little use for a thread, a pool and a round of its own: of 2,000 of them, that was most of the time. To
the rounds a lane is a course like any other, whose calls are stages: the number of a call is that of a stage's course.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from math import inf

from pipeline_runner.axes import Dispatch, Style
from pipeline_runner.calls import Calls
from pipeline_runner.classes import dataclass, replace
from pipeline_runner.engine.chunks import AIM_S, BUDGET, Sizes
from pipeline_runner.engine.course import Course
from pipeline_runner.engine.feed import Flight
from pipeline_runner.methods import PoolSettings
from pipeline_runner.plan.plan import Chain, Plan, StagePlan
from pipeline_runner.worker.job import FunctionSource, Step

MOST = 128  # calls in a chunk
TRUST = 8  # calls of a function that may go together for each that was seen to be short
LONGEST = 1 << 10  # bytes of a pickled function that is one by name
LEAST_S = 30e-6  # of work that any call is thought to be: its step is read, its value packed
SHARE_S = 3e-4  # of work that is not shared out among workers: a message costs about as much
AHEAD = 2  # chunks aboard for each worker: one that it is at, one that waits for it


class Pace:
    """How long calls of each function have taken in this run."""

    def __init__(self) -> None:
        self._known: dict[FunctionSource, tuple[float, int]] = {}

    def learn(self, function: FunctionSource, took_s: float) -> None:
        if function.kind == "shell" or len(function.data) > LONGEST:
            return  # commands, and functions that bring their code: each is its own
        known_s, calls = self._known.get(function, (0.0, 0))
        self._known[function] = max(took_s, 0.7 * known_s + 0.3 * took_s), calls + 1

    def expected_s(self, function: FunctionSource, recorded_s: float | None) -> float:
        """As in an earlier run; else as other calls of its function, of which a long one is remembered for a while."""
        if recorded_s is not None:
            return max(recorded_s, LEAST_S)
        known_s, calls = self._known.get(function, (inf, 1))
        return max(known_s, AIM_S / (TRUST * calls), LEAST_S)


@dataclass(frozen=True)
class Passenger:
    """A stage's one call, aboard its lane."""

    course: Course
    calls: Calls
    step: Step
    expected_s: float  # infinite: nobody knows

    @property
    def short(self) -> bool:
        """Whether it may wait for a worker that is at something else."""
        return self.expected_s <= AIM_S / 2

    @property
    def priority(self) -> int:
        return self.course.head.spec.priority


class Waiting:
    """The intake of a lane: what is aboard and not handed in, first come first served. The engine pushes, drivers
    draw: as many at a time as are short enough to travel together."""

    size = None
    total = 0

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._line: deque[Passenger] = deque()
        self._at_the_door: list[Passenger] = []
        self._load_s = 0.0  # of the short ones
        self.arrivals = 0

    @property
    def dry(self) -> bool:
        return not self._line

    @property
    def length(self) -> int:
        return len(self._line)

    def push(self, passenger: Passenger) -> None:
        """Let it wait at the door: whoever draws would else be woken for each."""
        self._at_the_door.append(passenger)

    def take_up(self) -> None:
        """Let in all that waits at the door."""
        if not self._at_the_door:
            return
        with self._lock:
            self._line.extend(self._at_the_door)
            self._load_s += sum(one.expected_s for one in self._at_the_door if one.short)
            self.arrivals += 1
        self._at_the_door.clear()

    def draw(self, most: int) -> Calls | None:
        with self._lock:
            drawn = list(self._together(min(most, MOST)))
            self._load_s = max(0.0, self._load_s - sum(one.expected_s for one in drawn if one.short))
        return Calls([one.course.number for one in drawn], (([one.step for one in drawn],),) if drawn else ())

    def _together(self, most: int) -> Iterator[Passenger]:
        if not self._line:
            return
        first = self._line.popleft()
        yield first
        load_s = first.expected_s
        bound_s = min(AIM_S, max(self._load_s / (AHEAD * self._workers), SHARE_S))
        for _ in range(most - 1):
            if not self._line or self._line[0].priority != first.priority:
                return
            load_s += self._line[0].expected_s
            if load_s > bound_s:
                return
            yield self._line.popleft()

    def leave(self) -> None:
        """Nothing waits for it."""


class Loads(Sizes):
    """A lane's chunks are as large as its intake makes them."""

    @property
    def budget_s(self) -> float:
        return BUDGET * AIM_S

    def next(self, left: int | None) -> int:
        return MOST

    def window(self, window: int) -> int:
        return window


@dataclass
class _Load:
    """What is aboard of one priority."""

    long: int = 0
    short: int = 0
    short_s: float = 0.0

    def take_on(self, passenger: Passenger) -> None:
        if passenger.short:
            self.short += 1
            self.short_s += passenger.expected_s
        else:
            self.long += 1

    def take_off(self, passenger: Passenger) -> None:
        if passenger.short:
            self.short -= 1
            self.short_s = self.short_s - passenger.expected_s if self.short else 0.0
        else:
            self.long -= 1

    def workers(self) -> int:
        """How many it keeps busy, with something in hand for each."""
        return self.long + max(int(self.short_s / (AHEAD * AIM_S)), self.short // (AHEAD * MOST))


class Lane(Course):
    """Owned by the engine's main thread, except its intake."""

    def __init__(
        self, number: int, chain: Chain, head: StagePlan, members: Mapping[int, Course] | None = None, most: int = 1
    ) -> None:
        """`head`: one of its stages. `members`: the courses of its stages, by number. `most`: workers."""
        super().__init__(number, chain, [head], ())
        self.members = members or {}
        self.most = self.workers = most
        self.waiting = Waiting(most)
        self.aboard: dict[int, Passenger] = {}
        self.pace = Pace()
        self._loads: dict[int, _Load] = defaultdict(_Load)  # by priority
        # One that waits for each call has one chunk in flight: it is asked by as many threads as there may be of them.
        self.askers = 1 if self.head.choice.method.parallel else AHEAD * most

    def settings(self, calls: int | None, env: tuple[tuple[str, str], ...]) -> PoolSettings:
        settings = super().settings(calls, env)
        self.workers = self.most
        return replace(settings, workers=self.most)

    def board(self, passenger: Passenger) -> None:
        self.aboard[passenger.course.number] = passenger
        self._loads[passenger.priority].take_on(passenger)
        self.waiting.push(passenger)

    def leave(self, number: int) -> None:
        """This stage has ended."""
        passenger = self.aboard.pop(number, None)
        if passenger is None:
            return
        self._loads[passenger.priority].take_off(passenger)

    def demand(self, priority: int) -> int:
        return min(self.most, sum(load.workers() for of, load in self._loads.items() if of >= priority))

    def asks_as(self, flight: Flight | None) -> int:
        return next(iter(self.members)) if flight is None else flight.calls.indices[0]

    def named(self, flight: Flight) -> Iterator[tuple[str, Sequence[int]]]:
        for number in flight.calls.indices:
            yield self.members[number].chain.head, range(1)

    def told_of(self, flight: Flight | None, position: int | None) -> tuple[str, int | None]:
        number = next(iter(self.members)) if flight is None else flight.calls.indices[position or 0]
        return self.members[number].chain.head, None if flight is None or position is None else 0


def lanes(plan: Plan, courses: Sequence[Course]) -> list[Lane]:
    """One for each kind of stages of which there are at least two, numbered after all courses."""
    kinds: dict[object, dict[int, Course]] = defaultdict(dict)
    for course in courses:
        if travels(course):
            kinds[_kind(course)][course.number] = course
    together = [members for members in kinds.values() if len(members) > 1]
    in_a_row = all(len(wave) == 1 for wave in plan.waves)
    return [
        Lane(
            number=number,
            chain=Chain(()),
            head=next(iter(members.values())).head,
            members=members,
            most=1 if in_a_row else min(plan.workers, len(members)),
        )
        for number, members in enumerate(together, len(courses))
    ]


def travels(course: Course) -> bool:
    """Whether a stage can go with others: one call, and nothing that is to be looked after for it alone."""
    stage, method = course.head.spec, course.head.choice.method
    return (
        len(course.stages) == 1
        and stage.over is None
        and method.shared
        and method.lazy
        and method.style is Style.SINGLE
        and method.dispatch is not Dispatch.BATCH
        and course.head.choice.backend.local
        and not course.single
        and stage.setup is None
        and not (stage.hook or stage.always or stage.outs or stage.limits)
    )


def _kind(course: Course) -> object:
    """What makes two stages able to share a pool."""
    plan, spec = course.head, course.head.spec
    env = tuple(sorted(spec.env.items()))
    return plan.choice.method.name, plan.start_method, plan.threads, env, spec.workdir, spec.folder
