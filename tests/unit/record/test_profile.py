"""How long which calls took: kept in few pieces, and the order that follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_runner.record.profile import HELD, MOST, Piece, Profile, longest_first


def learnt(seconds, at_a_time=1, order=lambda starts: starts):
    profile = Profile()
    for start in order(list(range(0, len(seconds), at_a_time))):
        part = seconds[start : start + at_a_time]
        profile.learn(range(start, start + len(part)), len(part), sum(part))
    return profile.told()


def test_even_calls_are_not_worth_a_word():
    assert learnt([0.01] * 500, 3) == ()
    assert Profile().told() == ()


@pytest.mark.parametrize("order", [lambda starts: starts, lambda starts: starts[::-1]])
def test_where_the_time_went_is_told_closely_and_the_rest_in_short(order):
    seconds = [0.0001] * 10 * HELD + [1.0, 2.0] + [0.0001] * HELD
    told = learnt(seconds, order=order)
    assert len(told) <= 2 * MOST
    assert (10 * HELD, 1, 1.0) in told
    assert (10 * HELD + 1, 1, 2.0) in told
    assert sum(calls for _, calls, _ in told) == len(seconds)
    assert [first for first, _, _ in told] == sorted(first for first, _, _ in told)


def test_calls_that_are_not_neighbours_say_nothing_of_those_between():
    profile = Profile()
    profile.learn([3, 9], 2, 5.0)
    profile.learn(range(4), 4, 0.1)
    profile.learn([7, 30], 1, 9.0)  # only the first of them has ended
    assert profile.told() == ((0, 4, 0.1), (7, 1, 9.0))


def test_the_longest_go_first_and_the_others_stay_as_they_are():
    profile = [Piece(2, 2, 0.01), Piece(4, 4, 0.4), Piece(10, 2, 0.5), Piece(12, 90, 0.1)]
    assert longest_first(profile, 100) == [range(10, 12), range(4, 8), range(4), range(8, 10), range(12, 100)]
    assert longest_first(profile, 5) == [range(4, 5), range(4)]
    assert longest_first([], 3) == [range(3)]


def test_where_all_are_short_the_order_is_as_it_was():
    assert learnt([0.0001] * 50 + [0.005]) == ()
    assert longest_first([Piece(0, 50, 0.005), Piece(50, 1, 0.005)], 51) == [range(51)]


pieces = st.builds(Piece, st.integers(0, 60), st.integers(1, 20), st.floats(0, 9))


@given(profile=st.lists(pieces), calls=st.integers(0, 50))
def test_every_number_is_there_once_whatever_was_recorded(profile, calls):
    parts = longest_first(profile, calls)
    assert sorted(number for part in parts for number in part) == list(range(calls))
    assert all(parts)
