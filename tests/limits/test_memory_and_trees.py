"""A call that takes too long or too much ends with every process that it has started, and the others go on."""

from time import monotonic

import pytest

pytestmark = pytest.mark.timeout(60)

BACKENDS = ["multiprocessing", "multiprocess", "futures", "process", "pathos", "parallel", "ppft"]
EVERY_WAY = [
    *({"backend": backend} for backend in BACKENDS),
    *(
        {"backend": backend, "start_method": way}
        for backend in ["multiprocessing", "futures", "process", "pathos"]
        for way in ["fork", "spawn"]
    ),
]


def words(stage):
    return " ".join(stage.values())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("deed", ["hide_and_hang", "hide_and_stop"])
def test_a_timeout_ends_the_whole_tree(run, pids, backend, deed):
    began = monotonic()
    stage = {"call": f"limit_deeds:{deed}", "over": [pids.path], "timeout": "1s", "on_error": "skip"}
    ran = run({"hide": stage | {"backend": backend}})
    assert ran.failures() == {0: "timeout"}
    assert len(pids.all()) == 4
    assert pids.alive() == []
    assert monotonic() - began < 10


@pytest.mark.parametrize("way", EVERY_WAY, ids=words)
@pytest.mark.parametrize("deed", ["hide_and_die", "hide_and_leave"])
def test_what_a_dead_worker_leaves_is_ended(run, pids, way, deed):
    stage = {"call": f"limit_deeds:{deed}", "over": [pids.path], "on_error": "skip"}
    assert run({"hide": stage | way}).failures() == {0: "lost"}
    assert len(pids.all()) == 4
    assert pids.alive() == []


@pytest.mark.parametrize("way", EVERY_WAY, ids=words)
def test_what_a_call_leaves_behind_ends_with_the_run(run, pids, way):
    stage = {"call": "limit_deeds:hide_and_end", "over": [pids.path]}
    assert run({"hide": stage | way})["hide"] == ["well"]
    assert len(pids.all()) == 4
    assert pids.alive() == []


@pytest.mark.parametrize("deed", ["eat", "eat_in_a_child"])
def test_a_call_that_holds_too_much_memory_is_ended_and_told_so(run, deed):
    stage = {"call": f"limit_deeds:{deed}", "over": [1, 400, 2], "memory": "250MiB", "on_error": "skip"}
    ran = run({"eat": stage})
    assert ran.failures() == {1: "memory"}
    assert "more than its 250 MiB" in ran.result.failures[0].failure.message
    assert ran["eat"] == [1, 2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_may_open_a_pool_of_its_own(run, backend):
    ran = run({"pool": {"call": "limit_deeds:own_pool", "over": [1, 2], "backend": backend}})
    assert ran["pool"] == [[1, 1], [2, 2]]


# ProcessPoolExecutor refuses to recycle forked workers.
RECYCLING = [way for way in EVERY_WAY if way != {"backend": "futures", "start_method": "fork"}]


@pytest.mark.parametrize("way", RECYCLING, ids=words)
def test_what_a_recycled_worker_leaves_keeps_no_other_from_taking_its_place(run, pids, way):
    stage = {"call": "limit_deeds:hide_and_end", "over": [pids.path] * 4, "max_calls_per_worker": 1}
    assert run({"hide": stage | way})["hide"] == ["well"] * 4
    assert pids.alive() == []
