"""What becomes of calls: values are kept and passed on, failures are tried again or are for good."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic, time

from pipeline_runner import events
from pipeline_runner.axes import OnError
from pipeline_runner.calls import Calls, Done, Failed, Failure, Pack, Rest, Timed, Wrote
from pipeline_runner.classes import replace
from pipeline_runner.engine.books import Books
from pipeline_runner.engine.course import Course
from pipeline_runner.engine.feed import Flight, Owed
from pipeline_runner.engine.lane import Lane, Passenger
from pipeline_runner.engine.messages import CallsKept, ChunkOver, LinesSaid
from pipeline_runner.engine.results import runs
from pipeline_runner.engine.retries import again_after, argument_in_short
from pipeline_runner.spec.pipeline import Command, StageSpec
from pipeline_runner.typed import assert_never

SAID = 20  # last lines of a failed call that are told with it


class Outcomes:
    """Takes what workers tell of their calls. `stop` ends the run after a failure that is not to be survived,
    `arrived` a stage of a lane whose call has ended."""

    def __init__(self, books: Books, stop: Callable[[], None], arrived: Callable[[Lane, Course], None]) -> None:
        self._books = books
        self._stop = stop
        self._arrived = arrived

    def kept(self, message: CallsKept) -> None:
        course = self._books.courses[message.course]
        if course.over:
            return
        for reused in message.reused:
            name, results = course.chain.stages[reused.step], course.results[reused.step]
            course.progress += len(reused.numbers)
            self._books.publish(events.CallsReused(stage=name, indices=reused.numbers))
            results.made(reused.numbers, reused.digests)
            if reused.adopt and self._books.record is not None:
                self._books.record.adopt(name, reused.numbers, reused.digests, reused.values)
            if reused.values is not None:
                results.put(reused.numbers, reused.values)

    def said(self, message: LinesSaid) -> None:
        course = self._books.find(message.chunk)
        flight = course.feed.flights.get(message.chunk)
        for position, stream, line in message.lines:
            stage, index = course.told_of(flight, position)
            if flight is not None and position is not None:
                course.said.setdefault(flight.calls.indices[position], deque(maxlen=SAID)).append(line)
            self._books.publish(events.Printed(stage=stage, index=index, stream=stream, line=line))

    def over(self, message: ChunkOver) -> None:
        course = self._books.find(message.chunk)
        course.last_news = monotonic()
        flight = course.feed.flights.get(message.chunk)
        if flight is None or course.over:
            return  # told before, or owed to nobody any more
        course.work_s += message.took_s
        if isinstance(course, Lane):
            self._over_in_lane(course, flight, message)
            return
        ended = len(flight.calls)
        for outcome in message.outcomes:
            match outcome:
                case Done():
                    self._done(course, flight, outcome)
                case Failed(step, position, failure, carried):
                    call = Owed(flight.calls.cut(position, position + 1), flight.step)
                    self.failed(course, call, step, failure, carried)
                case Rest(start):
                    ended = start
                    course.feed.again(Owed(flight.calls.cut(start, len(flight.calls)), flight.step))
                case Wrote(index, files):
                    self._wrote(course, flight, index, files)
                case Timed():
                    raise AssertionError("calls of one stage are timed together: this is our bug")
                case _:
                    assert_never(outcome)
        course.learn(flight.calls.indices, ended, message.took_s)
        course.sizes.weigh(max(ended, 1), sum(o.size_bytes for o in message.outcomes if isinstance(o, Done)))
        course.progress += ended
        if course.said:
            for index in flight.calls.indices:
                course.said.pop(index, None)
        # Only now: whoever asks whether anything is in flight must find what follows from it first.
        course.feed.landed(message.chunk)
        self._books.publish(
            events.ChunkEnded(
                stage=course.head.spec.name, chunk=message.chunk, calls=ended, took_s=message.took_s, pid=message.pid
            )
        )

    def _over_in_lane(self, lane: Lane, flight: Flight, message: ChunkOver) -> None:
        """The same for calls of several stages, each of which ends with its call."""
        numbers = flight.calls.indices
        ended = len(numbers)
        took: Sequence[float] = ()
        done: dict[int, Done] = {}  # by position
        failed: dict[int, Failure] = {}
        for outcome in message.outcomes:
            match outcome:
                case Done():
                    done[outcome.start] = outcome
                case Failed(position=position, failure=failure):
                    failed[position] = failure
                case Rest(start):
                    ended = start
                    # Something was longer than it was thought to be: what waits for it goes one by one.
                    lane.feed.again(Owed(flight.calls.cut(start, len(numbers)), 0, most=1))
                case Timed(seconds):
                    took = seconds
                case Wrote():
                    raise AssertionError("files are looked after for each stage alone: this is our bug")
                case _:
                    assert_never(outcome)
        lane.progress += ended
        lane.feed.landed(message.chunk)
        at = time() - message.took_s
        for position, took_s in enumerate(took):
            passenger = lane.aboard.get(numbers[position])
            if passenger is None:
                continue
            if len(numbers) > 1:
                name = passenger.course.chain.head
                self._books.publish(
                    events.ChunkStarted(at=at, stage=name, chunk=message.chunk, first=0, calls=1, pid=message.pid)
                )
            at += took_s
            lane.pace.learn(passenger.step.function, took_s)
            passenger.course.work_s += took_s
            if position in failed:
                call = Owed(flight.calls.cut(position, position + 1), 0)
                self.failed(lane, call, 0, failed[position], None)
            else:
                self._done_in_lane(lane, passenger, message, done[position], took_s)

    def _done_in_lane(self, lane: Lane, passenger: Passenger, message: ChunkOver, done: Done, took_s: float) -> None:
        course, digests = passenger.course, passenger.calls.digests
        name, results, only = course.chain.head, course.results[0], range(1)
        self._books.publish(events.CallsDone(stage=name, chunk=message.chunk, indices=only, size_bytes=done.size_bytes))
        if self._books.record is not None:
            self._books.record.keep(name, only, digests, done.data, done.large)
        results.made(only, digests)
        if done.data is not None:
            results.put(only, Pack(done.data, 0, 1, digests, done.large))
        self._books.publish(events.ChunkEnded(stage=name, chunk=message.chunk, calls=1, took_s=took_s, pid=message.pid))
        lane.said.pop(course.number, None)
        self._arrived(lane, course)

    def _wrote(self, course: Course, flight: Flight, index: int, files: Sequence[tuple[str, str]]) -> None:
        if self._books.record is not None:
            at = flight.calls.indices.index(index)
            digest = self._books.digests(course, flight.calls.cut(at, at + 1), flight.step)
            self._books.record.wrote(course.chain.stages[flight.step], index, digest, files)

    def _done(self, course: Course, flight: Flight, done: Done) -> None:
        calls = flight.calls if done.stop - done.start == len(flight.calls) else flight.calls.cut(done.start, done.stop)
        indices = calls.indices
        numbers = indices if isinstance(indices, range) else tuple(indices)
        stage, size = course.chain.stages[done.step], done.size_bytes
        self._books.publish(events.CallsDone(stage=stage, chunk=flight.chunk, indices=numbers, size_bytes=size))
        last = done.step == len(course.stages) - 1
        digests = self._books.digests(course, calls, done.step)
        if self._books.record is not None and (last or done.data is not None):
            self._books.record.keep(stage, indices, digests, done.data, done.large)
        course.results[done.step].made(indices, digests)
        if done.data is None:
            return
        values = Pack(done.data, 0, len(indices), digests, done.large)
        if isinstance(indices, range):  # most of all: nothing to look for
            course.results[done.step].put(indices, values)
            return
        at = 0
        for run in runs(indices):
            course.results[done.step].put(run, values.cut(at, at + len(run)))
            at += len(run)

    def failed(self, course: Course, owed: Owed, step: int, failure: Failure, carried: bytes | None) -> None:
        """A call failed at a step: it is tried again, or it has failed for good.

        `carried` is what that step was given; without it, the call begins again where it began.
        """
        if course.cancelled and failure.type == "GivenUp":
            return  # a command that a thread waited for: it did not fail, it was ended with its stage
        (index,) = owed.calls.indices
        if isinstance(course, Lane):
            self._failed_in_lane(course, index, owed, failure)
            return
        stage = course.stages[step].spec
        course.tries[step, index] += 1
        course.progress += 1
        tries = course.tries[step, index]
        said = tuple(course.said.pop(index, ()))
        wait_s = None if course.cancelled else again_after(stage.retry, failure, tries, random.random)
        if wait_s is not None:
            if carried is not None:
                owed = Owed(replace(owed.calls, columns=((Pack(carried, 0, 1),),), keywords=None), step)
            course.feed.again(replace(owed, most=1, after=monotonic() + wait_s))
            self._tell_again(stage, index, tries, wait_s, failure)
            return
        self._tell_failed(stage, index, tries, failure, owed.calls, said, carried)
        if self._books.record is not None and (carried is not None or step == owed.step):
            # Without what a later step of a chain was given there is only what its first step was.
            given = owed.calls if carried is None else Calls(owed.calls.indices, ((Pack(carried, 0, 1),),))
            if isinstance(stage.function, Command):  # what is in a command may be secret; its item makes it again
                given = replace(given, keywords=None)
            self._books.record.given(stage.name, index, given)
            if carried is not None and not self._books.wanted(course.chain.stages[step - 1]):
                # The steps before it ended well, and need not run again when this one is owed again.
                digests = self._books.digests(course, owed.calls, step - 1)
                self._books.record.keep(course.chain.stages[step - 1], [index], digests, carried)
        for later in course.chain.stages[step:]:
            self._books.drop(later, index)
        if stage.on_error is not OnError.SKIP:
            course.failed = True
            if stage.on_error is OnError.STOP:
                self._stop()

    def _failed_in_lane(self, lane: Lane, number: int, owed: Owed, failure: Failure) -> None:
        passenger = lane.aboard.get(number)
        if passenger is None:
            return
        course, stage = passenger.course, passenger.course.head.spec
        course.tries[0, 0] += 1
        lane.progress += 1
        tries = course.tries[0, 0]
        said = tuple(lane.said.pop(number, ()))
        wait_s = None if lane.cancelled else again_after(stage.retry, failure, tries, random.random)
        if wait_s is not None:
            lane.feed.again(replace(owed, most=1, after=monotonic() + wait_s))
            self._tell_again(stage, 0, tries, wait_s, failure)
            return
        self._tell_failed(stage, 0, tries, failure, passenger.calls, said)
        if self._books.record is not None:
            self._books.record.given(stage.name, 0, passenger.calls)
        self._books.drop(stage.name, 0)
        course.failed = stage.on_error is not OnError.SKIP
        self._arrived(lane, course)
        if stage.on_error is OnError.STOP:
            self._stop()

    def _tell_again(self, stage: StageSpec, index: int, tries: int, wait_s: float, failure: Failure) -> None:
        limit = stage.retry.limit + 1
        self._books.publish(
            events.CallRetried(stage=stage.name, index=index, tries=tries, limit=limit, wait_s=wait_s, failure=failure)
        )

    def _tell_failed(
        self,
        stage: StageSpec,
        index: int,
        tries: int,
        failure: Failure,
        calls: Calls,
        said: tuple[str, ...],
        carried: bytes | None = None,
    ) -> None:
        argument = argument_in_short(calls, carried, stage.constants, self._books.mask)
        self._books.publish(
            events.CallFailed(stage=stage.name, index=index, tries=tries, failure=failure, argument=argument, said=said)
        )
