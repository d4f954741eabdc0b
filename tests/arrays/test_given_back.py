"""What a call gives back as it was given is not copied; whatever it has written to is, to the last byte."""

from __future__ import annotations

from pathlib import Path

import array_deeds as deeds
import numpy
import pytest

from pipeline_runner import Pipeline, Stage
from pipeline_runner.calls import Pack
from pipeline_runner.engine.arena import Arena
from pipeline_runner.worker import given_back
from pipeline_runner.worker.apart import pack_apart

FOLDER = Path(__file__).parent
MIB = 1 << 20


@pytest.fixture
def arena():
    return Arena()


def packed(arena, *values):
    data, large = pack_apart(list(values), arena.lend)
    return Pack(data, 0, len(values), None, large)


def place(pack):
    return pack.large.path, pack.large.offset


def arrays(*numbers):
    return [numpy.full(MIB, number, numpy.uint8) for number in numbers]


def test_values_as_they_came_are_where_they_were(arena):
    given = packed(arena, *arrays(1, 2))
    values = given.values()
    again = packed(arena, *values)
    assert place(again) == place(given)
    del values, given
    others = [packed(arena, *arrays(7, 7)) for _ in range(3)]
    assert [array[0] for array in again.values()] == [1, 2]
    assert place(again) not in [place(other) for other in others]


def test_more_than_the_arrays_goes_along(arena):
    given = packed(arena, *arrays(1))
    (array,) = given.values()
    again = packed(arena, {"name": "one", "array": array})
    assert place(again) == place(given)
    (value,) = again.values()
    assert value["name"] == "one"
    assert (value["array"] == 1).all()


@pytest.mark.parametrize("at", [0, 4095, 4096, MIB // 2, MIB - 1])
def test_one_byte_that_was_written_to_is_given_back(arena, at):
    given = packed(arena, *arrays(1))
    (array,) = given.values()
    array[at] = 9
    again = packed(arena, array)
    assert place(again) != place(given)
    (value,), (as_it_was,) = again.values(), given.values()
    assert value[at] == 9
    assert value.sum() == MIB + 8
    assert (as_it_was == 1).all()


@pytest.mark.parametrize(
    "part",
    [
        lambda one, two: [two, one],
        lambda one, two: [two],
        lambda one, two: [one, one.copy()],
        lambda one, two: [one[: MIB // 2]],  # a quarter of a place would keep all of it
        lambda one, two: [one[4096:], two],
        lambda one, two: [one.reshape(1024, -1).T.copy(), two],
    ],
)
def test_what_is_not_the_same_in_the_same_order_is_copied(arena, part):
    given = packed(arena, *arrays(1, 2))
    asked = part(*given.values())
    again = packed(arena, *asked)
    assert place(again) != place(given)
    assert all((value == one).all() for value, one in zip(again.values(), asked, strict=True))


def test_arrays_of_two_places_are_copied_to_one(arena):
    first, second = packed(arena, *arrays(1)), packed(arena, *arrays(2))
    values = [*first.values(), *second.values()]
    again = packed(arena, *values)
    assert place(again) not in (place(first), place(second))
    assert [value[-1] for value in again.values()] == [1, 2]


def test_where_nobody_can_say_what_was_written_to_it_is_copied(arena, monkeypatch):
    given = packed(arena, *arrays(1))
    values = given.values()
    monkeypatch.setattr(given_back.os, "pread", lambda *_: b"")
    assert place(packed(arena, *values)) != place(given)


@pytest.mark.parametrize(
    ("method", "start"),
    [
        ("multiprocessing.Pool.imap", "fork"),
        ("multiprocessing.Pool.map", "forkserver"),
        ("concurrent.futures.ThreadPoolExecutor.map", None),
    ],
)
def test_a_line_of_stages_that_hand_arrays_on_and_write_to_some(method, start):
    more = {"method": method, "args": "map", **({"start_method": start} if start else {})}
    numbers = list(range(6))
    result = Pipeline(
        "back",
        [
            Stage("made", call="array_deeds:made", over=numbers, **more),
            Stage("same", call="array_deeds:same", over="${stages.made}", **more),
            Stage("odd", call="array_deeds:minus_if_odd", over="${stages.same}", **more),
            Stage("last", call="array_deeds:same", over="${stages.odd}", **more),
        ],
        folder=FOLDER,
    ).run(workers=2, keep=["made", "same", "odd", "last"])
    wanted = {"made": numbers, "same": numbers, "odd": [0, -1, 2, -3, 4, -5], "last": [0, -1, 2, -3, 4, -5]}
    for stage, first in wanted.items():
        assert [deeds.first(array) for array in result[stage]] == first
        assert all((array == array[0]).all() for array in result[stage])
