"""A part of the arena that the runner writes to again and again stays mapped, and is as good as any other."""

from __future__ import annotations

import os

import numpy
import pytest

from pipeline_runner.engine import arena as arena_module
from pipeline_runner.engine.arena import OFTEN, Arena
from pipeline_runner.worker.apart import pack_apart

pytestmark = pytest.mark.timeout(30)
MIB = 1 << 20


@pytest.fixture
def made(monkeypatch):
    """The parts that were mapped."""
    found = []

    class Watched(arena_module.Mapped):
        def __init__(self, descriptor, offset, size):
            super().__init__(descriptor, offset, size)
            found.append(self)

    monkeypatch.setattr(arena_module, "Mapped", Watched)
    return found


def written(arena, number, size=MIB):
    """What comes out of the arena for an array of this number that went in; also for one that must not be written to."""
    array = numpy.full(size, number, dtype=numpy.uint8)
    array.flags.writeable = bool(number % 2)
    data, large = pack_apart([array], arena.lend)
    (found,) = large.load(data)
    return set(numpy.unique(found).tolist())


def test_what_is_written_often_is_mapped_once_and_reads_the_same(made):
    arena = Arena()
    assert [written(arena, number) for number in range(3 * OFTEN)] == [{number} for number in range(3 * OFTEN)]
    assert len(made) == 1


def test_what_is_written_a_few_times_is_not_mapped(made):
    arena = Arena()
    for number in range(OFTEN - 1):
        written(arena, number)
    assert not made


def test_a_part_that_is_given_back_is_mapped_no_more(made):
    arena = Arena()
    for number in range(OFTEN):
        written(arena, number)
    (mapped,) = made
    arena.trim()
    with pytest.raises(AssertionError):
        mapped.put(0, memoryview(b"."))
    assert [written(arena, number) for number in range(2 * OFTEN)] == [{number} for number in range(2 * OFTEN)]


def test_where_nothing_can_be_mapped_it_is_written_as_before(monkeypatch):
    def refuse(descriptor, offset, size):
        raise OSError(22, os.strerror(22))

    monkeypatch.setattr(arena_module, "Mapped", refuse)
    arena = Arena()
    assert [written(arena, number) for number in range(2 * OFTEN)] == [{number} for number in range(2 * OFTEN)]
