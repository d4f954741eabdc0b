"""What travels together: how long calls are thought to be, how many go in a chunk, how many workers they keep busy."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from pipeline_runner.engine.chunks import AIM_S
from pipeline_runner.engine.lane import AHEAD, LONGEST, MOST, TRUST, Lane, Loads, Pace, Passenger, Waiting
from pipeline_runner.worker.job import FunctionSource, Step

FUNCTION = FunctionSource("module", "work", "short")
COMMAND = FunctionSource("shell", "", "text")
BY_NAME = FunctionSource("pickle", "", "work:short", b"cwork\nshort\n.")
WITH_ITS_CODE = FunctionSource("pickle", "", "<lambda>", bytes(LONGEST + 1))
STEP = Step("s", FUNCTION, None, (), b"", wanted=True)


@dataclass
class Spec:
    priority: int = 0


@dataclass
class Head:
    spec: Spec = field(default_factory=Spec)


@dataclass
class Stage:
    number: int
    head: Head = field(default_factory=Head)


def passenger(number, expected_s, priority=0):
    return Passenger(Stage(number, Head(Spec(priority))), None, STEP, expected_s)


def drawn(waiting):
    calls = waiting.draw(1 << 20)
    return list(calls.indices)


def waiting_for(*passengers, workers=1):
    waiting = Waiting(workers)
    for one in passengers:
        waiting.push(one)
    waiting.take_up()
    return waiting


def test_nobody_knows_how_long_a_function_takes_that_was_not_seen_yet():
    assert Pace().expected_s(FUNCTION, None) == inf


def test_the_more_often_a_function_was_seen_to_be_short_the_more_of_its_calls_go_together():
    pace = Pace()
    fit = []
    for _ in range(3):
        pace.learn(FUNCTION, 1e-6)
        fit.append(round(AIM_S / pace.expected_s(FUNCTION, None)))
    assert fit == [TRUST, 2 * TRUST, 3 * TRUST]


def test_one_long_call_is_remembered():
    pace = Pace()
    for took_s in (1e-6, 2.0, 1e-6):
        pace.learn(FUNCTION, took_s)
    assert pace.expected_s(FUNCTION, None) > 1.0


def test_what_an_earlier_run_recorded_of_the_stage_counts_for_more_than_other_calls_of_its_function():
    pace = Pace()
    pace.learn(FUNCTION, 1e-6)
    assert pace.expected_s(FUNCTION, 7.0) == 7.0


def test_commands_are_not_alike():
    pace = Pace()
    pace.learn(COMMAND, 1e-6)
    assert pace.expected_s(COMMAND, None) == inf


def test_a_function_that_is_given_in_python_is_known_again_by_its_name():
    pace = Pace()
    for function in (BY_NAME, WITH_ITS_CODE):
        pace.learn(function, 1e-6)
    assert pace.expected_s(BY_NAME, None) < inf
    assert pace.expected_s(WITH_ITS_CODE, None) == inf


def test_calls_of_which_nothing_is_known_go_one_by_one():
    waiting = waiting_for(passenger(4, inf), passenger(5, inf))
    assert [drawn(waiting), drawn(waiting), drawn(waiting)] == [[4], [5], []]


def test_short_calls_go_together_up_to_the_first_that_may_be_long():
    waiting = waiting_for(passenger(0, 1e-4), passenger(1, 1e-4), passenger(2, inf), passenger(3, 1e-4))
    assert [drawn(waiting), drawn(waiting), drawn(waiting)] == [[0, 1], [2], [3]]


def test_calls_of_one_priority_go_together():
    waiting = waiting_for(passenger(0, 1e-4, priority=1), passenger(1, 1e-4))
    assert [drawn(waiting), drawn(waiting)] == [[0], [1]]


def test_work_that_is_worth_a_message_is_shared_out_so_that_a_worker_has_one_chunk_and_another_waits_for_it():
    waiting = waiting_for(*(passenger(number, 2**-10) for number in range(20)), workers=2)
    assert len(drawn(waiting)) == 20 // (2 * AHEAD)


def test_calls_that_take_longer_than_a_message_costs_are_not_kept_from_a_worker_that_is_idle():
    waiting = waiting_for(passenger(0, 2**-10), passenger(1, 2**-10), workers=2)
    assert [drawn(waiting), drawn(waiting)] == [[0], [1]]


def test_a_chunk_has_only_so_many_calls():
    waiting = waiting_for(*(passenger(number, 1e-9) for number in range(3 * MOST)))
    assert len(drawn(waiting)) == MOST


def test_what_waits_at_the_door_is_let_in_at_once():
    waiting = Waiting(1)
    waiting.push(passenger(0, inf))
    waiting.push(passenger(1, inf))
    assert (waiting.dry, waiting.length) == (True, 0)
    for _ in range(2):
        waiting.take_up()
        assert (waiting.dry, waiting.length, waiting.arrivals) == (False, 2, 1)


def lane(workers):
    @dataclass
    class Choice:
        method: object

    @dataclass
    class Method:
        parallel: bool = False

    head = Head()
    head.choice, head.workers = Choice(Method()), 1
    return Lane(number=9, chain=None, head=head, most=workers)


def test_a_lane_whose_method_waits_for_each_call_is_asked_by_as_many_threads_as_it_has_chunks_in_flight():
    assert lane(3).askers == 3 * AHEAD
    assert Loads(3, None).window(3 * AHEAD) == 3 * AHEAD


def test_each_call_that_may_be_long_wants_a_worker():
    made = lane(4)
    for number in range(3):
        made.board(passenger(number, inf))
    assert made.demand(0) == 3
    made.leave(0)
    assert made.demand(0) == 2


def test_short_calls_want_workers_only_when_there_is_more_than_each_can_have_in_hand():
    made = lane(4)
    for number in range(AHEAD * MOST - 1):
        made.board(passenger(number, 1e-6))
    assert made.demand(0) == 0
    made.board(passenger(1000, 1e-6))
    assert made.demand(0) == 1


def test_what_is_aboard_with_a_lower_priority_keeps_no_worker_from_a_higher_one():
    made = lane(4)
    made.board(passenger(0, inf, priority=-1))
    assert (made.demand(-1), made.demand(0)) == (1, 0)
