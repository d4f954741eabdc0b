"""Runs a plan: start what is ready, take one message, publish what it means; until all is over.

This thread alone decides and changes state. Drivers, beacon and signal handlers put messages in its
inbox and do nothing else.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import count
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, assert_never

from pipeline_runner import events
from pipeline_runner.axes import OnError, Status
from pipeline_runner.calls import Cause, Failed, Failure, Ticket
from pipeline_runner.engine.beacon import Beacon
from pipeline_runner.engine.books import Books, Listener
from pipeline_runner.engine.chaos import Chaos
from pipeline_runner.engine.chunks import Sizes
from pipeline_runner.engine.course import Course
from pipeline_runner.engine.feed import Feed, Flight, Owed
from pipeline_runner.engine.inputs import RunNames, StageUnfinished, Values, constants_of, intake_of
from pipeline_runner.engine.intake import Intake
from pipeline_runner.engine.jobs import job
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
    WorkerRefused,
)
from pipeline_runner.engine.outcomes import Outcomes
from pipeline_runner.engine.places import Writing, names
from pipeline_runner.engine.reuse import Before, NotThere, Reusing
from pipeline_runner.engine.rounds import Rounds
from pipeline_runner.engine.schedule import Schedule
from pipeline_runner.errors import TooFewDescriptors, told_plainly
from pipeline_runner.plan.plan import Plan
from pipeline_runner.record.record import Record
from pipeline_runner.spec.pipeline import StageName
from pipeline_runner.state import RunState
from pipeline_runner.worker.failures import failure_of
from pipeline_runner.worker.functions import add_to_path

ABANDON_S = 0.2  # a cancelled call in the runner's own process is waited for so long
BARREN = 3  # rounds in a row that may break without having got anywhere
AT_ONCE = 256  # messages taken in one turn, and written down in one commit
ENDED_WELL = (Status.DONE, Status.REUSED)


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
        chaos: Chaos | None = None,
    ) -> None:
        self.plan = plan
        self.id = run
        self._folder = folder  # makes ${run.dir} when it is first asked for
        self._books = Books(plan, keep, listeners, record)
        self.state, self.results, self.lock = self._books.state, self._books.results, self._books.lock
        self.kept, self.moved = self._books.kept, self._books.moved
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._running: dict[int, Course] = {}  # by number, in the order of their start
        self._outcomes = Outcomes(self._books, self._stop)
        self._rounds = Rounds(
            self._books, self._outcomes, self._running, tell=self._inbox.put, over=self._conclude, chaos=chaos
        )
        self._chaos = chaos
        self._leave = Leave(plan)
        self._at_the_door: dict[int, tuple[Course, Flight]] = {}  # by pid: who waits for leave
        self._schedule = Schedule(plan, [course.chain for course in self._books.courses])
        self._left = len(self._books.courses)
        self._doomed: deque[tuple[Course, Status]] = deque()  # to be cancelled: a source did not end well
        self._cancelled: Cancel | None = None
        self._refused: WorkerRefused | None = None
        self._stopped = False  # a failure stopped the run

    # What others may do: put a message in the inbox.

    def cancel(self, by_signal: int | None = None) -> None:
        """End the run soon. May be called from any thread and from a signal handler."""
        self._inbox.put(Cancel(by_signal))

    def kill_all(self) -> None:
        """End every worker now, in no order, before the runner itself leaves at once."""
        self._rounds.pools.kill_processes()

    @property
    def interrupted_by(self) -> int | None:
        return self._cancelled.signal if self._cancelled else None

    # The loop.

    def run(self) -> RunState:
        """Run to the end, and leave no process behind whatever the end is."""
        began = monotonic()
        # Values may be of the project's own classes, and are read back here.
        add_to_path(os.path.abspath(self.plan.pipeline.folder))
        self._beacon = Beacon(self._inbox.put)
        try:
            self._books.publish(
                events.RunStarted(
                    run=self.id,
                    pipeline=self.plan.pipeline.name,
                    workers=self.plan.workers,
                    stages=tuple(self.plan.stages),
                )
            )
            record = self._books.record
            for event in record.news() if record is not None else ():
                self._books.publish(event)
            self._books.commit()
            self._start_ready()
            self._books.commit()
            while self._left:
                self._turn()
        except BaseException as error:
            if isinstance(error, Exception):  # a listener's, the journal's, or ours: nobody is asked to hear the end
                self._books.abandon()
            self._end_all(Status.CANCELLED)
            raise
        finally:
            self._rounds.pools.close()
            self._beacon.close()
            if self.state.status is None:
                for event in self._books.record.last_news() if self._books.record is not None else ():
                    self._books.publish(event)
                self._books.publish(events.RunEnded(status=self._status(), took_s=monotonic() - began))
            self._books.close()
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
        self._books.commit()

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
                self._outcomes.over(message)
                self._give_leave(message.pid)
            case CallsKept():
                self._outcomes.kept(message)
            case LinesSaid():
                self._outcomes.said(message)
            case WorkerGone():
                self._rounds.gone(message)
                self._give_leave(message.pid)
            case RoundOver():
                self._rounds.ended(message)
            case PoolOpened():
                self._rounds.opened(message)
            case Cancel():
                self._cancel(message)
            case WorkerHere():
                self._rounds.here(message)
            case WorkerRefused():
                self._refused = message
            case Nudge():
                pass
            case _:
                assert_never(message)

    def _patience(self) -> float:
        """How long nothing may arrive before we look for ourselves."""
        now = monotonic()
        return max(0.001, min([self._rounds.patience_s(course, now) for course in self._running.values()], default=0.5))

    def _look_after(self) -> None:
        now = monotonic()
        for course in list(self._running.values()):
            self._rounds.look_after(course, now)
            abandoned = course.cancelled and course.head.choice.backend.in_process and course.ended is None
            if abandoned and not course.over and now - course.ending_at > ABANDON_S:
                # Nothing can end a call in our own process; its thread does not keep us from leaving.
                self._end(course, Status.FAILED if course.failed else Status.CANCELLED)

    # Starting.

    def _start_ready(self) -> None:
        """Start chains whose sources are there, while there are workers for them."""
        self._cancel_doomed()
        while (number := self._schedule.next(self._busy())) is not None:
            course = self._books.courses[number]
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
            writing = Writing(head.spec, self.plan.pipeline.folder, self._books.taken) if head.spec.outs else None
            if writing is not None and head.spec.over is None:
                scope |= names(writing.places(0, None))  # its `with` may be a list, which is filled in only here
            constants = [constants_of(plan.spec, scope) for plan in course.stages]
            intake, calls = self._intake(course, constants[0].per_call, writing)
            described = job(
                self.plan.pipeline,
                course.stages,
                [given.fixed for given in constants],
                [self._books.wanted(name) for name in course.chain.stages],
            )
        except Exception as error:  # a user's value that does not unpickle, a source that is not there, dill's errors
            self._fail_stage(course, failure_of(told_plainly(error), Cause.RAISED))
            return
        for plan in course.stages:
            self._books.publish(
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
            numbers=count(course.number, len(self._books.courses)),
        )
        self._rounds.begin(course, calls)

    def _intake(self, course: Course, varying: Mapping[str, Any], writing: Writing | None) -> tuple[Intake, int | None]:
        """What the chain's calls are drawn from: without those that need not be made."""
        record, stages, head = self._books.record, course.chain.stages, course.head
        reads = [self._books.read(plan.spec) for plan in course.stages]
        if record is None:
            return intake_of(self.plan, head, varying, self.results, self.moved, writing=writing)
        course.salts = [self._books.salt(plan.spec) + read for plan, read in zip(course.stages, reads, strict=True)]
        intake, calls = intake_of(
            self.plan,
            head,
            varying,
            self.results,
            self.moved,
            record.tell_apart,
            course.salts[0],
            writing=writing,
            files=lambda deps: record.deps_of_call(head.spec.name, deps),
        )
        before = [
            Before(record.earlier(name, wanted=wanted or name is not stages[-1]), wanted, salt)
            for name, salt in zip(stages, course.salts, strict=True)
            for wanted in [self._books.wanted(name)]
        ]
        taken = sum(name in self.plan.taken for name in stages)
        course.reuses = any(step.kept is not None for step in before)
        if not course.reuses and not taken:
            return intake, calls
        tell = lambda reused: self._inbox.put(CallsKept(course.number, reused))  # noqa: E731
        go_on = lambda calls, step: course.feed.again(Owed(calls, step))  # noqa: E731
        refuse = lambda step, index: NotThere(stages[step], index, record.why_unknown(stages[step]))  # noqa: E731
        return Reusing(intake, before, tell, go_on, taken=taken, refuse=refuse), calls

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

    # Who may begin, and who has.

    def _begun(self, message: ChunkBegun) -> None:
        course = self._books.find(message.chunk)
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
        stage = course.chain.stages[flight.step]
        self._books.publish(
            events.ChunkStarted(
                stage=stage,
                chunk=flight.chunk,
                first=flight.calls.indices[0],
                calls=len(flight.calls),
                pid=flight.pid or 0,
            )
        )
        if self._chaos is not None and flight.pid is not None and self._chaos.strike(flight.pid):
            self._books.publish(events.WorkerStruck(stage=stage, pid=flight.pid))

    def _give_leave(self, pid: int) -> None:
        self._at_the_door.pop(pid, None)
        self._let_in(self._leave.done(pid))

    def _reached(self, message: StepReached) -> None:
        flight = self._books.find(message.chunk).feed.flights.get(message.chunk)
        if flight is not None:
            flight.reached = message.step

    # Ends.

    def _conclude(self, course: Course, error: BaseException | None) -> None:
        """After a round: the next one, or the end."""
        if course.feed.error is not None:
            self._fail_stage(course, failure_of(told_plainly(course.feed.error), Cause.RAISED))
            return
        if course.cancelled:
            self._end(course, Status.FAILED if course.failed else Status.CANCELLED)
            return
        if course.feed.finished:
            self._end(course, Status.FAILED if course.failed else Status.DONE)
            return
        course.barren = 0 if course.progress else course.barren + 1
        if course.barren >= BARREN:
            refused = None if self._refused is None else TooFewDescriptors(self._refused.limit)
            broken = refused or error or RuntimeError("its workers die before they begin a call")
            # Every frame of it is ours or the library's: the users' calls tell of themselves.
            self._fail_stage(course, replace(failure_of(told_plainly(broken), Cause.LOST), traceback=""))
            return
        if error is not None or course.sick:
            why = f"{type(error).__name__}: {error}" if error is not None else "a worker died"
            self._books.publish(events.PoolReplaced(stage=course.head.spec.name, why=why))
        self._rounds.begin(course)

    def _end(self, course: Course, status: Status) -> None:
        course.over = True
        self._left -= 1
        self._running.pop(course.number, None)
        took_s = 0.0 if course.started_at is None else monotonic() - course.started_at
        self._beacon.withdraw(course.number)
        total = course.feed.total if hasattr(course, "feed") else 0
        for place, (name, results) in enumerate(zip(course.chain.stages, course.results, strict=True)):
            of_stage = self._stage_status(status, course, place)
            if of_stage is Status.DONE and 0 < total == self.state.stages[name].reused:
                of_stage = Status.REUSED
            if of_stage in ENDED_WELL and self.state.stages[name].calls is None:
                self._books.publish(events.CallsKnown(stage=name, calls=total))
            done = self.state.stages[name].done
            self._books.publish(events.StageEnded(stage=name, status=of_stage, took_s=took_s, done=done))
            results.end(total, None if of_stage in ENDED_WELL else lambda name=name: StageUnfinished(name, self.state))  # type: ignore[misc]
            if of_stage not in ENDED_WELL:
                self._cancel_readers(name, of_stage)
        self._schedule.ended(course.chain)
        for name in course.chain.stages:
            self._books.forget_read(name)

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

    def _fail_stage(self, course: Course, failure: Failure) -> None:
        """The stage as a whole failed, not one of its calls."""
        name = course.head.spec.name
        if hasattr(course, "feed"):
            course.feed.give_up()
        self._books.publish(events.CallFailed(stage=name, index=-1, tries=1, failure=failure))
        course.failed = True
        self._end(course, Status.FAILED)
        if course.head.spec.on_error is not OnError.FINISH:
            self._stop()

    def _cancel_readers(self, stage: StageName, status: Status) -> None:
        """What needs a stage that did not end well cannot run: it is skipped with it, or cancelled."""
        status = Status.SKIPPED if status is Status.SKIPPED else Status.CANCELLED
        self._doomed += [(self._books.course_of[edge.target], status) for edge in self.plan.readers(stage)]

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
            self._rounds.break_off(course)

    def _stop(self) -> None:
        """A failure ends the run: what runs is cancelled, what waits never begins."""
        if self._stopped:
            return
        self._stopped = True
        for course in self._books.courses:
            if not course.over:
                self._cancel_course(course)

    def _cancel(self, message: Cancel) -> None:
        if self._cancelled is not None:
            return
        self._cancelled = message
        for course in self._books.courses:
            if not course.over:
                self._cancel_course(course)

    def _end_all(self, status: Status) -> None:
        for course in self._books.courses:
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


def _refused(course: Course, chunk: int, error: BaseException) -> ChunkOver:
    """A chunk of one call whose argument cannot be sent, as if a worker had told it."""
    failure = failure_of(error, Cause.RAISED)
    lease = course.lease.number if course.lease else 0
    return ChunkOver(lease, chunk, os.getpid(), [Failed(0, 0, failure, None)], 0.0)
