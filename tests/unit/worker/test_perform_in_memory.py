"""A chunk run in this process: every style, failure and budget, told to a link that only writes down."""

from __future__ import annotations

import pickle
import signal
import time
from itertools import count

import pytest

from pipeline_runner.axes import Style
from pipeline_runner.calls import Calls, Cause, Done, Failed, Rest, Ticket
from pipeline_runner.worker import perform as performing
from pipeline_runner.worker.job import FunctionSource, Job, Step
from pipeline_runner.worker.link import forget_here, serve_here
from pipeline_runner.worker.packing import pack

NUMBERS = count()


class Link:
    process = False

    def __init__(self, job):
        self.job = job
        self.outcomes = None
        self.steps = []

    def begin(self, ticket):
        return self.job

    def said(self, ticket, lines):
        raise AssertionError("nothing is captured in the runner's own process")

    def reached(self, ticket, step):
        self.steps.append(step)

    def room(self, size):
        return None

    def ended(self, ticket, outcomes, took_s):
        assert took_s >= 0
        self.took_s = took_s
        self.outcomes = outcomes


def step(function, style, *, names=(), constants=None, wanted=True):
    source = FunctionSource("pickle", "", "given", pack(function))
    return Step("s", source, style, names, pack({} if constants is None else constants), wanted)


@pytest.fixture
def run():
    """Run calls through steps and give the link that heard of it."""
    addresses = []

    def run(steps, calls, *, at=0, budget_s=0.0):
        address = f"here:test-{next(NUMBERS)}"  # never twice: a process remembers the jobs of an address
        addresses.append(address)
        link = Link(Job(folder="/", steps=tuple(steps), setup=None, setup_with=pack({}), env=()))
        serve_here(address, lambda lease: link)
        ticket = Ticket(address, 0, 0, at, 7, budget_s, False, len(calls))
        assert performing.PERFORM.one((ticket, performing.pack_payload(calls))) == 7
        return link

    yield run
    for address in addresses:
        forget_here(address)


def values(link, step=0):
    return {
        place: value
        for outcome in link.outcomes
        if isinstance(outcome, Done) and outcome.step == step
        for place, value in zip(range(outcome.start, outcome.stop), pickle.loads(outcome.data), strict=True)
    }


def join(*args, **kwargs):
    return args, kwargs


def items(*given):
    return Calls(range(len(given)), ((list(given),),))


@pytest.mark.parametrize(
    ("made", "calls", "wanted"),
    [
        (step(join, None), Calls(range(1)), ((), {})),
        (step(join, None, constants=[1, 2]), Calls(range(1)), ((1, 2), {})),
        (step(join, None, constants={"k": 1}), Calls(range(1)), ((), {"k": 1})),
        (step(join, Style.MAP), items((1, 2)), (((1, 2),), {})),
        (step(join, Style.MAP, constants={"k": 1}), items(5), ((5,), {"k": 1})),
        (step(join, Style.SINGLE), items([1, 2]), ((1, 2), {})),
        (step(join, Style.SINGLE), items((1, 2)), ((1, 2), {})),
        (step(join, Style.SINGLE), items({"x": 1}), ((), {"x": 1})),
        (step(join, Style.SINGLE), items("ab"), (("ab",), {})),
        (step(join, Style.STAR, constants={"k": 1}), items([1, 2]), ((1, 2), {"k": 1})),
        (step(join, Style.STAR, constants={"k": 1}), items({"k": 2}), ((), {"k": 2})),
        (step(join, Style.ZIP), Calls(range(1), (([1],), ([2],))), ((1, 2), {})),
        (step(join, Style.ZIP, names=("a", "b")), Calls(range(1), (([1],), ([2],))), ((), {"a": 1, "b": 2})),
        (
            step(join, Style.MAP, constants={"k": 1}),
            Calls(range(1), (([5],),), ([{"i": 0}],)),
            ((5,), {"k": 1, "i": 0}),
        ),
    ],
)
def test_every_style(run, made, calls, wanted):
    assert values(run([made], calls)) == {0: wanted}


def counting(n):
    yield from range(n)


def test_a_generator_function_gives_a_list(run):
    assert values(run([step(counting, Style.MAP)], items(0, 3))) == {0: [], 1: [0, 1, 2]}


def picky(x):
    if x < 0:
        raise ValueError(f"no {x}")
    if x == 0:
        raise SystemExit(3)
    return x


def test_calls_that_fail_leave_their_neighbours(run):
    link = run([step(picky, Style.MAP)], items(1, -1, 2, 0, 3))
    assert values(link) == {0: 1, 2: 2, 4: 3}
    failed = {o.position: (o.failure.type, o.failure.cause) for o in link.outcomes if isinstance(o, Failed)}
    assert failed == {1: ("ValueError", Cause.RAISED), 3: ("SystemExit", Cause.RAISED)}


def half(x):
    return x if x % 2 else (y for y in ())


def test_results_that_cannot_be_sent_are_found_one_by_one(run):
    link = run([step(half, Style.MAP)], items(1, 2, 3))
    assert values(link) == {0: 1, 2: 3}
    (failed,) = [o for o in link.outcomes if isinstance(o, Failed)]
    assert (failed.position, failed.failure.cause) == (1, Cause.RESULT)


def test_an_argument_that_cannot_be_read_fails_its_calls(run):
    class Trap:
        def __reduce__(self):
            return (picky, (-5,))

    link = run([step(picky, Style.MAP)], Calls(range(1), (([Trap()],),)))
    (failed,) = link.outcomes
    assert (failed.failure.type, failed.failure.message) == ("ValueError", "no -5")


def test_time_that_is_up_hands_back_the_rest(run):
    link = run([step(time.sleep, Style.MAP)], items(0.02, 0.02, 0.02, 0.02), budget_s=0.03)
    (rest,) = [o for o in link.outcomes if isinstance(o, Rest)]
    assert 0 < rest.start < 4
    assert set(values(link)) == set(range(rest.start))


def test_after_a_failure_the_others_go_on_where_it_stood(run):
    link = run([step(picky, Style.MAP)], items(-1, 1, -2, -3, 2, -4))
    assert values(link) == {1: 1, 4: 2}
    assert [o.position for o in link.outcomes if isinstance(o, Failed)] == [0, 2, 3, 5]


def test_time_that_is_up_in_a_call_that_failed_hands_back_the_rest_too(run):
    def late(seconds):
        time.sleep(seconds)
        raise ValueError

    link = run([step(late, Style.MAP)], items(0.05, 0.0, 0.0), budget_s=0.03)
    assert [o.start for o in link.outcomes if isinstance(o, Rest)] == [1]
    assert [o.position for o in link.outcomes if isinstance(o, Failed)] == [0]


def test_an_alarm_that_a_call_has_left_fails_one_call_and_shifts_no_other(run):
    def set_alarm(number):
        if number == 3:
            signal.setitimer(signal.ITIMER_REAL, 0.001)
        return number

    class Rang(Exception):
        pass

    def ring(*_):
        raise Rang

    before = signal.signal(signal.SIGALRM, ring)
    try:
        link = run([step(set_alarm, Style.MAP)], items(*range(50_000)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    (failed,) = [o for o in link.outcomes if isinstance(o, Failed)]
    assert values(link) == {n: n for n in range(50_000) if n != failed.position}


def test_the_time_that_is_told_is_that_of_the_calls_and_not_of_an_import(run, monkeypatch):
    real = performing.prepare
    monkeypatch.setattr(performing, "prepare", lambda job: (time.sleep(0.2), real(job))[1])
    assert run([step(abs, Style.MAP)], items(-1)).took_s < 0.2


def test_the_items_of_a_range_are_made_where_they_are_used(run):
    link = run([step(abs, Style.MAP)], Calls(range(3), ((range(-3, 0),),)))
    assert values(link) == {0: 3, 1: 2, 2: 1}


def test_a_chain_goes_step_by_step_and_tells_what_is_wanted(run):
    link = run([step(picky, Style.MAP, wanted=False), step(str, Style.MAP)], items(1, -1, 2))
    assert link.steps == [1]
    assert values(link, 1) == {0: "1", 2: "2"}
    assert [(o.start, o.stop) for o in link.outcomes if isinstance(o, Done) and o.step == 0 and o.data is None] == [
        (0, 1),
        (2, 3),
    ]


def test_a_failure_in_a_later_step_carries_what_that_step_was_given(run):
    link = run([step(abs, Style.MAP), step(picky, Style.MAP)], items(-1, 0, 2))
    (failed,) = [o for o in link.outcomes if isinstance(o, Failed)]
    assert (failed.step, failed.position, pickle.loads(failed.carried)) == (1, 1, [0])
    assert values(link, 1) == {0: 1, 2: 2}


def test_a_chain_can_begin_at_a_later_step(run):
    link = run([step(abs, Style.MAP), step(str, Style.MAP)], items(-1), at=1)
    assert values(link, 1) == {0: "-1"}
    assert link.steps == []


def test_a_function_that_cannot_be_had_fails_every_call(run):
    made = Step("s", FunctionSource("module", "no_such_module_here", "f"), Style.MAP, (), pack({}), True)
    link = run([made], items(1, 2))
    assert [(o.position, o.failure.type) for o in link.outcomes] == [(0, "FunctionNotFound"), (1, "FunctionNotFound")]
