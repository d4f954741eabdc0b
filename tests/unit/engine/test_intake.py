"""Where calls come from: one call, items, another stage's values, columns side by side."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.calls import Pack, column_values
from pipeline_runner.engine import intake as intake_module
from pipeline_runner.engine.intake import (
    Batched,
    Described,
    FromItems,
    FromSequence,
    FromValues,
    Once,
    PerCall,
    SideBySide,
    UnequalColumns,
)


def pack(*values):
    return Pack(pickle.dumps(list(values)), 0, len(values))


def arriving(*pushes, total=None):
    """An intake to which these (first number, values) have been pushed."""
    intake = FromValues(lambda: None)
    for first, values in pushes:
        intake.push(range(first, first + len(values)), pack(*values))
    if total is not None:
        intake.end(total)
    return intake


def rows(calls):
    """A draw as {number: its arguments}."""
    columns = [column_values(column) for column in calls.columns]
    return {number: tuple(column[at] for column in columns) for at, number in enumerate(calls.indices)}


def drawn(intake, most=3):
    """All rows until the end, drawn a few at a time."""
    found = {}
    while (calls := intake.draw(most)) is not None:
        assert len(calls), "waits for more, and more never comes"
        assert len(calls) <= most
        found |= rows(calls)
    return found


def test_a_sequence_is_drawn_in_the_parts_that_are_asked_for():
    intake = FromSequence(list("abcdefgh"), [range(5, 8), range(1), range(1, 5)])
    assert intake.size == 8
    first = intake.draw(2)
    assert rows(first) == {5: ("f",), 6: ("g",)}
    assert intake.size == 6
    assert list(drawn(intake)) == [7, 0, 1, 2, 3, 4]
    assert intake.total == 8
    assert FromSequence([]).draw(1) is None


def test_once_is_one_call_without_columns():
    once = Once()
    assert once.size == 1
    calls = once.draw(5)
    assert (list(calls.indices), calls.columns) == ([0], ())
    assert (once.size, once.draw(5), once.total) == (0, None, 1)


def test_items_are_drawn_as_they_are_asked_for():
    asked = []
    intake = FromItems((asked.append(n) or n for n in range(10)), None)
    assert rows(intake.draw(2)) == {0: (0,), 1: (1,)}
    assert asked == [0, 1]
    assert intake.size is None
    assert len(drawn(intake)) == 8
    assert intake.total == 10


def test_items_of_known_number_tell_how_many_are_left():
    intake = FromItems(iter("abc"), 3)
    intake.draw(2)
    assert intake.size == 1


def test_no_items_end_at_once():
    assert FromItems(iter(()), 0).draw(1) is None
    assert arriving(total=0).draw(1) is None


def test_values_wait_for_more_until_their_end():
    intake = arriving((0, "ab"))
    assert rows(intake.draw(9)) == {0: ("a",), 1: ("b",)}
    assert len(intake.draw(9)) == 0
    before = intake.arrivals
    intake.push(range(2, 3), pack("c"))
    assert intake.arrivals > before
    intake.end(3)
    assert intake.size == 1
    assert drawn(intake) == {2: ("c",)}


def test_values_are_cut_where_fewer_are_asked_for_and_keep_their_numbers():
    intake = arriving((0, "abcd"), (10, "xy"), total=12)
    assert rows(intake.draw(3)) == {0: ("a",), 1: ("b",), 2: ("c",)}
    last = intake.draw(9)
    assert list(last.indices) == [3, 10, 11]
    assert rows(last) == {3: ("d",), 10: ("x",), 11: ("y",)}


def test_values_that_came_out_of_order_keep_their_numbers():
    intake = arriving((0, "a"), (2, "c"), (1, "b"), (3, "d"), total=4)
    assert rows(intake.draw(9)) == {0: ("a",), 1: ("b",), 2: ("c",), 3: ("d",)}


def test_values_tell_when_they_are_drawn_and_what_waits():
    moved = []
    intake = FromValues(lambda: moved.append(1))
    intake.push(range(1), pack("a"))
    assert intake.backlog == 1
    intake.draw(1)
    assert (intake.backlog, moved) == (0, [1])


def test_who_has_left_holds_nobody_back():
    moved = []
    intake = FromValues(lambda: moved.append(1))
    intake.push(range(1), pack("a"))
    intake.leave()
    intake.push(range(1, 2), pack("b"))
    assert (intake.backlog, moved) == (0, [1])


def side(*columns, shortest=False):
    return SideBySide(list(columns), [f"column {n}" for n in range(1, len(columns) + 1)], shortest)


def test_columns_side_by_side():
    intake = side(FromItems(iter("abcd"), 4), FromItems(iter(range(4)), 4))
    assert intake.size == 4
    assert drawn(intake) == {n: ("abcd"[n], n) for n in range(4)}
    assert intake.total == 4


def test_columns_that_come_in_pieces_of_other_sizes():
    one = arriving((0, "ab"), (2, "c"), (3, "def"), total=6)
    other = arriving((0, "u"), (1, "vwxyz"), total=6)
    assert drawn(side(one, other)) == {n: ("abcdef"[n], "uvwxyz"[n]) for n in range(6)}


def test_a_number_that_one_column_dropped_is_dropped_from_all():
    one = arriving((0, "ab"), (3, "de"), total=5)  # 2 is dropped
    other = arriving((1, "vwxy"), total=5)  # 0 is dropped
    assert drawn(side(one, other, FromItems(iter(range(5)), 5))) == {
        1: ("b", "v", 1),
        3: ("d", "x", 3),
        4: ("e", "y", 4),
    }


@pytest.mark.parametrize("dropped", [[0], [4], [3, 4], [0, 1, 2, 3, 4]])
def test_drops_at_the_edges_do_not_make_columns_unequal(dropped):
    kept = [n for n in range(5) if n not in dropped]
    one = arriving(*((n, [n]) for n in kept), total=5)
    assert drawn(side(one, FromItems(iter(range(5)), 5))) == {n: (n, n) for n in kept}


def test_a_column_that_is_behind_is_waited_for():
    one, other = arriving((0, "ab")), arriving((0, "u"))
    intake = side(one, other)
    assert rows(intake.draw(9)) == {0: ("a", "u")}
    assert len(intake.draw(9)) == 0
    other.push(range(1, 2), pack("v"))
    assert rows(intake.draw(9)) == {1: ("b", "v")}


@pytest.mark.parametrize(("first", "second"), [(3, 5), (5, 3), (0, 1), (1, 0)])
def test_unequal_columns_name_both_lengths(first, second):
    intake = side(FromItems(iter(range(first)), first), FromItems(iter(range(second)), second))
    with pytest.raises(UnequalColumns) as error:
        drawn(intake)
    assert (error.value.short_length, error.value.long_length) == (min(first, second), max(first, second))
    assert f"has {min(first, second)} items" in str(error.value)
    assert "shortest: true" in str(error.value)


def test_unequal_columns_of_unknown_length_say_that_one_has_more():
    with pytest.raises(UnequalColumns, match="column 1 has 2 items, column 2 has more"):
        drawn(side(FromItems(iter("ab"), None), FromItems(iter("abcdefgh"), None)))


def test_values_that_ended_apart_are_unequal_even_when_nothing_is_left_to_draw():
    with pytest.raises(UnequalColumns):
        drawn(side(arriving(total=0), arriving(total=2)))


@pytest.mark.parametrize(("first", "second"), [(3, 5), (5, 3), (0, 4)])
def test_the_shortest_column_ends_the_zip(first, second):
    intake = side(FromItems(iter(range(first)), first), FromItems(iter(range(second)), second), shortest=True)
    assert drawn(intake) == {n: (n, n) for n in range(min(first, second))}
    assert intake.total == min(first, second)


def test_leaving_a_zip_leaves_all_its_columns():
    one = arriving((0, "ab"))
    side(one, FromItems(iter("ab"), 2)).leave()
    assert one.backlog == 0


def test_keywords_of_each_call_follow_its_number_and_item():
    intake = PerCall(FromItems(iter("ab"), 2), lambda index, item: {"k": f"{index}{item}"}, lambda row: row[0])
    calls = intake.draw(5)
    assert column_values(calls.keywords) == [{"k": "0a"}, {"k": "1b"}]
    assert intake.draw(5) is None


def test_keywords_of_a_call_with_several_columns_see_the_row():
    intake = PerCall(side(FromItems(iter("ab"), 2), FromItems(iter("xy"), 2)), lambda index, item: {"k": item}, tuple)
    assert column_values(intake.draw(5).keywords) == [{"k": ("a", "x")}, {"k": ("b", "y")}]


def lists(calls):
    """A draw as pairs of a number and its batch."""
    (column,) = calls.columns
    return list(zip(calls.indices, column_values(column), strict=True))


def batched(*pushes, total=None, size=3):
    values = arriving(*pushes, total=total)
    return Batched(values, size), values


def test_a_batch_is_there_as_soon_as_its_items_are():
    batches, values = batched((0, "ab"))
    assert len(batches.draw(4)) == 0
    values.push(range(2, 4), pack("c", "d"))
    assert lists(batches.draw(4)) == [(0, ["a", "b", "c"])]
    assert len(batches.draw(4)) == 0
    values.end(4)
    assert lists(batches.draw(4)) == [(1, ["d"])]
    assert batches.draw(4) is None
    assert batches.total == 2


def test_no_more_batches_are_given_than_were_asked_for():
    batches = Batched(FromItems(iter(range(10)), 10), 2)
    assert batches.size == 5
    assert lists(batches.draw(2)) == [(0, [0, 1]), (1, [2, 3])]
    assert batches.size == 3
    assert lists(batches.draw(9)) == [(2, [4, 5]), (3, [6, 7]), (4, [8, 9])]
    assert batches.draw(1) is None


def test_batches_of_an_endless_source_are_drawn_as_they_are_asked_for():
    drawn = []

    def endless():
        while True:
            drawn.append(None)
            yield len(drawn)

    batches = Batched(FromItems(endless(), None), 3)
    assert lists(batches.draw(2)) == [(0, [1, 2, 3]), (1, [4, 5, 6])]
    assert len(drawn) == 6
    assert len(batches.draw(1 << 16)) * 3 <= 1 << 16  # whoever wants everything gets it in pieces


def test_batches_of_nothing_end_at_once():
    assert Batched(FromItems(iter(()), 0), 3).draw(1) is None


def test_a_dropped_item_is_missing_from_its_batch_and_the_next_ones_move_up():
    batches, values = batched((0, "a"), (2, "cde"), total=5)
    assert lists(batches.draw(9)) == [(0, ["a", "c", "d"]), (1, ["e"])]
    assert values.backlog == 0


def test_what_was_packed_together_is_read_once(monkeypatch):
    read = []
    whole = Pack.whole
    monkeypatch.setattr(Pack, "whole", lambda pack: read.append(pack) or whole(pack))
    batches, _ = batched((0, range(300)), (300, range(300, 600)), total=600, size=1)
    assert [lists(batches.draw(1))[0][1] for _ in range(600)] == [[n] for n in range(600)]
    assert len(read) == 2


def test_batches_of_batches():
    batches = Batched(Batched(FromItems(iter(range(7)), 7), 2), 2)
    assert lists(batches.draw(9)) == [(0, [[0, 1], [2, 3]]), (1, [[4, 5], [6]])]


def test_a_batch_is_told_apart_by_what_is_in_it():
    def told(values, size=2):
        how = lambda given: b"".join(str(value).encode().ljust(8) for value in given)
        return Batched(Described(FromItems(iter(values), len(values)), how), size).draw(9).digests

    assert told("abcd")[:8] == told("abxy")[:8]
    assert told("abcd")[8:] != told("abxy")[8:]
    assert told("ab") != told("ba")


@given(
    st.lists(st.integers(1, 7), max_size=8), st.integers(1, 9), st.lists(st.integers(1, 5), min_size=1), st.booleans()
)
def test_batches_hold_every_item_once_in_order_however_they_come_and_are_drawn(pieces, size, most, described):
    from itertools import cycle

    from pipeline_runner.record.lineage import in_lists

    values = FromValues(lambda: None)
    batches = Batched(values, size)
    items = list(range(sum(pieces)))
    digests = b"".join(item.to_bytes(8, "big") for item in items) if described else None
    got, told, at, draws = [], b"", 0, cycle(most)
    for piece in pieces:
        part = pack(*items[at : at + piece])
        mine = None if digests is None else digests[8 * at : 8 * (at + piece)]
        values.push(range(at, at + piece), part._replace(digests=mine))
        at += piece
        calls = batches.draw(next(draws))
        got += lists(calls) if calls else []
        told += calls.digests or b""
    values.end(at)
    while (calls := batches.draw(next(draws))) is not None:
        got += lists(calls)
        told += calls.digests
    assert [number for number, _ in got] == list(range(len(got))) == list(range(batches.total))
    assert [item for _, batch in got for item in batch] == items
    assert {len(batch) for _, batch in got[:-1]} <= {size}
    assert told == in_lists(range(at), digests, size)  # as it is foreseen


def test_items_that_are_all_there_are_cut_out_and_those_of_a_range_are_not_made():
    intake = FromSequence(range(10, 1_000_010))
    calls = intake.draw(500_000)
    assert calls.columns == ((range(10, 500_010),),)
    assert (calls.indices, intake.size) == (range(500_000), 500_000)
    assert rows(intake.draw(2)) == {500_000: (500_010,), 500_001: (500_011,)}
    intake.draw(1_000_000)
    assert (intake.draw(1), intake.total) == (None, 1_000_000)


def test_a_list_is_drawn_from_in_its_order():
    intake = FromSequence(["a", "b", "c"])
    assert rows(intake.draw(2)) == {0: ("a",), 1: ("b",)}
    assert rows(intake.draw(2)) == {2: ("c",)}
    assert intake.draw(2) is None


def test_of_a_slow_source_few_items_are_waited_for(monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr(intake_module, "perf_counter", lambda: next(now))  # every item takes a second
    intake = FromItems(iter(range(100)), None)
    assert len(intake.draw(100)) == 1
    assert len(intake.draw(100)) == 1


def test_of_a_quick_source_as_many_items_come_as_were_asked_for(monkeypatch):
    monkeypatch.setattr(intake_module, "perf_counter", lambda: 0.0)
    intake = FromItems(iter(range(100)), None)
    assert [len(intake.draw(most)) for most in (1, 30, 64, 64)] == [1, 30, 64, 5]
    assert intake.draw(1) is None
