"""Calls as columns, cut and split without decoding anything."""

from __future__ import annotations

import pickle

from pipeline_runner.calls import Calls, Pack, column_values, cut_column, part_size


def pack(values, start=0, stop=None):
    return Pack(pickle.dumps(list(values)), start, len(values) if stop is None else stop)


def test_a_pack_is_a_part_of_a_pickled_list():
    assert pack("abcd").values() == list("abcd")
    assert pack("abcd", 1, 3).values() == ["b", "c"]
    assert part_size(pack("abcd", 1, 3)) == 2


def test_a_column_of_pieces_is_cut_anywhere():
    column = (pack("abc", 1, 3), ["d"], pack("ef"))
    assert column_values(column) == list("bcdef")
    for start in range(6):
        for stop in range(start, 6):
            assert column_values(cut_column(column, start, stop)) == list("bcdef")[start:stop]


def test_cutting_does_not_decode():
    broken = Pack(b"not a pickle", 0, 10)
    (piece,) = cut_column((broken,), 3, 5)
    assert (piece.start, piece.stop) == (3, 5)


def test_calls_are_cut_with_all_their_columns_and_keywords():
    calls = Calls([3, 5, 9], ((list("abc"),), (pack("xyz"),)), ([{"k": n} for n in range(3)],))
    cut = calls.cut(1, 3)
    assert list(cut.indices) == [5, 9]
    assert [column_values(column) for column in cut.columns] == [["b", "c"], ["y", "z"]]
    assert column_values(cut.keywords) == [{"k": 1}, {"k": 2}]


def test_calls_are_split_into_runs():
    calls = Calls(range(7), ((list("abcdefg"),),))
    assert [len(part) for part in calls.split(3)] == [3, 3, 1]
    assert [list(part.indices) for part in calls.split(9)] == [list(range(7))]
    assert list(Calls(range(0)).split(3)) == []
