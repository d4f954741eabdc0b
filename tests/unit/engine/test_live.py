"""Live iterators and handles over results that are put by hand."""

from __future__ import annotations

import pickle
import threading

import pytest

from pipeline_runner import events
from pipeline_runner.calls import Cause, Failure, Pack
from pipeline_runner.engine.live import CallError, CallHandle, LiveValues, MapHandle
from pipeline_runner.engine.results import Results
from pipeline_runner.state import RunState

pytestmark = pytest.mark.timeout(10)


def pack(*values):
    return Pack(pickle.dumps(list(values)), 0, len(values))


class Bench:
    """A stage's results, its state, and what may be had of them."""

    def __init__(self):
        self.lock = threading.Condition()
        self.results = Results(in_order=True, keep=True, lock=self.lock)
        self.state = RunState()
        self.state.take(events.RunStarted(run="r", pipeline="p", workers=1, stages=("s",)))
        self.moved = 0
        self.error = None

    def live(self):
        live = LiveValues(self.lock, self.move, lambda: self.error)
        self.results.read_along(live, ordered=True)
        return live

    def move(self):
        self.moved += 1

    def about(self):
        return "s", self.results, self.lock, self.state

    def fail(self, index, pickled=None):
        failure = Failure(Cause.RAISED, "ValueError", "no", pickled=pickled)
        self.state.take(events.CallFailed(stage="s", index=index, tries=1, failure=failure))
        self.results.drop(index)


def test_live_values_come_in_order_and_make_room():
    bench = Bench()
    live = bench.live()
    bench.results.put(range(1, 2), pack("b"))
    bench.results.put(range(1), pack("a"))
    assert live.backlog == 2
    assert [next(live), next(live)] == ["a", "b"]
    assert (live.backlog, bench.moved) == (0, 2)
    bench.results.end(2)
    assert list(live) == []


def test_a_live_iterator_waits_for_the_next_value():
    bench = Bench()
    live, got = bench.live(), []
    thread = threading.Thread(target=lambda: got.append(next(live)))
    thread.start()
    bench.results.put(range(1), pack("a"))
    thread.join()
    assert got == ["a"]


def test_a_live_iterator_raises_what_ended_it_after_all_that_came():
    bench = Bench()
    live = bench.live()
    bench.results.put(range(1), pack("a"))
    bench.error = LookupError("early")
    bench.results.end(1)
    assert next(live) == "a"
    with pytest.raises(LookupError, match="early"):
        next(live)


def test_a_live_iterator_that_was_let_go_holds_nobody_and_loses_nothing():
    bench = Bench()
    live = bench.live()
    bench.results.put(range(2), pack("a", "b"))
    live.let_go()
    assert live.backlog == 0
    bench.results.end(2)
    assert list(live) == ["a", "b"]


def test_a_call_handle_from_waiting_to_its_value():
    bench = Bench()
    handle = CallHandle(1, *bench.about())
    assert not handle.ready()
    with pytest.raises(ValueError, match="has not ended"):
        handle.successful()
    with pytest.raises(TimeoutError):
        handle.get(0.0)
    handle.wait(0.0)
    bench.results.put(range(2), pack("a", "b"))
    assert (handle.ready(), handle.successful(), handle.get()) == (True, True, "b")


def test_a_call_handle_of_a_failed_call():
    bench = Bench()
    handle = CallHandle(0, *bench.about())
    bench.fail(0, pickle.dumps(ValueError("no")))
    assert (handle.ready(), handle.successful()) == (True, False)
    with pytest.raises(CallError, match='stage "s", call 0: ValueError: no') as error:
        handle.get()
    assert isinstance(error.value.__cause__, ValueError)


def test_an_exception_that_cannot_be_read_here_leaves_its_words():
    bench = Bench()
    bench.fail(0, b"cno_such_module\nBroken\n.")
    with pytest.raises(CallError, match="ValueError: no") as error:
        CallHandle(0, *bench.about()).get()
    assert error.value.__cause__ is None


def test_a_call_that_never_ran_raises_why():
    bench = Bench()
    bench.results.end(5, lambda: LookupError("cancelled"))
    with pytest.raises(LookupError, match="cancelled"):
        CallHandle(3, *bench.about()).get()


def test_a_map_handle_is_ready_when_all_is():
    bench = Bench()
    handle = MapHandle(*bench.about())
    bench.results.put(range(1), pack("a"))
    assert not handle.ready()
    with pytest.raises(TimeoutError):
        handle.get(0.0)
    with pytest.raises(ValueError, match="has not ended"):
        handle.successful()
    bench.results.end(1)
    assert (handle.get(), handle.successful()) == (["a"], True)


def test_a_map_handle_with_a_dropped_call_was_not_successful():
    bench = Bench()
    handle = MapHandle(*bench.about())
    bench.results.put(range(1), pack("a"))
    bench.fail(1)
    bench.results.end(2)
    assert (handle.get(), handle.successful()) == (["a"], False)
