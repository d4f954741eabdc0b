"""The gate between engine and pool: who gets in, who waits, and what is owed first."""

from __future__ import annotations

import itertools
import pickle
import threading
from queue import SimpleQueue
from time import monotonic

import pytest

from pipeline_runner.calls import Calls, Ticket
from pipeline_runner.engine.chunks import Sizes
from pipeline_runner.engine.feed import Feed, Owed, RoundChunks
from pipeline_runner.engine.intake import FromItems, FromValues

pytestmark = pytest.mark.timeout(10)


class Unsendable:
    def __reduce__(self):
        raise TypeError("not this one")


class Bench:
    """A feed with everything around it in plain sight."""

    def __init__(self, items=(), *, intake=None, window=4, workers=2, lazy=True, single=False, chunk=1, stir=None):
        self.refused = []
        self.behind = 0
        self.lock = threading.Condition()
        self.feed = Feed(
            intake or FromItems(iter(items), None),
            Sizes(workers, chunk),
            lock=self.lock,
            window=window,
            workers=workers,
            lazy=lazy,
            single=single,
            backlog=lambda: self.behind,
            ticket=lambda chunk, step, size: Ticket("@", 0, 0, step, chunk, 0.0, False, size),
            refuse=lambda chunk, error: self.refused.append((chunk, error)),
            numbers=itertools.count(),
            stir=stir,
        )

    def wake(self):
        with self.lock:
            self.lock.notify_all()


def items(task):
    """The items of a task whose one column is plain."""
    columns, _ = pickle.loads(task[1])
    return list(columns[0][0])


def waiting(feed):
    """The next task, asked for in a thread: a list that fills, and the thread."""
    got = []
    thread = threading.Thread(target=lambda: got.append(feed.next()), daemon=True)
    thread.start()
    return got, thread


def held(thread):
    """Whether it still waits, after more than time enough to have gone on."""
    thread.join(0.1)
    return thread.is_alive()


def test_chunks_come_in_order_with_their_tickets():
    bench = Bench("abcde", chunk=2, window=9)
    tasks = [bench.feed.next() for _ in range(3)]
    assert [items(task) for task in tasks] == [["a", "b"], ["c", "d"], ["e"]]
    assert [(task[0].chunk, task[0].size) for task in tasks] == [(0, 2), (1, 2), (2, 1)]
    assert set(bench.feed.flights) == {0, 1, 2}


def test_the_window_bounds_what_is_in_flight():
    bench = Bench("abc", window=2)
    bench.feed.next()
    bench.feed.next()
    got, thread = waiting(bench.feed)
    assert held(thread)
    bench.feed.landed(0)
    thread.join()
    assert items(got[0]) == ["c"]


def test_a_reader_that_is_behind_holds_new_chunks():
    bench = Bench("ab", window=2)
    bench.behind = 2
    got, thread = waiting(bench.feed)
    assert held(thread)
    bench.behind = 1
    bench.wake()
    thread.join()
    assert items(got[0]) == ["a"]


def test_what_is_owed_goes_first_and_needs_no_room():
    bench = Bench("abc", window=1)
    bench.feed.next()
    flight = bench.feed.flights[0]
    bench.behind = 9
    bench.feed.again(Owed(flight.calls, 1))
    task = bench.feed.next()
    assert items(task) == ["a"]
    assert task[0].step == 1


def test_what_is_owed_later_waits_for_its_moment():
    bench = Bench("a")
    bench.feed.next()
    calls = bench.feed.flights[0].calls
    bench.feed.landed(0)
    due = monotonic() + 0.15
    bench.feed.again(Owed(calls, 0, after=due))
    assert items(bench.feed.next()) == ["a"]
    assert monotonic() >= due


def test_what_is_owed_is_cut_to_what_may_travel_together():
    bench = Bench("abcdef", chunk=6)
    bench.feed.next()
    calls = bench.feed.flights[0].calls
    bench.feed.landed(0)
    bench.feed.again(Owed(calls, 0, most=4))
    assert [items(bench.feed.next()), items(bench.feed.next())] == [["a", "b", "c", "d"], ["e", "f"]]


def test_a_lazy_round_waits_for_its_last_flights_and_then_ends():
    bench = Bench("a")
    bench.feed.next()
    got, thread = waiting(bench.feed)
    assert held(thread)
    bench.feed.landed(0)
    thread.join()
    assert got == [None]
    assert bench.feed.finished
    assert bench.feed.total == 1


def test_closing_lets_whoever_waits_go():
    bench = Bench("ab", window=1)
    bench.feed.next()
    got, thread = waiting(bench.feed)
    bench.feed.close()
    thread.join()
    assert got == [None]
    bench.feed.open()
    bench.feed.landed(0)
    assert items(bench.feed.next()) == ["b"]


def test_giving_up_forgets_everything_and_takes_nothing_more():
    intake = FromValues(lambda: None)
    intake.push(range(1), None)
    bench = Bench(intake=intake)
    bench.feed.give_up()
    bench.feed.again(Owed(FromItems(iter("a"), 1).draw(1), 0))
    assert bench.feed.finished
    assert bench.feed.next() is None
    assert intake.backlog == 0


def test_a_source_that_has_nothing_yet_is_waited_for():
    from pipeline_runner.calls import Pack

    bench = Bench(intake=FromValues(lambda: None))
    got, thread = waiting(bench.feed)
    assert held(thread)
    bench.feed._intake.push(range(1), Pack(pickle.dumps(["x"]), 0, 1))
    bench.wake()
    thread.join()
    assert got[0][0].size == 1


def test_a_source_that_raises_ends_the_round_and_is_remembered():
    def broken():
        yield "a"
        raise LookupError

    bench = Bench(broken())
    assert items(bench.feed.next()) == ["a"]
    assert bench.feed.next() is None
    assert isinstance(bench.feed.error, LookupError)


def test_a_call_that_cannot_be_sent_is_refused_and_its_neighbours_go():
    bench = Bench(["a", Unsendable(), "c"], chunk=3, window=9)
    tasks = [bench.feed.next(), bench.feed.next()]
    assert [items(task) for task in tasks] == [["a"], ["c"]]
    ((chunk, error),) = bench.refused
    assert (str(error), list(bench.feed.flights[chunk].calls.indices)) == ("not this one", [1])


def test_an_eager_method_gets_all_at_once_whatever_the_window():
    bench = Bench(range(10), lazy=False, window=1, chunk=None, workers=2)
    tasks = list(RoundChunks(bench.feed, lazy=False))
    assert [n for task in tasks for n in items(task)] == list(range(10))
    assert len(tasks) == 5  # 10 calls in about four chunks a worker
    assert list(RoundChunks(bench.feed, lazy=False)) == []


def test_an_eager_round_takes_only_what_is_due():
    bench = Bench("ab", lazy=False)
    list(RoundChunks(bench.feed, lazy=False))
    for chunk, after in [(0, 0.0), (1, monotonic() + 60)]:
        bench.feed.again(Owed(bench.feed.flights[chunk].calls, 0, after=after))
        bench.feed.landed(chunk)
    assert [items(task) for task in RoundChunks(bench.feed, lazy=False)] == [["a"]]
    assert not bench.feed.finished


def test_a_stage_of_single_calls_never_sends_two_together():
    bench = Bench("abc", single=True, chunk=3, window=9)
    assert [bench.feed.next()[0].size for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("lazy", [True, False])
def test_columns_are_drawn_side_by_side(lazy):
    bench = Bench("abc", lazy=lazy, window=9)
    tickets, payloads = RoundChunks(bench.feed, lazy).columns()
    pairs = [next(iter_pair) for iter_pair in [zip(tickets, payloads, strict=False)] for _ in range(3)]
    assert [items(pair) for pair in pairs] == [["a"], ["b"], ["c"]]
    assert [ticket.chunk for ticket, _ in pairs] == [0, 1, 2]


def test_a_thread_of_a_round_that_is_over_leaves_what_it_drew_to_the_next_round():
    drawing, go_on = threading.Event(), threading.Event()

    def slow():
        drawing.set()
        go_on.wait(10)
        yield "a"

    bench = Bench(slow())
    bench.feed.open()
    of_before = bench.feed.round
    got = []
    late = threading.Thread(target=lambda: got.append(bench.feed.next(of_before)), daemon=True)
    late.start()
    assert drawing.wait(10)
    bench.feed.close()
    bench.feed.open()
    assert not bench.feed.finished
    go_on.set()
    late.join(10)
    assert got == [None]
    assert bench.feed.flights == {}
    assert items(bench.feed.next()) == ["a"]


def test_room_may_be_told_of_when_the_turn_ends():
    stirred = []
    bench = Bench("ab", window=1, stir=lambda: stirred.append(True))
    first = bench.feed.next()
    got, thread = waiting(bench.feed)
    assert held(thread)
    bench.feed.landed(first[0].chunk)
    assert stirred
    assert held(thread), "it sleeps until the turn ends"
    bench.wake()
    thread.join()
    assert items(got[0]) == ["b"]


class Trickle:
    """An intake that gives one item for each that was put."""

    size, total, arrivals = None, 0, 0

    def __init__(self):
        self.here = []

    @property
    def dry(self):
        return not self.here

    def draw(self, most):
        part, self.here[:] = self.here[:1], self.here[1:]
        return Calls(range(len(part)), ((part,),) if part else ())

    def leave(self):
        pass


def test_those_are_woken_for_whom_there_is_something():
    trickle, got = Trickle(), SimpleQueue()
    bench = Bench(intake=trickle)
    askers = [threading.Thread(target=lambda: got.put(bench.feed.next()), daemon=True) for _ in range(3)]
    for asker in askers:
        asker.start()
    assert all(map(held, askers))
    trickle.here += ["a", "b"]
    bench.feed.wake(2)
    assert sorted(items(got.get()) for _ in range(2)) == [["a"], ["b"]]
    assert sum(map(held, askers)) == 1, "there is nothing for the third"
    bench.feed.close()
    assert got.get() is None
