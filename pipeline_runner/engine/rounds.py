"""Rounds from their beginning to their end: who died and of what, who takes too long, when a pool is given up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from time import monotonic

from pipeline_runner import events
from pipeline_runner.calls import Failure
from pipeline_runner.engine import blame
from pipeline_runner.engine.books import Books
from pipeline_runner.engine.course import Course
from pipeline_runner.engine.driver import start_round
from pipeline_runner.engine.feed import Flight, Owed
from pipeline_runner.engine.jobs import environment
from pipeline_runner.engine.messages import ChunkLost, Message, PoolOpened, RoundOver, WorkerGone, WorkerHere
from pipeline_runner.engine.outcomes import Outcomes
from pipeline_runner.engine.pools import Lease, Pools
from pipeline_runner.typed import TYPE_CHECKING
from pipeline_runner.worker import limits

if TYPE_CHECKING:
    from pipeline_runner.engine.chaos import Chaos

STALL_S = 1.0  # a round with a dead worker, and none at work, is broken off after so long without news
RECEIPTS_S = 5.0  # all outcomes are here: a method that still gives no receipt is broken off after so long
EXITCODE_S = 0.5  # a library may need a moment to learn of its worker's exit code
REAPED_S = 5.0  # and where others keep the processors, its fork server needs one to fetch it
WEIGH_S = 0.05  # how often the memory of workers is looked at where it is limited
LAG_S = 0.1  # by which news may be behind a method that broke
SPLIT = 8  # parts into which a chunk is cut whose worker died


class Rounds:
    """The rounds of all running courses, and the pools that they are in.

    `over(course, error)` is called when a round has ended and all that it owes us has been heard.
    """

    def __init__(
        self,
        books: Books,
        outcomes: Outcomes,
        running: Mapping[int, Course],
        *,
        tell: Callable[[Message], None],
        over: Callable[[Course, BaseException | None], None],
        chaos: Chaos | None,
    ) -> None:
        self._books = books
        self._outcomes = outcomes
        self._running = running
        self._tell = tell
        self._over = over
        self._chaos = chaos
        self.pools = Pools()
        self._told_narrow = False

    def begin(self, course: Course, calls: int | None = None) -> None:
        course.begin_round()
        course.resting = False
        settings = course.settings(calls, environment(self._books.plan.pipeline, course.head))
        for name in course.chain.stages:
            self._books.publish(events.RoundStarted(stage=name, number=course.round, workers=settings.workers))
        start_round(course, self.pools, settings, self._tell)

    def opened(self, message: PoolOpened) -> None:
        """A pool is there; nobody needs it where its course has ended meanwhile."""
        course = self._books.carriers[message.course]
        if course.over and course.round == message.round and course.lease is not None:
            self.pools.discard(course.lease)
        elif course.lease is not None and course.lease.missing and not self._told_narrow:
            self._told_narrow = True  # once a run: others are as narrow, for the same reason
            self._tell_narrow(course, course.lease)

    def _tell_narrow(self, course: Course, lease: Lease) -> None:
        limit, needed = self.pools.descriptors(lease.missing)
        workers = lease.settings.workers
        self._books.publish(
            events.PoolNarrowed(
                stage=course.head.spec.name,
                workers=workers,
                meant=workers + lease.missing,
                limit=limit,
                needed=needed,
            )
        )

    def patience_s(self, course: Course, now: float) -> float:
        """How long nothing may be heard of a course before it is looked at."""
        waits = [0.5]
        if course.sick or course.ending is not None or course.ended is not None:
            waits.append(0.05)
        if course.timeout_s and course.head.choice.backend.local:
            flights = list(course.feed.flights.values())
            waits += [f.begun_at + course.timeout_s - now for f in flights if f.pid is not None]
        if course.head.spec.memory_bytes:
            waits.append(WEIGH_S)
        return min(waits)

    def look_after(self, course: Course, now: float) -> None:
        """Enforce a course's limits, and end its round where nothing more will come of it."""
        self._enforce_limits(course, now)
        if course.ended is not None:
            self._settle(course, now)
        elif course.ending is None and self._stuck(course, now):
            self.break_off(course)
        elif not course.sick and now - max(course.last_news, course.asked_at) > STALL_S:
            course.asked_at = now
            if course.feed.flights and course.lease is not None and course.lease.died_unheard():
                self._sicken(course)

    def ended(self, message: RoundOver) -> None:
        course = self._books.carriers[message.course]
        if course.round != message.round or course.over:
            return
        course.ended = (message.error,)
        course.ended_at = monotonic()
        course.feed.close()
        self._settle(course, course.ended_at)

    def break_off(self, course: Course) -> None:
        """End the round's pool; its method then gives up, and the round is over."""
        course.ending = threading.Event()
        course.ending_at = monotonic()
        course.feed.close()
        if course.lease is not None:
            self.pools.discard(course.lease)

    def here(self, message: WorkerHere) -> None:
        course = self._of_lease(message.lease)
        if course is not None and course.lease is not None:
            course.lease.heard.add(message.pid)

    def _of_lease(self, number: int) -> Course | None:
        return next((c for c in self._running.values() if c.lease and c.lease.number == number), None)

    def gone(self, message: WorkerGone) -> None:
        course = self._of_lease(message.lease)
        if course is None:
            self.pools.retire(message.lease, message.pid)  # an idle worker of a warm pool, or one that we ended
            return
        course.last_news = monotonic()
        flights = [flight for flight in course.feed.flights.values() if flight.pid == message.pid]
        retired = course.head.spec.max_calls_per_worker is not None
        exitcode = self._exitcode(course, message.pid, wait=bool(flights) or not retired)
        struck = self._chaos is not None and self._chaos.killed(message.pid)
        # Also of one that was recycled: what it forked may hold the pipe by which its library learns that it has ended.
        self.pools.end_orphans()
        if not flights:
            # Processes come and go by themselves when they are recycled; only a bad end says that something is wrong.
            if exitcode not in (0, None) and course.ending is None and not retired:
                self._sicken(course)
            return
        for flight in flights:
            self._lost(course, flight, message.pid, exitcode, struck=struck)
        self._sicken(course)

    def _lost(self, course: Course, flight: Flight, pid: int, exitcode: int | None, *, struck: bool) -> None:
        """A worker died with this chunk. Its one call is blamed; of several, smaller chunks will show which."""
        chunk, sentence = course.sentenced.pop(pid, (None, None))
        if chunk != flight.chunk:
            sentence = None
        innocent = sentence is None and (
            struck
            or course.ending is not None
            or blame.fell_with_another(exitcode, self._another_died(course, pid, exitcode))
        )
        if innocent:
            course.progress += struck  # a round that chaos ended was not barren
            course.feed.again(Owed(flight.calls, flight.step))
        else:
            self._blame(course, flight, pid, exitcode, sentence or blame.death(pid, exitcode))
        course.feed.landed(flight.chunk)

    def lost(self, message: ChunkLost) -> None:
        """A worker of a cluster has died with a chunk. Its pool goes on: nothing of it was that worker's alone."""
        course = self._books.find(message.chunk)
        course.last_news = monotonic()
        flight = course.feed.flights.get(message.chunk)
        if flight is None or course.over:
            return
        if course.ending is not None and not message.sentenced:
            course.feed.again(Owed(flight.calls, flight.step))
        else:
            self._blame(course, flight, message.pid, message.exitcode, message.failure)
        course.feed.landed(flight.chunk)

    def _blame(self, course: Course, flight: Flight, pid: int, exitcode: int | None, failure: Failure) -> None:
        """Its one call has this failure; of several, smaller chunks will show which is to blame."""
        for stage, calls in course.named(flight):
            told = calls if isinstance(calls, range) else tuple(calls)
            self._books.publish(events.WorkerDied(stage=stage, pid=pid, exitcode=exitcode, calls=told))
        if len(flight.calls) == 1:
            self._outcomes.failed(course, Owed(flight.calls, flight.step), flight.at, failure, None)
        else:
            course.progress += 1
            most = -(-len(flight.calls) // SPLIT)
            course.feed.again(Owed(flight.calls, flight.step, most=most))

    def _another_died(self, course: Course, pid: int, exitcode: int | None) -> bool:
        """Whether another worker of its pool died before it: the news of it may come only after that of those which its
        library ended for it."""
        if course.sick or course.ended is not None:
            return True
        retire = course.head.spec.max_calls_per_worker is not None
        if course.lease is None or retire or exitcode != -signal.SIGTERM:
            return False
        busy = {flight.pid for flight in course.feed.flights.values()}
        deadline = monotonic() + LAG_S
        pause = threading.Event()
        while monotonic() < deadline:
            others = [p for p in course.lease.backend.processes(course.lease.pool) if p.pid != pid]
            # One that ended in order, and at no call, died of nothing.
            if any(p.exitcode not in (None, exitcode) and (p.exitcode or p.pid in busy) for p in others):
                return True
            pause.wait(0.005)
        return False

    def _exitcode(self, course: Course, pid: int, *, wait: bool) -> int | None:
        """How the process ended. Its library may learn it a moment after the kernel told us."""
        if course.lease is None:
            return None
        began = monotonic()
        pause = threading.Event()
        while True:
            exitcode = course.lease.exitcode(pid)
            if exitcode is not None or not wait:
                return exitcode
            waited_s = monotonic() - began
            if waited_s > EXITCODE_S and (limits.state(pid) != "Z" or waited_s > REAPED_S):
                return None
            pause.wait(0.005)

    def _sicken(self, course: Course) -> None:
        """Its pool is not to be trusted any more: let those at work finish, then replace it."""
        course.sick = True
        course.feed.close()

    def _enforce_limits(self, course: Course, now: float) -> None:
        """End the workers of calls that took too long or too much, with all that they have started. On a cluster, its
        deputies do."""
        if not course.head.choice.backend.local:
            return
        limit = course.head.spec.memory_bytes
        weigh = bool(limit) and now - course.weighed_at >= WEIGH_S
        if weigh:
            course.weighed_at = now
        if not course.timeout_s and not weigh:
            return
        for flight in list(course.feed.flights.values()):
            pid = flight.pid
            if pid is None or pid in course.sentenced or limits.is_corpse(pid):
                continue
            if course.timeout_s and flight.begun_at + course.timeout_s <= now:
                course.sentenced[pid] = flight.chunk, blame.overdue(pid, course.timeout_s)
            elif weigh and limit and (held := limits.resident_bytes(pid, flight.calls.large_bytes)) > limit:
                course.sentenced[pid] = flight.chunk, blame.too_large(pid, limit, held)
            else:
                continue
            limits.kill_tree(pid)

    def _stuck(self, course: Course, now: float) -> bool:
        """Whether nothing more will come of this round by itself."""
        if not course.feed.flights:
            if course.sick:
                return True
            return (course.feed.finished or course.resting) and now - course.last_news > RECEIPTS_S
        return course.sick and not course.begun and now - course.last_news > STALL_S

    def _settle(self, course: Course, now: float) -> None:
        """The method has ended. If workers are still at its chunks, their ends are heard of first: one of them may
        be the death that broke it."""
        if course.ended is None:
            return
        (error,) = course.ended
        if course.feed.flights and now - max(course.ended_at, course.last_news) < self._news_due_s(course, error):
            return
        if course.lease is not None and course.ending is None:
            if error is None and not course.sick and not course.feed.flights:
                self.pools.give_back(course.lease)
            else:
                course.ending = threading.Event()
                self.pools.discard(course.lease)
        for flight in list(course.feed.flights.values()):
            course.feed.again(Owed(flight.calls, flight.step))
            course.feed.landed(flight.chunk)
        self._over(course, error)

    def _news_due_s(self, course: Course, error: BaseException | None) -> float:
        """How long a round that has ended may owe us news of its chunks.

        Receipts and news come by different ways, and either may be first. After an orderly end all
        chunks have been told, so their news is surely on its way; after a broken one, that of chunks
        which nobody began will never come.
        """
        if not course.head.choice.backend.uses_cpus:
            return 0.0  # what calls of this process say, and letters, are in the inbox before their method knows
        if error is None and not course.sick and course.ending is None:
            return RECEIPTS_S
        return STALL_S if course.begun else LAG_S
