"""Every row whose workers are a cluster's, on a real one that is started here: the same checks for all."""

import threading

import pytest
from conformance_kit import PERFORM, Asker, KitChunks, Wires, ended, started

from pipeline_runner.axes import Style
from pipeline_runner.backends import table
from pipeline_runner.methods import PoolSettings

pytestmark = pytest.mark.timeout(120)  # a cluster of many processes is started first

ROWS = [
    pytest.param(owner, row, id=row.name)
    for row in table()
    if not (owner := table().owners[row.name]).local and owner.unavailable() is None
]
LAZY = [row for row in ROWS if row.values[1].lazy]
REFILLING = [row for row in ROWS if row.values[1].refills]
EAGER = [row for row in ROWS if not row.values[1].lazy]


def rows(which):
    return pytest.mark.parametrize(("backend", "row"), which)


@pytest.fixture
def wires(tmp_path):
    wires = Wires(tmp_path)
    yield wires
    wires.close()


@pytest.fixture(scope="module")
def opened():
    pools = {}
    yield pools
    for backend, pool in pools.values():
        backend.close(pool)


@pytest.fixture
def warm(opened, backend):
    if backend.name not in opened:
        opened[backend.name] = backend, backend.open(PoolSettings(workers=2))
    return opened[backend.name][1]


def test_each_library_that_is_installed_is_looked_at():
    assert {row.values[0].keyword for row in ROWS} == {"dask", "ray", "mpi"}


@rows(ROWS)
def test_it_is_asked_in_the_shape_that_the_row_names(backend, row, warm, wires):
    receipts = Asker(row, warm, KitChunks([wires.payload("tell")] * 3)).all_receipts()

    shapes = {line.split()[2] for line in wires.hear(ended(0, 1, 2)) if line.startswith("start")}
    assert shapes == {"one" if row.style is Style.MAP else "row"}
    assert (receipts if row.ordered else sorted(receipts)) == [0, 1, 2]


@rows(ROWS)
def test_two_calls_are_alive_at_the_same_time(backend, row, warm, wires):
    asker = Asker(row, warm, KitChunks([wires.payload("hold", "gate")] * 2))

    wires.hear(lambda heard: started(0)(heard) and started(1)(heard))
    wires.release(2)

    assert sorted(asker.all_receipts()) == [0, 1]


@rows(REFILLING)
def test_a_free_worker_takes_the_rest_while_another_is_held(backend, row, warm, wires):
    asker = Asker(row, warm, KitChunks([wires.payload("hold", "gate")] + [wires.payload("tell")] * 6))

    wires.hear(ended(1, 2, 3, 4, 5, 6))
    assert "end 0" not in wires.heard
    if not row.ordered:
        assert asker.has_given(6)
    wires.release()

    assert asker.all_receipts() == ([0, 1, 2, 3, 4, 5, 6] if row.ordered else [*asker.receipts[:6], 0])


@rows(LAZY)
def test_a_lazy_row_starts_before_its_input_has_ended(backend, row, warm, wires):
    go_on = threading.Event()

    def payloads():
        yield from [wires.payload("tell")] * 2
        assert go_on.wait(30), "asked for a third chunk, and started none of the first two"
        yield wires.payload("tell")

    asker = Asker(row, warm, KitChunks(payloads()))
    wires.hear(started(0))
    go_on.set()

    assert sorted(asker.all_receipts()) == [0, 1, 2]


@rows(EAGER)
def test_an_eager_row_starts_nothing_before_it_has_all_its_input(backend, row, warm, wires):
    chunks = KitChunks([wires.payload("tell")] * 20)
    whole = [chunks.exhausted for _ in row.ask(warm, PERFORM, chunks)]

    assert whole == [True] * 20


@rows(ROWS)
def test_what_is_asked_side_by_side_does_not_mix(backend, row, warm, wires):
    other = backend.open(PoolSettings(workers=2))
    held = Asker(row, warm, KitChunks([wires.payload("hold", "gate")]))
    wires.hear(started(0))

    sums = Asker(row, other, KitChunks([wires.payload("sum", [chunk]) for chunk in range(3)])).all_receipts()
    backend.close(other)
    wires.release()

    assert sorted(sums) == [0, 1, 2]
    assert held.all_receipts() == [0]


@rows(ROWS)
def test_a_pool_that_is_killed_frees_its_asker_and_answers_no_more(backend, row, warm, wires):
    pool = backend.open(PoolSettings(workers=2))
    asker = Asker(row, pool, KitChunks([wires.payload("hold", "gate")] * 2))
    wires.hear(lambda heard: started(0)(heard) and started(1)(heard))

    backend.kill(pool)

    assert asker.freed(10)
    assert asker.receipts == []
    wires.release(2)  # where others are at the cluster, what runs there ends by itself
    after = Asker(row, pool, KitChunks([wires.payload("tell")]))
    assert after.freed(10)
    assert after.receipts == []
