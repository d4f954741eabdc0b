"""The values of a stage: kept, passed on in order or as they come, with gaps for what was dropped."""

from __future__ import annotations

import pickle
import threading

import pytest

from pipeline_runner.calls import Pack
from pipeline_runner.engine.results import Results, runs


def pack(*values):
    return Pack(pickle.dumps(list(values)), 0, len(values))


class Reader:
    """Writes down what it is given."""

    def __init__(self):
        self.got = []
        self.total = None
        self.backlog = 0

    def push(self, indices, pack):
        self.got += zip(indices, pack.values(), strict=True)

    def end(self, total):
        self.total = total


def results(*, in_order=True, keep=True):
    return Results(in_order=in_order, keep=keep, lock=threading.Condition())


def test_an_ordered_reader_gets_values_in_call_order():
    made, reader = results(), Reader()
    made.read_along(reader, ordered=True)
    made.put(range(2, 4), pack("c", "d"))
    assert reader.got == []
    made.put(range(2), pack("a", "b"))
    assert reader.got == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]


@pytest.mark.parametrize(("read", "kept"), [(True, b"12345678"), (False, None)])
def test_digests_are_kept_only_where_calls_are_made_of_the_values(read, kept):
    made = Results(in_order=True, keep=True, lock=threading.Condition(), read=read)
    made.put(range(1), pack("a")._replace(digests=b"12345678"))
    assert [held.digests for _, held in made.segments()] == [kept]


def test_an_unordered_reader_gets_values_as_they_come():
    made, reader = results(), Reader()
    made.read_along(reader, ordered=False)
    made.put(range(2, 3), pack("c"))
    assert reader.got == [(2, "c")]


def test_a_dropped_call_is_a_gap_that_nobody_waits_for():
    made, reader = results(), Reader()
    made.read_along(reader, ordered=True)
    made.put(range(1, 2), pack("b"))
    made.drop(0)
    assert reader.got == [(1, "b")]
    made.drop(2)
    made.put(range(3, 4), pack("d"))
    assert reader.got == [(1, "b"), (3, "d")]
    assert made.dropped(2)
    assert not made.dropped(1)


def test_a_late_reader_gets_what_is_kept_first():
    made, reader = results(), Reader()
    made.put(range(1, 2), pack("b"))
    made.put(range(1), pack("a"))
    made.read_along(reader, ordered=True)
    assert reader.got == [(0, "a"), (1, "b")]
    made.end(2)
    assert reader.total == 2


def test_a_reader_that_comes_after_the_end_gets_all_and_the_end():
    made, reader = results(), Reader()
    made.put(range(1), pack("a"))
    made.drop(1)
    made.end(2)
    made.read_along(reader, ordered=True)
    assert (reader.got, reader.total) == ([(0, "a")], 2)


def test_what_waited_for_its_turn_is_passed_on_at_the_end():
    made, reader = results(), Reader()
    made.read_along(reader, ordered=True)
    made.put(range(2, 3), pack("c"))
    made.end(3)
    assert reader.got == [(2, "c")]


def test_the_backlog_is_that_of_the_slowest_reader_with_what_is_held_for_it():
    made, fast, slow = results(), Reader(), Reader()
    made.read_along(fast, ordered=False)
    made.read_along(slow, ordered=True)
    made.put(range(1, 2), pack("b"))
    slow.backlog = 3
    assert made.backlog == 4


def test_values_are_in_call_order_or_as_they_came():
    for in_order, wanted in [(True, ["a", "b", "c"]), (False, ["c", "a", "b"])]:
        made = results(in_order=in_order)
        made.put(range(2, 3), pack("c"))
        made.put(range(2), pack("a", "b"))
        assert made.values() == wanted


def test_one_value_is_found_by_its_number():
    made = results()
    made.put(range(2, 5), Pack(pickle.dumps(list("xxcdey")), 2, 5))
    assert made.one(3) == "d"
    assert made.has(4)
    assert not made.has(5)
    with pytest.raises(KeyError):
        made.one(5)


def test_what_ended_a_stage_early_is_raised_for_its_values():
    made = results()
    made.put(range(1), pack("a"))
    made.end(1, lambda: LookupError("early"))
    with pytest.raises(LookupError, match="early"):
        made.values()


def test_what_is_not_kept_is_only_passed_on():
    made, reader = results(keep=False), Reader()
    made.read_along(reader, ordered=True)
    made.put(range(1), pack("a"))
    assert (reader.got, made.values()) == ([(0, "a")], [])


def test_runs_are_neighbours_in_the_order_given():
    assert list(runs([0, 1, 2, 5, 6, 3])) == [range(3), range(5, 7), range(3, 4)]
    assert list(runs([])) == []
    assert list(runs(range(4))) == [range(4)]
