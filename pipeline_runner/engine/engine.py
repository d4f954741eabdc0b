"""Runs a plan: start what is ready, take one message, publish what it means; until all is over.

This thread alone decides and changes state. Drivers, beacon and signal handlers put messages in its
inbox and do nothing else.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from queue import Empty, SimpleQueue
from time import monotonic
from typing import assert_never

from pipeline_runner import events
from pipeline_runner.axes import OnError, Returns, Status
from pipeline_runner.calls import Calls, Cause, Done, Failed, Failure, Pack, Rest, Ticket
from pipeline_runner.engine import blame
from pipeline_runner.engine.beacon import Beacon
from pipeline_runner.engine.chunks import Sizes
from pipeline_runner.engine.course import Course
from pipeline_runner.engine.driver import start_round
from pipeline_runner.engine.feed import Feed, Flight, Owed
from pipeline_runner.engine.inputs import RunNames, StageUnfinished, Values, constants_of, intake_of, read_whole
from pipeline_runner.engine.intake import Intake
from pipeline_runner.engine.jobs import environment, job
from pipeline_runner.engine.leave import Leave
from pipeline_runner.engine.messages import (
    CallsKept,
    Cancel,
    ChunkBegun,
    ChunkOver,
    LinesSaid,
    Message,
    Nudge,
    PoolOpened,
    RoundOver,
    StepReached,
    WorkerGone,
    WorkerHere,
)
from pipeline_runner.engine.pools import Pools
from pipeline_runner.engine.results import Results, runs
from pipeline_runner.engine.retries import again_after, argument_in_short
from pipeline_runner.engine.reuse import Reusing
from pipeline_runner.engine.schedule import Schedule
from pipeline_runner.plan.plan import EdgeKind, Plan
from pipeline_runner.record.record import Record
from pipeline_runner.spec.pipeline import FromStage, StageName, Zip
from pipeline_runner.state import RunState
from pipeline_runner.worker import limits
from pipeline_runner.worker.failures import failure_of
from pipeline_runner.worker.functions import add_to_path

STALL_S = 1.0  # a round with a dead worker, and none at work, is broken off after so long without news
RECEIPTS_S = 5.0  # all outcomes are here: a method that still gives no receipt is broken off after so long
ABANDON_S = 0.5  # a cancelled call in the runner's own process is waited for so long
EXITCODE_S = 0.5  # a library may need a moment to learn of its worker's exit code
WEIGH_S = 0.05  # how often the memory of workers is looked at where it is limited
SAID = 20  # last lines of a failed call that are told with it
LAG_S = 0.1  # by which news may be behind a method that broke
BARREN = 3  # rounds in a row that may break without having got anywhere
SPLIT = 8  # parts into which a chunk is cut whose worker died

AT_ONCE = 256  # messages taken in one turn, and written down in one commit
ENDED_WELL = (Status.DONE, Status.REUSED)

Listener = Callable[[events.Event], None]


class Engine:
    """One run of one plan."""

    def __init__(
        self,
        plan: Plan,
        *,
        run: str,
        folder: Callable[[], str],
        keep: Callable[[StageName], bool],
        listeners: Iterable[Listener] = (),
        record: Record | None = None,
    ) -> None:
        self.plan = plan
        self.id = run
        self.state = RunState()
        self.lock = threading.Condition()  # over feeds and results: where drivers and readers wait
        self._folder = folder  # makes ${run.dir} when it is first asked for
        self._listeners = list(listeners)
        self._record = record
        self._untold: list[events.Event] = []  # written down, and not yet told to the listeners
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._pools = Pools()
        self._leave = Leave(plan)
        self._at_the_door: dict[int, tuple[Course, Flight]] = {}  # by pid: who waits for leave
        self._cancelled: Cancel | None = None
        self._stopped = False  # a failure stopped the run
        self.results = {
            name: Results(
                in_order=stage.choice.returns is not Returns.UNORDERED, keep=self._kept(name, keep), lock=self.lock
            )
            for name, stage in plan.stages.items()
        }
        self._courses = [
            Course(
                number,
                chain,
                [plan.stages[name] for name in chain.stages],
                [self.results[name] for name in chain.stages],
            )
            for number, chain in enumerate(chain for group in plan.groups for chain in group.chains)
        ]
        self._course_of = {name: course for course in self._courses for name in course.chain.stages}
        self._keep = keep
        self._schedule = Schedule(plan, [course.chain for course in self._courses])
        self._running: dict[int, Course] = {}  # by number, in the order of their start
        self._left = len(self._courses)
        self._doomed: deque[tuple[Course, Status]] = deque()  # to be cancelled: a source did not end well
        self._unread = {name: len(plan.readers(name)) for name in plan.stages}

    # What others may do: put a message in the inbox.

    def cancel(self, by_signal: int | None = None) -> None:
        """End the run soon. May be called from any thread and from a signal handler."""
        self._inbox.put(Cancel(by_signal))

    def kill_all(self) -> None:
        """End every worker now, in no order, before the runner itself leaves at once."""
        self._pools.kill_processes()

    @property
    def interrupted_by(self) -> int | None:
        return self._cancelled.signal if self._cancelled else None

    def kept(self, name: StageName) -> bool:
        """Whether all values of a stage are there at the end."""
        return self._kept(name, self._keep)

    # The loop.

    def run(self) -> RunState:
        """Run to the end, and leave no process behind whatever the end is."""
        began = monotonic()
        # Values may be of the project's own classes, and are read back here.
        add_to_path(os.path.abspath(self.plan.pipeline.folder))
        self._beacon = Beacon(self._inbox.put)
        try:
            self._publish(
                events.RunStarted(
                    run=self.id,
                    pipeline=self.plan.pipeline.name,
                    workers=self.plan.workers,
                    stages=tuple(self.plan.stages),
                )
            )
            self._commit()
            self._start_ready()
            self._commit()
            while self._left:
                self._turn()
        except BaseException as error:
            if isinstance(error, Exception):  # a listener's, the journal's, or ours: nobody is asked to hear the end
                self._listeners = []
                if self._record is not None:
                    self._record.abandon()
                    self._record = None
            self._end_all(Status.CANCELLED)
            raise
        finally:
            self._pools.close()
            self._beacon.close()
            if self.state.status is None:
                self._publish(events.RunEnded(status=self._status(), took_s=monotonic() - began))
            self._commit()
            if self._record is not None:
                self._record.close()
        return self.state

    def _turn(self) -> None:
        """Wait for a message, take it and all that have come meanwhile, and commit what they meant at once: the more
        there is to do, the fewer commits it takes."""
        self._take(self._next_message())
        for _ in range(AT_ONCE):
            try:
                self._take(self._inbox.get_nowait())
            except Empty:
                break
        self._look_after()
        self._start_ready()
        self._commit()

    def _publish(self, event: events.Event) -> None:
        """Fold it in, write it down; it is told to the listeners when it is sure to be kept."""
        self.state.take(event)
        if self._record is not None:
            self._record.take(event)
        self._untold.append(event)

    def _commit(self) -> None:
        if self._record is not None:
            self._record.commit()
        told, self._untold = self._untold, []
        for event in told:
            for listener in self._listeners:
                listener(event)

    def _next_message(self) -> Message:
        try:
            return self._inbox.get(timeout=self._patience())
        except Empty:
            return Nudge()

    def _take(self, message: Message) -> None:
        match message:
            case ChunkBegun():
                self._begun(message)
            case StepReached():
                self._reached(message)
            case ChunkOver():
                self._over(message)
            case CallsKept():
                self._kept_calls(message)
            case LinesSaid():
                self._said(message)
            case WorkerGone():
                self._gone(message)
            case RoundOver():
                self._round_over(message)
            case PoolOpened():
                course = self._courses[message.course]
                if course.over and course.round == message.round and course.lease is not None:
                    self._pools.discard(course.lease)
            case Cancel():
                self._cancel(message)
            case WorkerHere() | Nudge():
                pass
            case _:
                assert_never(message)

    def _patience(self) -> float:
        """How long nothing may arrive before we look for ourselves."""
        waits = [0.5]
        now = monotonic()
        for course in self._running.values():
            if course.sick or course.ending is not None or course.ended is not None:
                waits.append(0.05)
            if course.timeout_s:
                flights = list(course.feed.flights.values())
                waits += [f.begun_at + course.timeout_s - now for f in flights if f.pid is not None]
            if course.head.spec.memory_bytes:
                waits.append(WEIGH_S)
        return max(0.001, min(waits))

    # Starting.

    def _start_ready(self) -> None:
        """Start chains whose sources are there, while there are workers for them."""
        self._cancel_doomed()
        while (number := self._schedule.next(self._busy())) is not None:
            course = self._courses[number]
            if not course.over:
                self._start(course)
                self._cancel_doomed()

    def _busy(self) -> int:
        """Workers that the running chains can still use."""
        return sum(course.demand() for course in self._running.values())

    def _start(self, course: Course) -> None:
        course.started_at = monotonic()
        self._running[course.number] = course
        self._schedule.started(course.chain)
        head = course.head
        try:
            scope = {"stages": Values(self.plan, self.results), "run": RunNames(self.id, self._folder)}
            constants = [constants_of(plan.spec, scope) for plan in course.stages]
            tell_apart = self._record.tell_apart if self._record is not None else None
            intake, calls = intake_of(self.plan, head, constants[0].per_call, self.results, self.moved, tell_apart)
            intake = self._without_kept(course, intake)
            described = job(
                self.plan.pipeline,
                course.stages,
                [given.fixed for given in constants],
                [self._wanted(name, course) for name in course.chain.stages],
            )
        except Exception as error:  # a user's value that does not unpickle, a source that is not there, dill's errors
            self._fail_stage(course, failure_of(error, Cause.RAISED))
            return
        for plan in course.stages:
            self._publish(
                events.StageStarted(
                    stage=plan.spec.name,
                    method=plan.choice.method.name,
                    calls=calls,
                    fused_into=None if plan is head else head.spec.name,
                )
            )
        self._beacon.publish(course.number, described)
        course.sizes = Sizes(min(head.workers, calls or head.workers), head.spec.chunk)
        course.feed = Feed(
            intake,
            course.sizes,
            lock=self.lock,
            window=head.window,
            workers=head.workers,
            lazy=head.choice.method.lazy,
            single=course.single,
            backlog=lambda: max(results.backlog for results in course.results),
            ticket=lambda chunk, step, size: self._ticket(course, chunk, step, size),
            refuse=lambda chunk, error: self._inbox.put(_refused(course, chunk, error)),
            # Numbers of different courses never meet, and each tells its course.
            numbers=count(course.number, len(self._courses)),
        )
        self._begin_round(course, calls)

    def _ticket(self, course: Course, chunk: int, step: int, size: int) -> Ticket:
        """Called in the driver's thread."""
        backend = course.head.choice.backend
        lease = course.lease
        if lease is None:
            raise AssertionError("a chunk was drawn before its pool was leased: this is our bug")
        budget_s = course.sizes.budget_s(course.head.choice.method.lazy)
        leave = self._leave.needed and not backend.in_process
        address = self._beacon.here if backend.in_process else self._beacon.address
        return Ticket(address, lease.number, course.number, step, chunk, budget_s, leave, size)

    def _begin_round(self, course: Course, calls: int | None = None) -> None:
        course.begin_round()
        settings = course.settings(calls, environment(self.plan.pipeline, course.head))
        for name in course.chain.stages:
            self._publish(events.RoundStarted(stage=name, number=course.round, workers=settings.workers))
        start_round(course, self._pools, settings, self._inbox.put)

    # What the workers say.

    def _find(self, chunk: int) -> Course:
        return self._courses[chunk % len(self._courses)]

    def _without_kept(self, course: Course, intake: Intake) -> Intake:
        """The intake without the calls that an earlier run has ended well, where all that they read is the same."""
        names = course.chain.stages
        reads = {name for stage in names for name in read_whole(self.plan.stages[stage].spec)}
        if self._record is None or not all(self.results[name].same for name in reads):
            return intake
        wanted = [self._wanted(name, course) for name in names]
        course.earlier = [
            self._record.earlier(name) if want or name == names[-1] else None
            for name, want in zip(names, wanted, strict=True)
        ]
        steps = [(at, kept, wanted[at]) for at, kept in enumerate(course.earlier) if kept is not None]
        if course.earlier[-1] is None or len(steps) < sum(wanted):
            course.earlier = []
            return intake
        return Reusing(intake, steps, lambda reused: self._inbox.put(CallsKept(course.number, reused)))

    def _kept_calls(self, message: CallsKept) -> None:
        course = self._courses[message.course]
        if course.over:
            return
        last = len(course.chain.stages) - 1
        for step, numbers, pack in message.reused:
            if step == last:
                course.progress += len(numbers)
                for name in course.chain.stages:
                    self._publish(events.CallsReused(stage=name, indices=numbers))
            if pack is not None:
                course.results[step].put(numbers, pack)

    def _begun(self, message: ChunkBegun) -> None:
        course = self._find(message.chunk)
        course.last_news = monotonic()
        flight = course.feed.flights.get(message.chunk)
        if flight is not None:
            flight.pid = message.pid
        if message.waits:
            if flight is not None:
                self._at_the_door[message.pid] = course, flight
            self._let_in(self._leave.ask(course.number, message.pid))
        elif flight is not None:
            self._at_work(course, flight)

    def _let_in(self, pids: Iterable[int]) -> None:
        for pid in pids:
            self._beacon.give_leave(pid)
            course, flight = self._at_the_door.pop(pid, (None, None))
            if course is not None and flight is not None and flight.chunk in course.feed.flights:
                self._at_work(course, flight)

    def _at_work(self, course: Course, flight: Flight) -> None:
        """Only now its calls run, and their time with them: a wait for leave is not theirs."""
        flight.begun_at = monotonic()
        self._publish(
            events.ChunkStarted(
                stage=course.chain.stages[flight.step],
                chunk=flight.chunk,
                first=flight.calls.indices[0],
                calls=len(flight.calls),
                pid=flight.pid or 0,
            )
        )

    def _reached(self, message: StepReached) -> None:
        flight = self._find(message.chunk).feed.flights.get(message.chunk)
        if flight is not None:
            flight.reached = message.step

    def _said(self, message: LinesSaid) -> None:
        course = self._find(message.chunk)
        flight = course.feed.flights.get(message.chunk)
        for position, stream, line in message.lines:
            index = None if flight is None or position is None else flight.calls.indices[position]
            stage = course.chain.stages[flight.at if flight is not None else 0]
            if index is not None:
                course.said.setdefault(index, deque(maxlen=SAID)).append(line)
            self._publish(events.Printed(stage=stage, index=index, stream=stream, line=line))

    def _over(self, message: ChunkOver) -> None:
        self._give_leave(message.pid)
        course = self._find(message.chunk)
        course.last_news = monotonic()
        flight = course.feed.flights.get(message.chunk)
        if flight is None or course.over:
            return  # told before, or owed to nobody any more
        ended = len(flight.calls)
        for outcome in message.outcomes:
            match outcome:
                case Done():
                    self._done(course, flight, outcome)
                case Failed(step, position, failure, carried):
                    call = Owed(flight.calls.cut(position, position + 1), flight.step)
                    self._call_failed(course, call, step, failure, carried)
                case Rest(start):
                    ended = start
                    course.feed.again(Owed(flight.calls.cut(start, len(flight.calls)), flight.step))
                case _:
                    assert_never(outcome)
        course.sizes.learn(ended, message.took_s)
        course.progress += ended
        if course.said:
            for index in flight.calls.indices:
                course.said.pop(index, None)
        # Only now: whoever asks whether anything is in flight must find what follows from it first.
        course.feed.landed(message.chunk)
        self._publish(
            events.ChunkEnded(
                stage=course.head.spec.name, chunk=message.chunk, calls=ended, took_s=message.took_s, pid=message.pid
            )
        )

    def _done(self, course: Course, flight: Flight, done: Done) -> None:
        indices = flight.calls.indices[done.start : done.stop]
        numbers = indices if isinstance(indices, range) else tuple(indices)
        size = 0 if done.data is None else len(done.data)
        self._publish(
            events.CallsDone(stage=course.chain.stages[done.step], chunk=flight.chunk, indices=numbers, size_bytes=size)
        )
        last = done.step == len(course.stages) - 1
        if self._record is not None and (last or done.data is not None):
            digests = flight.calls.cut(done.start, done.stop).digests
            self._record.keep(course.chain.stages[done.step], indices, digests, done.data)
        if done.data is None:
            return
        at = 0
        for run in runs(indices):
            course.results[done.step].put(run, Pack(done.data, at, at + len(run), fresh=True))
            at += len(run)

    def _call_failed(self, course: Course, owed: Owed, step: int, failure: Failure, carried: bytes | None) -> None:
        """A call failed at a step: it is tried again, or it has failed for good.

        `carried` is what that step was given; without it, the call begins again where it began.
        """
        (index,) = owed.calls.indices
        stage = course.stages[step].spec
        course.tries[step, index] += 1
        course.progress += 1
        tries = course.tries[step, index]
        said = tuple(course.said.pop(index, ()))
        wait_s = again_after(stage.retry, failure, tries, random.random)
        if wait_s is not None and not course.cancelled:
            if carried is not None:
                owed = Owed(replace(owed.calls, columns=((Pack(carried, 0, 1),),), keywords=None), step)
            course.feed.again(replace(owed, most=1, after=monotonic() + wait_s))
            self._publish(
                events.CallRetried(
                    stage=stage.name,
                    index=index,
                    tries=tries,
                    limit=stage.retry.limit + 1,
                    wait_s=wait_s,
                    failure=failure,
                )
            )
            return
        self._publish(
            events.CallFailed(
                stage=stage.name,
                index=index,
                tries=tries,
                failure=failure,
                argument=argument_in_short(owed.calls, carried),
                said=said,
            )
        )
        if self._record is not None:
            given = owed.calls if carried is None else Calls(owed.calls.indices, ((Pack(carried, 0, 1),),))
            self._record.given(stage.name, index, given)
        for later in course.chain.stages[step:]:
            self._drop(later, index)
        if stage.on_error is not OnError.SKIP:
            course.failed = True
            if stage.on_error is OnError.STOP:
                self._stop()

    def _drop(self, stage: StageName, index: int) -> None:
        """This call, and those that other stages would have made of its value, will not be."""
        todo = [stage]
        while todo:
            name = todo.pop()
            if self.results[name].dropped(index):
                continue
            self.results[name].drop(index)
            todo += [edge.target for edge in self.plan.readers(name) if self._goes_through(name, edge.target)]

    def _goes_through(self, source: StageName, target: StageName) -> bool:
        """Whether each call of the source makes one call of the target."""
        over = self.plan.stages[target].spec.over
        columns = over.columns if isinstance(over, Zip) else (over,)
        reads = any(isinstance(column, FromStage) and column.stage == source for column in columns)
        return reads and self.plan.stages[source].spec.over is not None

    # Deaths.

    def _gone(self, message: WorkerGone) -> None:
        self._give_leave(message.pid)
        course = next((c for c in self._running.values() if c.lease and c.lease.number == message.lease), None)
        if course is None:
            return  # an idle worker of a warm pool, or one that we ended
        course.last_news = monotonic()
        flights = [flight for flight in course.feed.flights.values() if flight.pid == message.pid]
        exitcode = self._exitcode(course, message.pid, wait=bool(flights))
        if not flights:
            # Processes come and go by themselves when they are recycled; only a bad end says that something is wrong.
            retired = course.head.spec.max_calls_per_worker is not None
            if exitcode not in (0, None) and course.ending is None and not retired:
                self._sicken(course)
            return
        self._pools.end_orphans()
        for flight in flights:
            self._lost(course, flight, message.pid, exitcode)
        self._sicken(course)

    def _lost(self, course: Course, flight: Flight, pid: int, exitcode: int | None) -> None:
        """A worker died with this chunk. Its one call is blamed; of several, smaller chunks will show which."""
        chunk, sentence = course.sentenced.pop(pid, (None, None))
        if chunk != flight.chunk:
            sentence = None
        innocent = sentence is None and (
            course.ending is not None or blame.fell_with_another(exitcode, self._another_died(course, pid, exitcode))
        )
        if innocent:
            course.feed.again(Owed(flight.calls, flight.step))
        else:
            self._publish(
                events.WorkerDied(
                    stage=course.chain.stages[flight.at],
                    pid=pid,
                    exitcode=exitcode,
                    calls=_numbers(flight.calls),
                )
            )
            if len(flight.calls) == 1:
                failure = sentence or blame.death(pid, exitcode)
                self._call_failed(course, Owed(flight.calls, flight.step), flight.at, failure, None)
            else:
                course.progress += 1
                most = -(-len(flight.calls) // SPLIT)
                course.feed.again(Owed(flight.calls, flight.step, most=most))
        course.feed.landed(flight.chunk)

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
        deadline = monotonic() + EXITCODE_S
        pause = threading.Event()
        while True:
            exitcode = course.lease.exitcode(pid)
            if exitcode is not None or not wait or monotonic() > deadline:
                return exitcode
            pause.wait(0.005)

    def _sicken(self, course: Course) -> None:
        """Its pool is not to be trusted any more: let those at work finish, then replace it."""
        course.sick = True
        course.feed.close()

    def _give_leave(self, pid: int) -> None:
        self._at_the_door.pop(pid, None)
        self._let_in(self._leave.done(pid))

    # Looking after the rounds.

    def _look_after(self) -> None:
        now = monotonic()
        for course in list(self._running.values()):
            self._enforce_limits(course, now)
            if course.ended is not None:
                self._settle(course, now)
            elif course.ending is None and self._stuck(course, now):
                self._break_off(course)
            elif course.cancelled and course.head.choice.backend.in_process and now - course.ending_at > ABANDON_S:
                # Nothing can end a call in our own process; its thread does not keep us from leaving.
                self._end(course, Status.FAILED if course.failed else Status.CANCELLED)

    def _enforce_limits(self, course: Course, now: float) -> None:
        """End the workers of calls that took too long or too much, with all that they have started."""
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
            elif weigh and limit and (held := limits.resident_bytes(pid)) > limit:
                course.sentenced[pid] = flight.chunk, blame.too_large(pid, limit, held)
            else:
                continue
            limits.kill_tree(pid)

    def _stuck(self, course: Course, now: float) -> bool:
        """Whether nothing more will come of this round by itself."""
        if not course.feed.flights:
            if course.sick:
                return True
            return course.feed.finished and now - course.last_news > RECEIPTS_S
        return course.sick and not course.begun and now - course.last_news > STALL_S

    def _break_off(self, course: Course) -> None:
        """End the round's pool; its method then gives up, and the round is over."""
        course.ending = threading.Event()
        course.ending_at = monotonic()
        course.feed.close()
        if course.lease is not None:
            self._pools.discard(course.lease)

    def _round_over(self, message: RoundOver) -> None:
        course = self._courses[message.course]
        if course.round != message.round or course.over:
            return
        course.ended = (message.error,)
        course.ended_at = monotonic()
        course.feed.close()
        self._settle(course, course.ended_at)

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
                self._pools.give_back(course.lease)
            else:
                course.ending = threading.Event()
                self._pools.discard(course.lease)
        for flight in list(course.feed.flights.values()):
            course.feed.again(Owed(flight.calls, flight.step))
            course.feed.landed(flight.chunk)
        self._conclude(course, error)

    def _news_due_s(self, course: Course, error: BaseException | None) -> float:
        """How long a round that has ended may owe us news of its chunks.

        Receipts and news come by different ways, and either may be first. After an orderly end all
        chunks have been told, so their news is surely on its way; after a broken one, that of chunks
        which nobody began will never come.
        """
        if course.head.choice.backend.in_process:
            return 0.0  # what calls of this process say is in the inbox before their method knows
        if error is None and not course.sick and course.ending is None:
            return RECEIPTS_S
        return STALL_S if course.begun else LAG_S

    def _conclude(self, course: Course, error: BaseException | None) -> None:
        """After a round: the next one, or the end."""
        if course.feed.error is not None:
            self._fail_stage(course, failure_of(course.feed.error, Cause.RAISED))
            return
        if course.cancelled:
            self._end(course, Status.FAILED if course.failed else Status.CANCELLED)
            return
        if course.feed.finished:
            self._end(course, Status.FAILED if course.failed else Status.DONE)
            return
        course.barren = 0 if course.progress else course.barren + 1
        if course.barren >= BARREN:
            broken = error or RuntimeError("its workers die before they begin a call")
            self._fail_stage(course, failure_of(broken, Cause.LOST))
            return
        if error is not None or course.sick:
            why = f"{type(error).__name__}: {error}" if error is not None else "a worker died"
            self._publish(events.PoolReplaced(stage=course.head.spec.name, why=why))
        self._begin_round(course)

    # Ends.

    def _end(self, course: Course, status: Status) -> None:
        course.over = True
        self._left -= 1
        self._running.pop(course.number, None)
        took_s = 0.0 if course.started_at is None else monotonic() - course.started_at
        self._beacon.withdraw(course.number)
        total = course.feed.total if hasattr(course, "feed") else 0
        for place, (name, results) in enumerate(zip(course.chain.stages, course.results, strict=True)):
            of_stage = self._stage_status(status, course, place)
            results.same = of_stage is Status.DONE and self._all_kept(course, place, total)
            if results.same:
                of_stage = Status.REUSED
            if of_stage in ENDED_WELL and self.state.stages[name].calls is None:
                self._publish(events.CallsKnown(stage=name, calls=total))
            self._publish(events.StageEnded(stage=name, status=of_stage, took_s=took_s))
            results.end(total, None if of_stage in ENDED_WELL else lambda name=name: StageUnfinished(name, self.state))  # type: ignore[misc]
            if of_stage not in ENDED_WELL:
                self._cancel_readers(name, of_stage)
        self._schedule.ended(course.chain)
        for name in course.chain.stages:
            self._forget_read(name)

    def _all_kept(self, course: Course, place: int, total: int) -> bool:
        """Whether every call of a stage was kept from an earlier run, which had these and no others."""
        if not course.earlier or self.state.stages[course.chain.stages[place]].reused != total:
            return False
        kept = course.earlier[-1] if course.earlier[place] is None else course.earlier[place]
        return kept is not None and kept.calls == total

    def _stage_status(self, status: Status, course: Course, place: int) -> Status:
        """A chain fails as a whole, but only the stage that had the failure is called failed.

        A single call that failed, where failures are skipped, leaves its stage without a value: the
        stage is skipped, and so is what depends on it.
        """
        head = course.head.spec
        if status is Status.DONE and head.over is None and self.state.stages[head.name].failed:
            return Status.SKIPPED
        if status is not Status.FAILED:
            return status
        failed_at = [at for at, name in enumerate(course.chain.stages) if self.state.stages[name].failed]
        at = failed_at[0] if failed_at else 0  # none of its calls: the stage as a whole, which is its head
        if place == at:
            return Status.FAILED
        return Status.DONE if place < at else Status.CANCELLED

    def _forget_read(self, ended: StageName) -> None:
        """Values that nobody will read any more need no memory."""
        for edge in self.plan.sources(ended):
            self._unread[edge.source] -= 1
            if not self._unread[edge.source] and not self._keep(edge.source):
                self.results[edge.source].forget()

    def _fail_stage(self, course: Course, failure: Failure) -> None:
        """The stage as a whole failed, not one of its calls."""
        name = course.head.spec.name
        if hasattr(course, "feed"):
            course.feed.give_up()
        self._publish(events.CallFailed(stage=name, index=-1, tries=1, failure=failure))
        course.failed = True
        self._end(course, Status.FAILED)
        if course.head.spec.on_error is not OnError.FINISH:
            self._stop()

    def _cancel_readers(self, stage: StageName, status: Status) -> None:
        """What needs a stage that did not end well cannot run: it is skipped with it, or cancelled."""
        status = Status.SKIPPED if status is Status.SKIPPED else Status.CANCELLED
        self._doomed += [(self._course_of[edge.target], status) for edge in self.plan.readers(stage)]

    def _cancel_doomed(self) -> None:
        """One after the other, not one within the other: a line of stages may be longer than Python's stack."""
        while self._doomed:
            course, status = self._doomed.popleft()
            if not course.over:
                self._cancel_course(course, status)

    def _cancel_course(self, course: Course, status: Status = Status.CANCELLED) -> None:
        if course.cancelled:
            return
        course.cancelled = True
        if course.started_at is None:
            self._end(course, status)
            return
        course.feed.give_up()
        if course.ending is None and course.ended is None:
            self._break_off(course)

    def _stop(self) -> None:
        """A failure ends the run: what runs is cancelled, what waits never begins."""
        if self._stopped:
            return
        self._stopped = True
        for course in self._courses:
            if not course.over:
                self._cancel_course(course)

    def _cancel(self, message: Cancel) -> None:
        if self._cancelled is not None:
            return
        self._cancelled = message
        for course in self._courses:
            if not course.over:
                self._cancel_course(course)

    def _end_all(self, status: Status) -> None:
        for course in self._courses:
            if not course.over:
                if course.started_at is not None and hasattr(course, "feed"):
                    course.feed.give_up()
                self._end(course, status)

    def _status(self) -> Status:
        statuses = {stage.status for stage in self.state.stages.values()}
        if self._cancelled is not None:
            return Status.INTERRUPTED
        if Status.FAILED in statuses:
            return Status.FAILED
        if Status.CANCELLED in statuses:
            return Status.INTERRUPTED
        return Status.PARTIAL if self.state.failures else Status.DONE

    # Who reads what.

    def _kept(self, name: StageName, keep: Callable[[StageName], bool]) -> bool:
        if self.plan.stages[name].choice.returns is Returns.NONE:
            return False
        return keep(name) or any(edge.kind is EdgeKind.BARRIER for edge in self.plan.readers(name))

    def _wanted(self, name: StageName, course: Course) -> bool:
        """Whether anyone but the next stage of its own chain reads a stage's values."""
        if self._kept(name, self._keep):
            return True
        return any(
            self._course_of[e.target] is not course for e in self.plan.readers(name) if e.kind is not EdgeKind.ORDER
        )

    def moved(self) -> None:
        """A reader has drawn: whoever waits for room looks again."""
        with self.lock:
            self.lock.notify_all()


def _refused(course: Course, chunk: int, error: BaseException) -> ChunkOver:
    """A chunk of one call whose argument cannot be sent, as if a worker had told it."""
    failure = failure_of(error, Cause.RAISED)
    lease = course.lease.number if course.lease else 0
    return ChunkOver(lease, chunk, os.getpid(), [Failed(0, 0, failure, None)], 0.0)


def _numbers(calls: Calls) -> tuple[int, ...] | range:
    return calls.indices if isinstance(calls.indices, range) else tuple(calls.indices)
