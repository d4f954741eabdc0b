"""Runs one chunk in a worker. It never raises: whatever a call does becomes an outcome, told to the beacon."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from math import inf
from operator import length_hint
from time import perf_counter

from pipeline_runner.calls import (
    Calls,
    Cause,
    Done,
    Failed,
    Failure,
    Outcome,
    Perform,
    Receipt,
    Rest,
    Task,
    Ticket,
    Wrote,
)
from pipeline_runner.calls import column_values as values_of
from pipeline_runner.typed import Any
from pipeline_runner.worker import capture, limits, surroundings
from pipeline_runner.worker.apart import pack_apart
from pipeline_runner.worker.each import run_each
from pipeline_runner.worker.failures import failure_of
from pipeline_runner.worker.job import FunctionSource, Job, Step
from pipeline_runner.worker.link import Link, link_to
from pipeline_runner.worker.packing import pack, pack_result
from pipeline_runner.worker.steps import Call, prepare, set_up
from pipeline_runner.worker.surroundings import enter

_prepared: dict[tuple[str, int], tuple[Call, ...] | Failure] = {}
"""The steps of the jobs that this process has met, by beacon and job: imported and ready to call."""

_were_set_up: set[tuple[str, FunctionSource | None, bytes]] = set()
_preparing: dict[str, threading.RLock] = {}  # by beacon: calls in the runner's own process may be threads


def row(ticket: Ticket, payload: bytes) -> Receipt:
    """Run a chunk and tell its outcomes; what a pool method is given where it takes a row or columns."""
    link = link_to(ticket.beacon, ticket.lease)
    job = link.begin(ticket)
    with capture.calls(link, ticket), enter(job, link.process):
        calls = () if job.each else _calls_of(ticket, job, link)
        began = perf_counter()  # not before: an import or a setup says nothing of how long the next calls will take
        outcomes = _outcomes(ticket, job, calls, payload, link)
        if job.steps[0].outs:
            outcomes[:0] = _written()
    link.ended(ticket, outcomes, perf_counter() - began)
    if link.process:
        limits.bury_orphans()
    return ticket.chunk


def _written() -> list[Wrote]:
    """What this chunk's calls have put in their places."""
    from pipeline_runner.worker.outs import told  # only workers that write such files need it

    return told()


def one(task: Task) -> Receipt:
    """The same for a method that gives one argument."""
    return row(*task)


PERFORM = Perform(row=row, one=one)


def _outcomes(ticket: Ticket, job: Job, calls: tuple[Call, ...] | Failure, payload: bytes, link: Link) -> list[Outcome]:
    if job.each:
        return run_each(ticket, job, payload, _after_each(link, ticket))
    if isinstance(calls, Failure):
        return _all_failed(ticket, calls)
    try:
        columns, keywords = pickle.loads(payload)
        unpacked = [values_of(column) for column in columns]
        extras = None if keywords is None else values_of(keywords)
    except BaseException as error:  # an argument that cannot be read here: whatever its class does is the call's
        return _all_failed(ticket, failure_of(error, Cause.RAISED))
    return _run_steps(ticket, job.steps, calls, unpacked, extras, link)


def _all_failed(ticket: Ticket, failure: Failure) -> list[Outcome]:
    return [Failed(ticket.step, position, failure, None) for position in range(ticket.size)]


def pack_payload(calls: Calls, apart: list[memoryview] | None = None) -> bytes:
    """What a chunk's bytes are: its columns. Packed values go along as they are.

    `apart` gets large buffers, which are left out then. Errors: pickle's own for an item that neither it nor dill can
    send.
    """
    return pack((calls.columns, calls.keywords), apart)


def _calls_of(ticket: Ticket, job: Job, link: Link) -> tuple[Call, ...] | Failure:
    """Import what the job names, once, and run the stage's setup. A failure is kept: it would only happen again."""
    key = (ticket.beacon, ticket.job)
    if key in _prepared:
        return _prepared[key]
    with _preparing.setdefault(ticket.beacon, threading.RLock()):  # of threads, the first prepares for all
        if key not in _prepared:
            try:
                _set_up_once(ticket.beacon, job)
                _prepared[key] = prepare(job)
            except BaseException as error:  # whatever an import does, sys.exit included, is this stage's failure
                _prepared[key] = failure_of(error, Cause.RAISED)
            if link.process:
                surroundings.keep()
                capture.ended(None)
                capture.tell(link, ticket)  # at once: who reads along must not take it for the call's own
        return _prepared[key]


def _set_up_once(beacon: str, job: Job) -> None:
    """Stages with one setup may share a worker: it has been set up for all of them."""
    mark = (beacon, job.setup, job.setup_with)
    if mark not in _were_set_up:
        set_up(job)
        _were_set_up.add(mark)


def _run_steps(
    ticket: Ticket,
    steps: Sequence[Step],
    calls: Sequence[Call],
    columns: list[list[Any]],
    keywords: list[dict[str, Any]] | None,
    link: Link,
) -> list[Outcome]:
    """Run all calls through the first step, then those that are left through the next."""
    outcomes: list[Outcome] = []
    first = ticket.step
    positions: Sequence[int] = range(ticket.size)
    inputs = calls[first].inputs(columns, ticket.size)
    if keywords is not None:
        inputs = list(zip(inputs, keywords, strict=True))
    deadline = perf_counter() + ticket.budget_s if ticket.budget_s else inf
    for number in range(first, len(steps)):
        step, call = steps[number], calls[number]
        if number > first:
            if link.process:
                capture.tell(link, ticket)
            link.reached(ticket, number)
        run = call.run if keywords is None or number > first else call.run_with
        until = deadline if number == first else inf
        results, failures, rest = _run_calls(run, inputs, positions, until, _after_each(link, ticket))
        if rest is not None:
            outcomes.append(Rest(rest))
            positions = positions[:rest]
        last = number == len(steps) - 1
        done = [position for position in positions if position not in failures] if failures else positions
        lost = _keep(outcomes, number, step.wanted, done, results, link)
        for position, failure in failures.items():
            carried = None if number == first else _carry(inputs[positions.index(position)])
            outcomes.append(Failed(number, position, failure, carried))
        if lost:
            outcomes.extend(Failed(number, position, failure, None) for position, failure in lost.items())
        if last:
            break
        kept = [(p, value) for p, value in zip(done, results, strict=True) if p not in lost]
        positions = [p for p, _ in kept]
        inputs = [value for _, value in kept]
        if not kept:
            break
    return outcomes


AfterCall = Callable[[int, float], None]
QUICK_S = 1e-6  # calls that are faster do not look whether the time of their chunk is up: the largest takes as long


def _after_each(link: Link, ticket: Ticket) -> AfterCall:
    """What follows a call of this position that took so long: its text is marked, its surroundings are put back."""
    if not link.process:
        return _nothing

    def after(position: int, took_s: float) -> None:
        capture.ended(position)
        surroundings.put_back(took_s)
        if capture.due():
            capture.tell(link, ticket)

    return after


def _nothing(position: int, took_s: float) -> None:
    """In the runner's own process: its stdout and its surroundings are the user's program's."""


def _run_calls(
    run: Callable[[Any], Any],
    inputs: Sequence[Any],
    positions: Sequence[int],
    deadline: float,
    after: AfterCall,
) -> tuple[list[Any], dict[int, Failure], int | None]:
    """Call for each input. Gives the results of those that ended well, in order; the failures by position; and the
    position from which the time was up, or None."""
    results: list[Any] = []
    failures: dict[int, Failure] = {}
    left = iter(inputs)
    while True:
        error = _call_on(
            run, left, results.append, deadline, lambda took_s: after(positions[~length_hint(left)], took_s)
        )
        ended = len(positions) - length_hint(left)  # a call that failed included
        if error is not None:
            # What comes from outside a call, such as an alarm that it has set, may come when its result is there.
            del results[ended - 1 - len(failures) :]
            failures[positions[ended - 1]] = failure_of(error, Cause.RAISED)
            after(positions[ended - 1], inf)
        if ended == len(positions):
            return results, failures, None
        if error is None or perf_counter() > deadline:
            return results, failures, positions[ended]


def _call_on(
    run: Callable[[Any], Any],
    left: Iterator[Any],
    append: Callable[[Any], None],
    deadline: float,
    after: Callable[[float], None],
) -> BaseException | None:
    """Call for what is left, until a call raises, the time is up or nothing is left. Gives what was raised.

    The hottest loop of all: to a quick call it adds one look at the clock. How far it came, the iterator tells,
    which stands behind the call that raised and can be gone on with. A loop of C (`extend(map(run, left))`) is
    30 ns a call faster, and cannot tell which of the calls has written what was written.
    """
    quick_s = min(capture.quick_s, QUICK_S)
    clock = perf_counter
    try:
        slow = clock() + quick_s
        for given in left:
            append(run(given))
            now = clock()
            # A call that was faster than any system call has written nothing, and changed nothing but what is noted.
            if now > slow or surroundings.touched:
                if surroundings.touched or now > slow + surroundings.SHORT_S or not capture.silent():
                    after(now - slow + quick_s)
                now = clock()
                if now > deadline:
                    break
            slow = now + quick_s
    except BaseException as error:  # SystemExit and KeyboardInterrupt in a call are the call's, not the pool's
        return error
    return None


def _keep(
    outcomes: list[Outcome], step: int, wanted: bool, done: Sequence[int], results: list[Any], link: Link
) -> dict[int, Failure]:
    """Pack the results of calls that ended well, run by run of neighbours. Gives those that cannot be packed."""
    if not wanted:
        outcomes.extend(Done(step, start, stop, None) for start, stop, _ in _runs(done))
        return {}
    lost: dict[int, Failure] = {}
    for start, stop, at in _runs(done):
        try:
            outcomes.append(Done(step, start, stop, *pack_apart(results[at : at + stop - start], link.room)))
            continue
        except BaseException:
            pass  # one of them cannot be sent: find which, and keep the others
        for offset in range(stop - start):
            try:
                packed = pack_apart([results[at + offset]], link.room)
            except BaseException as error:
                lost[start + offset] = failure_of(error, Cause.RESULT)
            else:
                outcomes.append(Done(step, start + offset, start + offset + 1, *packed))
    return lost


def _runs(positions: Sequence[int]) -> list[tuple[int, int, int]]:
    """Neighbouring positions together: (start, stop, where it starts in `positions`)."""
    if not positions:
        return []
    if positions[-1] - positions[0] + 1 == len(positions):
        return [(positions[0], positions[-1] + 1, 0)]
    runs: list[tuple[int, int, int]] = []
    at = 0
    for place in range(1, len(positions) + 1):
        if place == len(positions) or positions[place] != positions[place - 1] + 1:
            runs.append((positions[at], positions[place - 1] + 1, at))
            at = place
    return runs


def _carry(value: Any) -> bytes | None:
    """What a later step was given, so that it alone can be tried again; None: the chain begins anew."""
    try:
        return pack_result([value])
    except BaseException:  # it cannot be sent
        return None
