"""Runs calls of several stages that travel together: each brings its own step, and takes nothing but its `with`."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from math import inf
from time import perf_counter

from pipeline_runner.calls import Cause, Done, Failed, Outcome, Rest, Ticket, Timed, column_values
from pipeline_runner.worker import capture, surroundings
from pipeline_runner.worker.failures import failure_of
from pipeline_runner.worker.job import FunctionSource, Job, Step
from pipeline_runner.worker.packing import pack_result
from pipeline_runner.worker.steps import Call, prepare_one

_met: set[tuple[str, FunctionSource]] = set()  # by folder: what this process has imported for such calls


def run_each(ticket: Ticket, job: Job, payload: bytes, after: Callable[[int, float], None]) -> list[Outcome]:
    """Call each step; what is left when the time is up goes back. `after` follows a call of this position that took so
    long."""
    (column,), _ = pickle.loads(payload)
    steps: Sequence[Step] = column_values(column)
    outcomes: list[Outcome] = []
    took: list[float] = []
    deadline = perf_counter() + ticket.budget_s if ticket.budget_s else inf
    for position, step in enumerate(steps):
        if position and perf_counter() > deadline:
            outcomes.append(Rest(position))
            break
        outcome, took_s = _run(position, step, job)
        took.append(took_s)
        outcomes.append(outcome)
        if took_s > capture.quick_s or surroundings.touched:
            after(position, took_s)
    outcomes.append(Timed(tuple(took)))
    return outcomes


def _run(position: int, step: Step, job: Job) -> tuple[Outcome, float]:
    """What becomes of one call, and how long it took, without the import of its function."""
    began = perf_counter()
    cause = Cause.RAISED
    try:
        call = _prepared(step, job)
        began = perf_counter()
        value = call.run(None)
        cause = Cause.RESULT
        data = pack_result([value]) if step.wanted else None
    except BaseException as error:  # whatever an import or a call does, sys.exit included, is this call's failure
        return Failed(0, position, failure_of(error, cause), None), perf_counter() - began
    return Done(0, position, position + 1, data), perf_counter() - began


def _prepared(step: Step, job: Job) -> Call:
    call = prepare_one(step, job.folder)
    met = job.folder, step.function
    if met not in _met:  # every later call begins as it is after the import
        _met.add(met)
        surroundings.keep()
        capture.ended(None)
    return call
