"""Pools are leased, and never wider than the process has descriptors for."""

import resource

import pytest

from pipeline_runner.engine import pools
from pipeline_runner.engine.pools import Pools
from pipeline_runner.methods import Backend, PoolSettings


@pytest.fixture
def backend():
    closed = []
    made = Backend(
        name="fake",
        keyword="fake",
        methods=(),
        open=lambda settings: settings,
        close=closed.append,
        kill=closed.append,
        processes=lambda pool: (),
    )
    return made, closed


@pytest.fixture
def descriptors(monkeypatch):
    """Let the process have descriptors for so many workers."""

    def descriptors(workers):
        monkeypatch.setattr(resource, "getrlimit", lambda _: (10 + pools.OURS + pools.A_WORKERS * workers, 0))
        monkeypatch.setattr("os.listdir", lambda _: range(10))

    return descriptors


def test_a_pool_has_no_more_workers_than_there_are_descriptors_for(backend, descriptors):
    descriptors(workers=3)
    assert Pools().lease(backend[0], PoolSettings(workers=16)).settings.workers == 3


def test_a_pool_has_a_worker_however_few_descriptors_there_are(backend, descriptors):
    descriptors(workers=-1)
    assert Pools().lease(backend[0], PoolSettings(workers=16)).settings.workers == 1


def test_idle_pools_make_room_for_one_that_is_needed(backend, descriptors):
    descriptors(workers=3)
    made, closed = backend
    leased = Pools()
    first = leased.lease(made, PoolSettings(workers=2))
    leased.give_back(first)
    second = leased.lease(made, PoolSettings(workers=3, setup="another"))
    assert second.settings.workers == 3
    assert closed == [first.pool]


def test_an_idle_pool_that_fits_is_leased_again(backend, descriptors):
    descriptors(workers=3)
    leased = Pools()
    first = leased.lease(backend[0], PoolSettings(workers=16))
    leased.give_back(first)
    assert leased.lease(backend[0], PoolSettings(workers=16)) is first
