"""Runs a plan: start what is ready, hear what is new, publish what it means; until all is over.

This thread alone decides and changes state, and it hears the workers itself. Drivers and signal handlers put messages
in its inbox and do nothing else.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic, time

from pipeline_runner import events, forking
from pipeline_runner.axes import OnError, Status
from pipeline_runner.calls import Calls, Cause, Failed, Failure, Ticket
from pipeline_runner.classes import replace
from pipeline_runner.engine.arena import Arena
from pipeline_runner.engine.beacon import Beacon
from pipeline_runner.engine.books import Books, Listener
from pipeline_runner.engine.chunks import Sizes
from pipeline_runner.engine.course import Course
from pipeline_runner.engine.feed import Feed, Flight, Owed
from pipeline_runner.engine.inbox import Inbox
from pipeline_runner.engine.inputs import RunNames, StageUnfinished, Values, constants_of, in_its_folder, intake_of
from pipeline_runner.engine.intake import Intake
from pipeline_runner.engine.jobs import job, job_of_each, step_of
from pipeline_runner.engine.lane import AHEAD, Lane, Loads, Passenger, Waiting
from pipeline_runner.engine.leave import Leave
from pipeline_runner.engine.messages import (
    CallsKept,
    Cancel,
    ChunkBegun,
    ChunkLost,
    ChunkOver,
    LinesSaid,
    Message,
    PoolOpened,
    RoundOver,
    StepReached,
    WorkerGone,
    WorkerHere,
    WorkerRefused,
)
from pipeline_runner.engine.outcomes import Outcomes
from pipeline_runner.engine.reuse import Before, NotThere, Reusing, at_hand
from pipeline_runner.engine.rounds import Rounds
from pipeline_runner.engine.schedule import Schedule
from pipeline_runner.engine.verdict import ENDED_WELL, FOLLOWS, verdict
from pipeline_runner.errors import ClusterUnreachable, TooFewDescriptors, told_plainly
from pipeline_runner.methods import Cluster
from pipeline_runner.plan.plan import Plan
from pipeline_runner.plan.skips import is_off
from pipeline_runner.record.deps import varying
from pipeline_runner.record.inputs import numbered
from pipeline_runner.record.lineage import deepened
from pipeline_runner.record.record import Record
from pipeline_runner.spec.pipeline import StageName
from pipeline_runner.state import RunState, failure_told
from pipeline_runner.typed import TYPE_CHECKING, Any, assert_never
from pipeline_runner.worker.failures import failure_of
from pipeline_runner.worker.functions import add_to_path
from pipeline_runner.worker.job import Job, Step
from pipeline_runner.worker.perform import pack_payload

if TYPE_CHECKING:
    from pipeline_runner.engine.chaos import Chaos
    from pipeline_runner.engine.places import Taken, Writing
    from pipeline_runner.spec.pipeline import StageSpec

ABANDON_S = 0.2  # a cancelled call in the runner's own process is waited for so long
BARREN = 3  # rounds in a row that may break without having got anywhere
AT_ONCE = 256  # messages taken in one turn, and written down in one commit


class Engine:
    """One run of one plan."""

    def __init__(
        self,
        plan: Plan,
        *,
        run: str,
        folder: Callable[[], str],  # makes ${run.dir} when it is first asked for
        keep: Callable[[StageName], bool],
        listeners: Iterable[Listener] = (),
        record: Record | None = None,
        chaos: Chaos | None = None,
        live: bool = False,  # somebody may read values while it runs, in the order of the calls
    ) -> None:
        self.plan = plan = plan.with_hooks()
        self.id = run
        self._books = Books(plan, keep, listeners, record)
        self.state, self.results, self.lock = self._books.state, self._books.results, self._books.lock
        self.kept, self.moved, self.mask = self._books.kept, self._books.moved, self._books.mask
        self._inbox = Inbox()
        self._arena = Arena()
        self._running: dict[int, Course] = {}  # by number, in the order of their start
        self._outcomes = Outcomes(self._books, self._stop, self._arrived)
        self._rounds = Rounds(
            self._books, self._outcomes, self._running, tell=self._inbox.put, over=self._conclude, chaos=chaos
        )
        self._names = RunNames(run, folder)
        self._whole, self._partial = (Values(plan, self.results, partial=partial) for partial in (False, True))
        self._chaos = chaos
        self._live = live
        chains = [course.chain for course in self._books.courses]
        self._leave = Leave(plan, chains, [lane.members for lane in self._books.lanes])
        self._at_the_door: dict[int, tuple[Course, Flight | None, int]] = {}  # by chunk: who waits for leave, its pid
        self._asked_by: dict[int, int] = {}  # by pid: the chunk that it asked for last
        self._times = {} if record is None else record.times()
        self._schedule = Schedule(plan, chains, {name: work.s for name, work in self._times.items()})
        self._hooks = [course for course in self._books.courses if course.head.spec.hook]
        self._left = len(chains) - len(self._hooks)
        self._doomed: deque[tuple[Course, Status]] = deque()  # at work, and to be cancelled: a source did not end well
        self._ended: Status | None = None  # how the stages ended, when the hooks are to follow
        self._cancelled: Cancel | None = None
        self._refused: WorkerRefused | None = None
        self._stopped = False  # a failure stopped the run
        self._more_ready = False  # than were started in this turn

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
        folders = {self.plan.pipeline.folder_of(stage.spec) for stage in self.plan.stages.values()}
        for folder in (*folders, self.plan.pipeline.folder):
            add_to_path(os.path.abspath(folder))
        self._beacon = Beacon(self._inbox.put, self._arena, self._inbox.bell())
        try:
            self._books.publish(
                events.RunStarted(
                    run=self.id,
                    pipeline=self.plan.pipeline.name,
                    workers=self.plan.workers,
                    stages=tuple(name for name in self.plan.stages if name not in self.plan.hooks),
                    hooks=tuple(self.plan.hooks),
                )
            )
            record = self._books.record
            for event in record.news() if record is not None else ():
                self._books.publish(event)
            self._books.commit()
            self._skip_known()
            self._start_ready()
            self._books.commit()
            while self._left or any(lane.number in self._running for lane in self._books.lanes):
                self._turn()
            self._run_hooks()
        except BaseException as error:
            if isinstance(error, Exception):  # a listener's, the journal's, or ours: nobody is asked to hear the end
                self._books.abandon()
            self._end_all(Status.CANCELLED)
            raise
        finally:
            self._rounds.pools.close()
            forking.hurry_no_more(self)
            self._inbox.close()
            self._beacon.close()
            self._arena.retire()
            self._sweep()
            if self.state.status is None:
                for event in self._books.record.last_news() if self._books.record is not None else ():
                    self._books.publish(event)
                self._books.publish(events.RunEnded(status=self._status(), took_s=monotonic() - began))
            self._books.close()
        return self.state

    def _sweep(self) -> None:
        """Take away what calls that did not come to their end have left of the files that they write."""
        if self._books.taken and self._status() is not Status.DONE:
            from pipeline_runner.worker.outs import sweep  # here since the first of these was named

            sweep(self._books.taken)

    def _turn(self) -> None:
        """Wait for news, take it and all that has come meanwhile, and commit what it meant at once: the more there is
        to do, the fewer commits it takes."""
        patience_s = self._patience() if not self._more_ready and self._inbox.fall_asleep() else 0.0
        self._beacon.hear(patience_s, self._inbox.wake_up)
        for _ in range(AT_ONCE):
            message = self._inbox.take()
            if message is None:
                break
            self._take(message)
        self._look_after()
        self._start_ready()
        self._books.commit()

    def _take(self, message: Message) -> None:
        match message:
            case ChunkBegun():
                self._begun(message)
            case StepReached():
                self._reached(message)
            case ChunkOver():
                self._begun_unsaid(message)
                self._outcomes.over(message)
                self._give_leave(message.chunk)
            case ChunkLost():
                self._rounds.lost(message)
            case CallsKept():
                self._outcomes.kept(message)
            case LinesSaid():
                self._outcomes.said(message)
            case WorkerGone():
                self._rounds.gone(message)
                if (asked := self._asked_by.pop(message.pid, None)) is not None:
                    self._give_leave(asked)
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
            backend = course.head.choice.backend
            starts = not backend.local and course.lease is None  # its cluster, which ends with us even then
            abandoned = course.cancelled and (backend.in_process or starts) and course.ended is None
            if abandoned and not course.over and now - course.ending_at > ABANDON_S:
                # Nothing can end a call in our own process, or the start of a cluster; their threads do not keep us.
                self._end(course, Status.FAILED if course.failed else Status.CANCELLED)

    # Starting.

    def _start_ready(self) -> None:
        """Start chains whose sources are there, while there are workers for them."""
        self._cancel_doomed()
        self._more_ready = False
        taken = 0
        while (number := self._schedule.next(self._busy)) is not None:
            course = self._books.courses[number]
            if not course.over:
                self._start(course)
                self._cancel_doomed()
            taken += 1
            # Those that need not run end at once, and it may be thousands: what was said meanwhile is heard first; but
            # not before all of a group have begun, since what some of them say would reach nobody.
            if taken >= AT_ONCE and not self._schedule.amid_a_group:
                self._more_ready = True
                break
        for lane in self._books.lanes:
            if lane.number in self._running:
                self._look_after_lane(lane)

    def _busy(self, priority: int) -> int:
        """Workers that the running chains of this priority, or of a higher one, can still use."""
        return sum(course.demand(priority) for course in self._running.values())

    def _skip_known(self) -> None:
        """End what is off whatever happens; what depends on it is told when all of its sources have ended."""
        for course in self._books.courses:
            if not course.head.spec.hook and is_off(course.head.spec):
                self._end(course, Status.SKIPPED, self.plan.skipped[course.chain.head])

    def _may_run(self, course: Course) -> bool:
        """Whether its sources and its condition let it run. If not, it has ended."""
        stage = course.head.spec
        if stage.condition is None and self._sources_ended_well(course):
            return True
        sources = {edge.source: self.state.stages[edge.source].status for edge in self.plan.sources(stage.name)}
        try:
            found = verdict(stage, sources, self._scope(course))
        except Exception as error:  # a user's value that does not unpickle, or that is neither true nor false
            self._fail_stage(course, failure_of(told_plainly(error), Cause.RAISED))
            return False
        if found is not None:
            self._end(course, found.status, found.why)
        return found is None

    def _scope(self, course: Course) -> dict[str, Any]:
        """What the templates of a chain may read."""
        run = self._names
        if course.head.spec.hook:
            failures = list(map(failure_told, self.state.failures))
            run = replace(run, status=str(self._ended), failures=failures)
        return {"stages": self._partial if course.head.spec.always else self._whole, "run": run}

    def _start(self, course: Course) -> None:
        if not self._may_run(course):
            return
        course.started_at = monotonic()
        lane = self._books.lane_of.get(course.number)
        if lane is None:
            self._running[course.number] = course
        self._schedule.started(course.chain)
        head = course.head
        try:
            in_its_folder(self.plan.pipeline, head.spec)
            wanted = [self._books.wanted(name) for name in course.chain.stages]
            before = self._before(course, wanted)
            if before and course.alone and self._reused(course, before[0]):
                return
            scope = self._scope(course)
            writing = self._writing(head.spec, scope) if head.spec.outs else None
            constants = [constants_of(plan.spec, scope) for plan in course.stages]
            intake, calls = self._intake(course, before, constants[0].per_call, writing)
            fixed = [given.fixed for given in constants]
            described = (
                step_of(head, fixed[0], wanted[0])
                if lane is not None
                else job(self.plan.pipeline, course.stages, fixed, wanted)
            )
        except Exception as error:  # a user's value that does not unpickle, a source that is not there, dill's errors
            self._fail_stage(course, failure_of(told_plainly(error), Cause.RAISED))
            return
        self._tell_started(course, calls)
        if isinstance(described, Step):
            self._board(course, intake, described)
            return
        if head.choice.backend.local:
            self._beacon.publish(course.number, described)
        else:
            self._aim_afar(course, described)
        work = self._times.get(head.spec.name)
        each_s = None if work is None else work.each_s
        workers, price = min(head.workers, calls or head.workers), head.choice.method.price
        course.sizes = Sizes(workers, head.spec.chunk, each_s, price)
        course.feed = self._feed(course, intake, head.window, head.workers)
        self._rounds.begin(course, calls)

    def _writing(self, stage: StageSpec, scope: dict[str, Any]) -> Writing:
        """Where its calls write. The scope learns it where there is one call."""
        from pipeline_runner.engine.places import Writing, names

        pipeline = self.plan.pipeline
        writing = Writing(stage, pipeline.folder_of(stage), pipeline.files, self._taken())
        if stage.over is None:
            scope.update(names(writing.places(0, None)))  # its `with` may be a list, which is filled in only here
        return writing

    def _taken(self) -> Taken:
        """Made, and imported, for the first stage with outs."""
        if self._books.taken is None:
            from pipeline_runner.engine.places import Taken

            self._books.taken = Taken()
        return self._books.taken

    def _reused(self, course: Course, before: Before) -> bool:
        """Whether the one call of a stage need not be made. Then the stage has ended: nobody fills in its `with`, opens
        a pool, or begins a thread, to find that there is nothing to do. Errors: OutTwice."""
        stage = course.head.spec
        if before.kept is None or varying(stage):
            return False
        standing = at_hand(before, deepened(range(1), None, before.salt, numbered=numbered(stage)))
        if standing is None:
            return False
        if standing.files:
            self._taken().take(stage.name, 0, standing.files)
        self._tell_started(course, 1)
        self._outcomes.kept(CallsKept(course.number, [standing.call]))
        course.made = 1
        self._end(course, Status.DONE)
        return True

    def _tell_started(self, course: Course, calls: int | None) -> None:
        for plan in course.stages:
            self._books.publish(
                events.StageStarted(
                    stage=plan.spec.name,
                    method=plan.choice.method.name,
                    calls=calls,
                    fused_into=None if plan is course.head else course.head.spec.name,
                )
            )

    def _aim_afar(self, course: Course, described: Job) -> None:
        """Its calls go to a cluster: where that is, and what is to be told there."""
        from pipeline_runner.engine.letters import Brief  # only clusters write letters

        spec = course.head.spec
        most = spec.max_calls_per_worker
        brief = Brief(self.id, described, spec.timeout_s, spec.memory_bytes, most)
        course.brief = pickle.dumps(brief, pickle.HIGHEST_PROTOCOL)
        options = self.plan.pipeline.clusters.get(course.head.choice.backend.keyword, {})
        course.cluster = Cluster(workers=self.plan.workers, options=tuple(sorted(options.items())))

    def _feed(self, course: Course, intake: Intake, window: int, workers: int) -> Feed:
        # Nothing that others take or bring is room or work for a lane: who draws there sleeps apart from all others.
        lock, stir = (self._books.apart(), _nothing) if isinstance(course, Lane) else (self.lock, self._books.stir)
        return Feed(
            intake,
            course.sizes,
            lock=lock,
            window=window,
            workers=workers,
            lazy=course.head.choice.method.lazy,
            single=course.single,
            backlog=lambda: max((results.backlog for results in course.results), default=0),
            ticket=lambda chunk, step, size: self._ticket(course, chunk, step, size),
            refuse=lambda chunk, error: self._inbox.put(_refused(course, chunk, error)),
            numbers=course.numbers,
            stir=stir,
            pack=self._arena.packed if course.head.choice.backend.local else _packed_whole,
        )

    # Lanes.

    def _board(self, course: Course, intake: Intake, step: Step) -> None:
        """Let a stage of one call travel with others, if its call is to be made at all."""
        try:
            calls = intake.draw(1)
        except Exception as error:  # what is not to be made is not there
            self._fail_stage(course, failure_of(told_plainly(error), Cause.RAISED))
            return
        course.made = intake.total
        if not calls:
            self._end(course, Status.DONE)
            return
        lane = self._books.lane_of[course.number]
        before = self._times.get(course.chain.head)
        recorded_s = None if before is None else before.s
        lane.board(Passenger(course, calls, step, lane.pace.expected_s(step.function, recorded_s)))
        if lane.number not in self._running:
            self._set_off(lane)

    def _look_after_lane(self, lane: Lane) -> None:
        lane.waiting.take_up()
        if lane.feed.spare:
            lane.feed.wake(lane.waiting.length)
        elif not (lane.aboard or lane.resting or lane.cancelled):
            lane.resting = True  # it waits for what is not in it: others may have its pool
            lane.last_news = monotonic()
            lane.feed.close()

    def _set_off(self, lane: Lane) -> None:
        if not hasattr(lane, "feed"):
            self._beacon.publish(lane.number, job_of_each(self.plan.pipeline, lane.head))
            lane.sizes = Loads(lane.most, None)
            lane.feed = self._feed(lane, lane.waiting, AHEAD * lane.most, lane.most)
        self._running[lane.number] = lane
        self._rounds.begin(lane)

    def _arrived(self, lane: Lane, course: Course) -> None:
        """The call of a stage in a lane has ended."""
        lane.leave(course.number)
        if not course.over:
            self._end(course, Status.FAILED if course.failed else Status.DONE)

    def _conclude_lane(self, lane: Lane, error: BaseException | None) -> None:
        """After a round of a lane: the next one; or it waits for others to come aboard."""
        if lane.cancelled:
            for passenger in list(lane.aboard.values()):
                if not passenger.course.over:
                    self._end(passenger.course, Status.FAILED if passenger.course.failed else Status.CANCELLED)
            lane.aboard.clear()
        lane.barren = 0 if lane.progress or (error is None and not lane.sick) else lane.barren + 1
        if lane.barren >= BARREN:
            lane.barren = 0
            failure = self._broken(error)
            lane.feed.give_up()
            lane.waiting = Waiting(lane.most)
            lane.feed = self._feed(lane, lane.waiting, AHEAD * lane.most, lane.most)
            for passenger in list(lane.aboard.values()):
                lane.leave(passenger.course.number)
                if not passenger.course.over:
                    self._fail_stage(passenger.course, failure)
        if not lane.aboard:
            self._running.pop(lane.number, None)
            return
        self._tell_replaced(lane, next(iter(lane.aboard.values())).course.chain.head, error)
        self._rounds.begin(lane)

    def _before(self, course: Course, wanted: Sequence[bool]) -> list[Before]:
        """What is kept of each stage of a chain; nothing where none of it counts. Errors: DepMissing."""
        record, stages = self._books.record, course.chain.stages
        reads = [self._books.read(plan.spec) for plan in course.stages]
        if record is None or course.head.spec.hook:
            return []
        course.salts = [self._books.salt(plan.spec) + read for plan, read in zip(course.stages, reads, strict=True)]
        if course.head.spec.always and not self._sources_ended_well(course):
            return []  # what was done after another failure is to be done again
        return [
            Before(record.earlier(name, wanted=read or name is not stages[-1]), read, salt)
            for name, salt, read in zip(stages, course.salts, wanted, strict=True)
        ]

    def _intake(
        self, course: Course, before: Sequence[Before], varying: Mapping[str, Any], writing: Writing | None
    ) -> tuple[Intake, int | None]:
        """What the chain's calls are drawn from: without those that need not be made."""
        record, stages, head = self._books.record, course.chain.stages, course.head

        def idle() -> bool:
            return course.feed.idle  # a feed that there is only when there is an intake

        if record is None or head.spec.hook:
            return intake_of(self.plan, head, varying, self.results, self.moved, writing=writing, idle=idle)
        work = self._times.get(head.spec.name)
        profile = work.profile if work is not None and not self._live else ()
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
            idle=idle,
            profile=profile if profile and self.plan.in_any_order(course.chain) else (),
        )
        if not before:
            return intake, calls
        taken = sum(name in self.plan.taken for name in stages)
        course.reuses = any(step.kept is not None for step in before)
        if not course.reuses and not taken:
            return intake, calls
        # Of a lane's stage it is this thread that asks, and the stage may have ended by it.
        hear = self._outcomes.kept if course.number in self._books.lane_of else self._inbox.put
        tell = lambda reused: hear(CallsKept(course.number, reused))  # noqa: E731
        go_on = lambda calls, step: course.feed.again(Owed(calls, step))  # noqa: E731
        refuse = lambda step, index: NotThere(stages[step], index, record.why_unknown(stages[step]))  # noqa: E731
        return Reusing(intake, before, tell, go_on, taken=taken, refuse=refuse), calls

    def _sources_ended_well(self, course: Course) -> bool:
        sources = self.plan.sources(course.chain.head)
        return all(self.state.stages[edge.source].status in ENDED_WELL for edge in sources)

    def _ticket(self, course: Course, chunk: int, step: int, size: int) -> Ticket:
        """Called in the driver's thread."""
        backend = course.head.choice.backend
        lease = course.lease
        if lease is None:
            raise AssertionError("a chunk was drawn before its pool was leased: this is our bug")
        budget_s = course.sizes.budget_s
        leave = backend.local and self._leave.needed(course.asks_as(None))
        address = self._beacon.here if backend.in_process else self._beacon.address
        # What is timed, weighed or struck must be known to have begun when it begins.
        quiet = not (leave or course.single or self._chaos is not None)
        return Ticket(address, lease.number, course.number, step, chunk, budget_s, leave, size, quiet)

    # Who may begin, and who has.

    def _begun(self, message: ChunkBegun) -> None:
        course = self._books.find(message.chunk)
        course.last_news = monotonic()
        flight = course.feed.flights.get(message.chunk)
        if flight is not None:
            flight.pid = message.pid
        if message.waits:
            self._at_the_door[message.chunk] = course, flight, message.pid
            self._asked_by[message.pid] = message.chunk
            self._let_in(self._leave.ask(course.asks_as(flight), message.chunk))
        elif flight is not None:
            self._at_work(course, flight)

    def _let_in(self, chunks: Iterable[int]) -> None:
        for chunk in chunks:
            course, flight, pid = self._at_the_door.pop(chunk)
            self._beacon.give_leave(pid, chunk)
            if flight is not None and chunk in course.feed.flights:
                self._at_work(course, flight)

    def _begun_unsaid(self, message: ChunkOver) -> None:
        """A chunk has ended before anybody saw that it had begun."""
        course = self._books.find(message.chunk)
        flight = course.feed.flights.get(message.chunk)
        if flight is not None and flight.pid is None and message.pid != os.getpid():
            flight.pid = message.pid
            self._at_work(course, flight, message.took_s)

    def _at_work(self, course: Course, flight: Flight, since_s: float = 0.0) -> None:
        """Only now its calls run, and their time with them: a wait for leave is not theirs."""
        flight.begun_at = monotonic() - since_s
        stage, calls = next(course.named(flight))
        if not (
            isinstance(course, Lane) and len(flight.calls) > 1
        ):  # which of them is at work is told when it has been
            self._books.publish(
                events.ChunkStarted(
                    at=time() - since_s,
                    stage=stage,
                    chunk=flight.chunk,
                    first=calls[0],
                    calls=len(calls),
                    pid=flight.pid or 0,
                )
            )
        here = course.head.choice.backend.local  # of a process on another host, the number may be somebody else's here
        if self._chaos is not None and here and flight.pid is not None and self._chaos.strike(flight.pid):
            self._books.publish(events.WorkerStruck(stage=stage, pid=flight.pid))

    def _give_leave(self, chunk: int) -> None:
        self._at_the_door.pop(chunk, None)
        self._let_in(self._leave.done(chunk))

    def _reached(self, message: StepReached) -> None:
        flight = self._books.find(message.chunk).feed.flights.get(message.chunk)
        if flight is not None:
            flight.reached = message.step

    # Ends.

    def _conclude(self, course: Course, error: BaseException | None) -> None:
        """After a round: the next one, or the end."""
        if isinstance(course, Lane):
            self._conclude_lane(course, error)
            return
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
        if course.barren >= BARREN or isinstance(error, ClusterUnreachable):
            self._fail_stage(course, self._broken(error))
            return
        self._tell_replaced(course, course.chain.head, error)
        self._rounds.begin(course)

    def _broken(self, error: BaseException | None) -> Failure:
        """Why a pool that breaks again and again is given up."""
        refused = None if self._refused is None else TooFewDescriptors(self._refused.limit)
        broken = refused or error or RuntimeError("its workers die before they begin a call")
        # Every frame of it is ours or the library's: the users' calls tell of themselves.
        return replace(failure_of(told_plainly(broken), Cause.LOST), traceback="")

    def _tell_replaced(self, course: Course, stage: StageName, error: BaseException | None) -> None:
        if error is not None or course.sick:
            why = f"{type(error).__name__}: {error}" if error is not None else "a worker died"
            self._books.publish(events.PoolReplaced(stage=stage, why=why))

    def _end(self, course: Course, status: Status, why: str = "") -> None:
        course.over = True
        self._left -= not course.head.spec.hook
        self._running.pop(course.number, None)
        took_s = 0.0 if course.started_at is None else monotonic() - course.started_at
        self._beacon.withdraw(course.number)
        total = course.total
        for place, (name, results) in enumerate(zip(course.chain.stages, course.results, strict=True)):
            of_stage = self._stage_status(status, course, place)
            if of_stage is Status.DONE and 0 < total == self.state.stages[name].reused:
                of_stage = Status.REUSED
            if of_stage in ENDED_WELL and self.state.stages[name].calls is None:
                self._books.publish(events.CallsKnown(stage=name, calls=total))
            done = self.state.stages[name].done
            self._books.publish(
                events.StageEnded(
                    stage=name,
                    status=of_stage,
                    took_s=took_s,
                    done=done,
                    made=done - self.state.stages[name].reused,
                    why=why,
                    work_s=0.0 if place else course.work_s,
                    slowest=course.slowest.told() if course.learnt and not place else (),
                    profile=course.profile.told() if course.learnt and not place else (),
                )
            )
            results.end(total, None if of_stage in ENDED_WELL else lambda name=name: StageUnfinished(name, self.state))  # type: ignore[misc]
            if of_stage not in ENDED_WELL:
                self._cancel_readers(name, of_stage)
        self._schedule.ended(course.chain)
        if course.head.choice.backend.in_process and course.started_at is not None:
            # Nobody tells any more what becomes of its calls; those that wait find that their job is gone.
            self._at_the_door = {chunk: who for chunk, who in self._at_the_door.items() if who[0] is not course}
            self._let_in(self._leave.forget(course.number))
        for name in course.chain.stages:
            self._books.forget_read(name)
        self._arena.trim()

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
        """What depends on a stage that did not end well does not run, unless it is to run always: it ends when all its
        sources have, and what streams from the stage ends now."""
        status = Status.SKIPPED if status is Status.SKIPPED else Status.CANCELLED
        for edge in self.plan.readers(stage):
            reader = self._books.course_of[edge.target]
            if reader.over or reader.head.spec.always:
                continue
            if reader.started_at is None:
                self._schedule.doom(reader.number)
            else:
                self._doomed.append((reader, status))

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
        if course.started_at is None and not isinstance(course, Lane):
            self._end(course, status)
            return
        if course.number in self._books.lane_of:
            return  # it ends with its lane
        course.feed.give_up()
        if course.ending is None and course.ended is None:
            self._rounds.break_off(course)

    def _stop(self) -> None:
        """A failure ends the run: what runs is cancelled, what waits never begins; but for what is to run always."""
        if self._stopped:
            return
        self._stopped = True
        forking.hurry(self)
        for course in self._books.courses:
            if not (course.over or course.head.spec.always or course.head.spec.hook):
                self._cancel_course(course)
        self._cancel_lanes()

    def _cancel(self, message: Cancel) -> None:
        if self._cancelled is not None:
            return
        self._cancelled = message
        forking.hurry(self)
        for course in self._books.courses:
            if not course.over:
                self._cancel_course(course)
        self._cancel_lanes()

    def _cancel_lanes(self) -> None:
        for lane in self._books.lanes:
            if lane.number in self._running:
                self._cancel_course(lane)

    def _run_hooks(self) -> None:
        """The stages have ended: what is to follow such an end, one after the other."""
        self._ended = self._status()
        for course in self._hooks:
            if course.head.spec.hook == FOLLOWS.get(self._ended) and self._cancelled is None:
                self._start(course)
                self._books.commit()
                while not course.over:
                    self._turn()
            elif not course.over:
                self._end(course, Status.SKIPPED, f"the run {self._ended.said}")

    def _end_all(self, status: Status) -> None:
        for course in self._books.courses:
            if not course.over:
                if course.started_at is not None and hasattr(course, "feed"):
                    course.feed.give_up()
                self._end(course, status)
        for lane in self._books.lanes:
            if hasattr(lane, "feed"):
                lane.feed.give_up()

    def _status(self) -> Status:
        if self._cancelled is not None:
            return Status.INTERRUPTED
        if self._ended is not None:
            hooks = {self.state.stages[course.chain.head].status for course in self._hooks}
            return Status.FAILED if self._ended is Status.DONE and Status.FAILED in hooks else self._ended
        statuses = {stage.status for name, stage in self.state.stages.items() if name not in self.plan.hooks}
        if Status.FAILED in statuses:
            return Status.FAILED
        if Status.CANCELLED in statuses:
            return Status.INTERRUPTED
        return Status.PARTIAL if self.state.failures else Status.DONE


def _nothing() -> None:
    """A lane's turn ends with waking as many as there is something for."""


def _refused(course: Course, chunk: int, error: BaseException) -> ChunkOver:
    """A chunk of one call whose argument cannot be sent, as if a worker had told it."""
    failure = failure_of(error, Cause.RAISED)
    lease = course.lease.number if course.lease else 0
    return ChunkOver(lease, chunk, os.getpid(), [Failed(0, 0, failure, None)], 0.0)


def _packed_whole(calls: Calls) -> tuple[Calls, bytes]:
    """The payload of a chunk for another host, which cannot map what is large here."""
    whole = calls.in_one()
    return whole, pack_payload(whole)
