"""Values are told apart by their pickles, and equal ones are told alike, whatever else was pickled with them."""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.calls import Pack
from pipeline_runner.record import values
from pipeline_runner.record.values import TooLong, digests


def told(*given, protocol=pickle.HIGHEST_PROTOCOL):
    return digests(Pack(pickle.dumps(list(given), protocol), 0, len(given)))


@dataclass
class Point:
    x: int
    near: object = None


class Trap:
    """Whoever unpickles it has done something."""

    def __reduce__(self):
        return pytest.fail, ("it was unpickled",)


VALUES = [
    *(None, True, False, 0, 1, -1, 300, 10**30, 0.0, 1.5, "", "a", "b", "ä" * 300, b"", b"a", bytearray(b"a")),
    *((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1], [2], [[1], 2], [1, [2]], {}, {"a": 1}, {"b": 1}, {"a": 2}),
    *(set(), {1}, {1, 2}, frozenset({1}), frozenset({1, 2}), Point(1), Point(2), Point(1, Point(1)), Fraction(1, 2)),
    *(datetime(2026, 1, 1), deque([1]), deque([2]), Counter("ab"), OrderedDict(a=1), len, str, list(range(2500))),
]


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_each_value_is_told_from_every_other(protocol):
    assert len(set(told(*VALUES, protocol=protocol))) == len(VALUES)


def test_a_value_is_told_alike_whatever_was_pickled_before_it():
    alone = [told(value)[0] for value in VALUES]
    assert told(*VALUES) == alone
    assert told(*VALUES, *VALUES)[len(VALUES) :] == alone  # now each of them is written as one that was there before
    assert told(*reversed(VALUES)) == alone[::-1]


def test_what_is_put_into_an_object_later_counts_wherever_it_is_named():
    mine, other = [1], [2]
    assert told(mine, mine)[1] != told(other, other)[1]
    assert told(mine, mine)[1] == told([1])[0]
    mine.append(mine)
    other.append(other)
    assert told(mine) != told(other)


def test_a_set_is_told_alike_in_every_order():
    words = [f"word {number}" for number in range(3000)]
    there, back = set(words), set()
    for word in reversed(words):
        back.add(word)
    assert told(there, frozenset(there)) == told(back, frozenset(back))
    assert told(there) != told(there - {"word 7"})


def test_only_the_values_that_are_meant_are_told():
    data = pickle.dumps([1, 2, 3, 4])
    assert digests(Pack(data, 1, 3)) == told(2, 3)


def test_nothing_is_unpickled():
    assert told(Trap()) == told(Trap())


def test_a_pickle_of_too_many_steps_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(values, "LONGEST", 100)
    with pytest.raises(TooLong):
        told(list(range(200)))


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.frozensets(st.booleans()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(TREES, TREES)
def test_values_are_told_alike_exactly_when_they_are_alike(one, other):
    same = repr(one) == repr(other)  # 1 is not True, nor is a mapping one of another order
    first, second = told(one, other)
    assert (first == second) is same
    assert [first] == told(pickle.loads(pickle.dumps(one)))
