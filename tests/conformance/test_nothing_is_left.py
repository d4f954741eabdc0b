"""A pool that was closed or killed leaves nothing behind: no process, thread, descriptor or semaphore."""

import gc
import multiprocessing.util
import os
import threading
from contextlib import suppress

import multiprocess.util
import pytest
from conformance_kit import Asker, KitChunks, Wires, left_alive, started

from pipeline_runner.backends import table
from pipeline_runner.methods import PoolSettings

pytestmark = pytest.mark.timeout(60)

BACKENDS = [pytest.param(backend, id=backend.name) for backend in table().backends if backend.local]
WITH_WORKERS = [backend for backend in BACKENDS if not backend.values[0].in_process]


@pytest.fixture
def wires(tmp_path):
    wires = Wires(tmp_path)
    yield wires
    wires.close()


def used():
    """Each thread, descriptor and finalizer (one for every semaphore), told apart from any that took its number."""
    multiprocessing.active_children(), multiprocess.active_children()  # which lets go of those that have ended
    gc.collect()
    descriptors = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing itself
            descriptors.add((number, os.readlink(f"/proc/self/fd/{number}")))
    finalizers = {*multiprocessing.util._finalizer_registry, *multiprocess.util._finalizer_registry}
    return descriptors | finalizers | set(threading.enumerate())


def run_and_close(backend, wires):
    pool = backend.open(PoolSettings(workers=2))
    for row in backend.methods:
        Asker(row, pool, KitChunks([wires.payload("tell")] * 3)).all_receipts()
    backend.close(pool)
    assert not left_alive(backend.processes(pool))


def hold_and_kill(backend, wires):
    pool = backend.open(PoolSettings(workers=2))
    wires.hear_all().clear()
    asker = Asker(backend.methods[0], pool, KitChunks([wires.payload("hold", "gate")] * 2))
    wires.hear(started(0))
    backend.kill(pool)
    assert asker.freed()
    assert not left_alive(backend.processes(pool))


@pytest.mark.parametrize("backend", BACKENDS)
def test_closing_leaves_nothing(backend, wires):
    run_and_close(backend, wires)  # a fork server and a resource tracker come with the first pool, and stay
    before = used()

    run_and_close(backend, wires)

    # By name, not by number: a thread of an earlier test may end meanwhile, and would hide one that is left.
    assert used() - before == set()


@pytest.mark.parametrize("backend", WITH_WORKERS)
def test_killing_leaves_nothing(backend, wires):
    hold_and_kill(backend, wires)
    before = used()

    hold_and_kill(backend, wires)

    # By name, not by number: a thread of an earlier test may end meanwhile, and would hide one that is left.
    assert used() - before == set()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_pool_may_be_killed_after_it_was_closed_and_killed_twice(backend):
    pool = backend.open(PoolSettings(workers=1))
    backend.close(pool)
    backend.kill(pool)
    backend.kill(pool)

    assert not left_alive(backend.processes(pool))


@pytest.mark.parametrize("backend", WITH_WORKERS)
def test_a_worker_is_replaced_after_so_many_calls_and_its_exit_code_is_kept(backend, wires):
    pool = backend.open(PoolSettings(workers=1, max_calls_per_worker=2))
    try:
        row = backend.methods[-1]
        Asker(row, pool, KitChunks([wires.payload("tell")] * 6)).all_receipts()
        pids = [line.split()[3] for line in wires.hear_all() if line.startswith("start")]
        assert {pids.count(pid) for pid in pids} <= {1, 2}
        known = {process.pid for process in backend.processes(pool)}
        assert {int(pid) for pid in pids} <= known
    finally:
        backend.close(pool)
