"""What becomes of calls: values are kept and passed on, failures are tried again or are for good."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic
from typing import assert_never

from pipeline_runner import events
from pipeline_runner.axes import OnError
from pipeline_runner.calls import Calls, Done, Failed, Failure, Pack, Rest, Wrote
from pipeline_runner.engine.books import Books
from pipeline_runner.engine.course import Course
from pipeline_runner.engine.feed import Flight, Owed
from pipeline_runner.engine.messages import CallsKept, ChunkOver, LinesSaid
from pipeline_runner.engine.results import runs
from pipeline_runner.engine.retries import again_after, argument_in_short
from pipeline_runner.spec.pipeline import Command

SAID = 20  # last lines of a failed call that are told with it


class Outcomes:
    """Takes what workers tell of their calls. `stop` ends the run after a failure that is not to be survived."""

    def __init__(self, books: Books, stop: Callable[[], None]) -> None:
        self._books = books
        self._stop = stop

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
            index = None if flight is None or position is None else flight.calls.indices[position]
            stage = course.chain.stages[flight.at if flight is not None else 0]
            if index is not None:
                course.said.setdefault(index, deque(maxlen=SAID)).append(line)
            self._books.publish(events.Printed(stage=stage, index=index, stream=stream, line=line))

    def over(self, message: ChunkOver) -> None:
        course = self._books.find(message.chunk)
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
                    self.failed(course, call, step, failure, carried)
                case Rest(start):
                    ended = start
                    course.feed.again(Owed(flight.calls.cut(start, len(flight.calls)), flight.step))
                case Wrote(index, files):
                    self._wrote(course, flight, index, files)
                case _:
                    assert_never(outcome)
        course.sizes.learn(ended, message.took_s)
        course.sizes.weigh(max(ended, 1), sum(len(o.data) for o in message.outcomes if isinstance(o, Done) and o.data))
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

    def _wrote(self, course: Course, flight: Flight, index: int, files: Sequence[tuple[str, str]]) -> None:
        if self._books.record is not None:
            at = flight.calls.indices.index(index)
            digest = self._books.digests(course, flight.calls.cut(at, at + 1), flight.step)
            self._books.record.wrote(course.chain.stages[flight.step], index, digest, files)

    def _done(self, course: Course, flight: Flight, done: Done) -> None:
        indices = flight.calls.indices[done.start : done.stop]
        numbers = indices if isinstance(indices, range) else tuple(indices)
        large = 0 if done.large is None else done.large.size_bytes
        size = 0 if done.data is None else len(done.data) + large
        course.feed.made(len(indices), large)
        self._books.publish(
            events.CallsDone(stage=course.chain.stages[done.step], chunk=flight.chunk, indices=numbers, size_bytes=size)
        )
        last = done.step == len(course.stages) - 1
        digests = self._books.digests(course, flight.calls.cut(done.start, done.stop), done.step)
        if self._books.record is not None and (last or done.data is not None):
            self._books.record.keep(course.chain.stages[done.step], indices, digests, done.data, done.large)
        course.results[done.step].made(indices, digests)
        if done.data is None:
            return
        values = Pack(done.data, 0, len(indices), digests, done.large)
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
            self._books.publish(
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
        self._books.publish(
            events.CallFailed(
                stage=stage.name,
                index=index,
                tries=tries,
                failure=failure,
                argument=argument_in_short(owed.calls, carried, stage.constants, self._books.mask),
                said=said,
            )
        )
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
