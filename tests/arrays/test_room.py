"""Room for large buffers: lent, used again, held by whoever reads it, on the disk when there is no memory, or nowhere."""

from __future__ import annotations

import gc
import os
import pickle
from dataclasses import dataclass

import numpy
import pytest

from pipeline_runner.buffers import LEAST, held_here
from pipeline_runner.calls import Calls, Pack, column_values
from pipeline_runner.engine.arena import Arena
from pipeline_runner.engine.memory import available_bytes
from pipeline_runner.worker.apart import pack_apart, put

MIB = 1 << 20


def filled(number, size=MIB):
    return numpy.full(size, number, dtype=numpy.uint8)


def packed(arena, *values):
    return Pack(*_with_large(pack_apart(list(values), arena.lend), len(values)))


def _with_large(given, count):
    data, large = given
    return data, 0, count, None, large


def test_room_is_used_again_as_soon_as_nobody_holds_it():
    arena = Arena()
    first = packed(arena, filled(1))
    where = first.large.path, first.large.offset
    second = packed(arena, filled(2))
    assert (second.large.path, second.large.offset) != where
    del first
    third = packed(arena, filled(3))
    assert (third.large.path, third.large.offset) == where
    assert third.values()[0][-1] == 3
    assert second.values()[0][-1] == 2


def test_room_that_somebody_reads_is_not_used_for_anything_else():
    arena = Arena()
    pack = packed(arena, filled(1))
    (array,) = pack.values()
    del pack
    others = [packed(arena, filled(2)) for _ in range(3)]
    assert array[0] == array[-1] == 1
    assert held_here()
    assert len({other.large.offset for other in others}) == 3
    del array
    assert not held_here()


def test_room_that_a_worker_still_reads_is_held_until_it_says_otherwise_or_is_gone():
    arena = Arena()
    pack = packed(arena, filled(1))
    place = pack.large.path, pack.large.offset
    arena.settle(7, [place])
    del pack
    assert packed(arena, filled(2)).large.offset != place[1]
    arena.settle(7, [])
    held = packed(arena, filled(3))
    arena.settle(7, [(held.large.path, held.large.offset)])
    arena.forget(7)
    where = held.large.offset
    del held
    assert packed(arena, filled(4)).large.offset == where


def test_sizes_that_do_not_fit_any_more_make_room_for_those_that_do():
    arena = Arena(memory=8 * MIB)
    for size in (3 * MIB, 5 * MIB, 7 * MIB, 2 * MIB, 8 * MIB):
        pack = packed(arena, filled(1, size))
        assert "/fd/" in pack.large.path
        assert pack.values()[0].nbytes == size
        memory = arena._files[0]
        assert pack.large.path == memory.path
        assert memory.held <= 8 * MIB
        del pack


def test_what_memory_has_no_room_for_goes_to_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    arena = Arena(memory=2 * MIB)
    packs = [packed(arena, filled(n)) for n in range(4)]
    memory, disk = arena._files
    assert [pack.large.path for pack in packs] == [memory.path] * 2 + [disk.path] * 2
    assert [pack.values()[0][-1] for pack in packs] == [0, 1, 2, 3]
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_room_at_all_large_values_go_with_their_pickle():
    data, large = pack_apart([filled(1)], lambda size: None)
    assert large is None
    assert pickle.loads(data)[0][-1] == 1


@dataclass
class Full:
    """A place that is full although it was given."""

    path: str = "/dev/full"
    offset: int = 0
    memory = None


def test_a_place_that_is_full_after_all_is_as_good_as_none():
    assert put([memoryview(filled(1))], lambda size: Full()) is None
    data, large = pack_apart([filled(1)], lambda size: Full())
    assert large is None
    assert pickle.loads(data)[0][-1] == 1


def test_what_is_given_back_when_the_run_is_over_takes_no_memory():
    arena = Arena()
    packs = [packed(arena, filled(n)) for n in range(4)]
    descriptor = int(packs[0].large.path.rpartition("/")[2])
    arena.retire()
    (array,) = packs[1].values()
    del packs
    gc.collect()
    assert os.fstat(descriptor).st_blocks * 512 == MIB
    assert array[0] == array[-1] == 1


def test_small_buffers_and_plain_values_stay_in_the_pickle():
    arena = Arena()
    calls = Calls(range(2), (([filled(1, LEAST - 1), "text"],),))
    same, payload = arena.packed(calls)
    assert same is calls
    assert len(payload) > LEAST - 1
    assert arena._files is None


def test_large_items_of_a_chunk_are_not_in_its_payload():
    arena = Arena()
    calls = Calls(range(2), (([filled(1), {"a": bytearray(MIB)}],), ([3, 4],)))
    stowed, payload = arena.packed(calls)
    assert len(payload) < 2000
    columns, _ = pickle.loads(payload)
    (array, mapping), numbers = map(column_values, columns)
    assert array[-1] == 1
    assert mapping == {"a": bytearray(MIB)}
    assert numbers == [3, 4]
    assert isinstance(stowed.columns[0][0], Pack)
    assert stowed.in_one().columns[0][0][1] == {"a": bytearray(MIB)}


@pytest.mark.parametrize("value", [bytes(MIB), bytearray(MIB), (b"a", bytes(MIB)), {"x": bytearray(MIB)}, [bytes(MIB)]])
def test_large_bytes_come_back_as_they_were(value):
    pack = packed(Arena(), value)
    (back,) = pack.values()
    assert back == value
    assert type(back) is type(value)
    assert len(pack.data) < 1000


def test_one_object_stays_one_object():
    text = bytearray(MIB)
    pack = packed(Arena(), (text, text))
    ((one, other),) = pack.values()
    assert one is other


def test_what_may_be_had_is_the_least_of_machine_and_container():
    files = {
        "/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 4000 kB\n",
        "/proc/self/cgroup": "0::/a/b\n",
        "/sys/fs/cgroup/a/memory.max": "3000000",
        "/sys/fs/cgroup/a/memory.current": "1000000",
        "/sys/fs/cgroup/a/b/memory.max": "max",
        "/sys/fs/cgroup/a/b/memory.current": "5",
    }
    assert available_bytes(files.get) == 2_000_000
    assert available_bytes({"/proc/meminfo": files["/proc/meminfo"]}.get) == 4000 << 10
    assert available_bytes({}.get) == 0
