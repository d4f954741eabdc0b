"""Digests that count on: made at once, and written down as their first."""

from __future__ import annotations

from array import array

import pytest

from pipeline_runner.record import lineage
from pipeline_runner.record.counted import counting, first_of, packed, unpacked
from pipeline_runner.record.digests import digests

FIRST = (1 << 62) + 12345


@pytest.mark.parametrize("calls", [0, 1, 2, 3, 1000, (1 << 16) + 3])
@pytest.mark.parametrize("first", [0, FIRST, 2**64 - (1 << 16) - 3])
def test_they_are_the_numbers_from_the_first_on(first, calls):
    told = counting(first, calls)
    assert told == b"".join(number.to_bytes(8, "little") for number in range(first, first + calls))
    assert first_of(told) == (first if calls > 1 else None)
    assert unpacked(packed(told), calls) == told


@pytest.mark.parametrize("calls", [2, 3, 1000])
def test_they_are_written_down_as_their_first(calls):
    assert packed(counting(FIRST, calls)) == FIRST.to_bytes(8, "little")


def test_others_are_written_down_whole():
    hashed = digests([str(number) for number in range(1000)])
    swapped = array("Q", counting(FIRST, 4))
    swapped[1], swapped[2] = swapped[2], swapped[1]
    for told in (hashed, swapped.tobytes(), counting(FIRST, 1), counting(FIRST, 1 << 17)):
        assert packed(told) is told


@pytest.mark.parametrize(
    ("told", "calls"), [(b"", 1), (b"123", 2), (bytes(16), 3), (b"\xff" * 8, 2), (bytes(8), 10**15)]
)
def test_what_is_not_of_so_many_calls_is_none(told, calls):
    assert unpacked(told, calls) is None


def test_their_weight_is_what_it_is_of_any_others():
    told = counting(FIRST, 2000)
    parts = (lineage.weight(range(7 + at, 8 + at), told[8 * at : 8 * at + 8]) for at in range(2000))
    assert lineage.of_whole(1, (), lineage.weight(range(7, 2007), told)) == lineage.of_whole(1, (), sum(parts))
