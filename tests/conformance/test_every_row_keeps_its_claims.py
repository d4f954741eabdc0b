"""Every row of the table, held to what it says: the same checks for all, found by looking, none by name."""

import os
import signal
import threading
import time

import pytest
from conformance_kit import (
    LAMBDAS,
    PERFORM,
    Asker,
    KitChunks,
    Wires,
    ended,
    left_alive,
    spied,
    started,
    wait_for_end,
)

from pipeline_runner.axes import Style
from pipeline_runner.backends import table
from pipeline_runner.methods import PoolSettings

pytestmark = pytest.mark.timeout(60)

# Those of clusters have claims of another kind: test_rows_of_clusters.py.
ROWS = [pytest.param(owner, row, id=row.name) for row in table() if (owner := table().owners[row.name]).local]
WITH_WORKERS = [row for row in ROWS if not row.values[0].in_process]
PARALLEL = [row for row in ROWS if row.values[1].parallel]
NOT_PARALLEL = [row for row in ROWS if not row.values[1].parallel]
REFILLING = [row for row in PARALLEL if row.values[1].refills]
NOT_REFILLING = [row for row in PARALLEL if not row.values[1].refills]
LAZY = [row for row in ROWS if row.values[1].lazy]
EAGER = [row for row in ROWS if not row.values[1].lazy]
TWO_WORKERS = PoolSettings(workers=2)


def rows(which):
    return pytest.mark.parametrize(("backend", "row"), which)


@pytest.fixture
def wires(tmp_path):
    wires = Wires(tmp_path)
    yield wires
    wires.close()


@pytest.fixture(scope="module")
def opened():
    """One warm pool a backend, for the checks that leave it whole."""
    pools = {}
    yield pools
    for backend, pool in pools.values():
        backend.close(pool)
        assert not left_alive(backend.processes(pool))


@pytest.fixture
def warm(opened, request):
    backend = request.getfixturevalue("backend")
    if backend.name not in opened:
        opened[backend.name] = backend, backend.open(TWO_WORKERS)
    yield opened[backend.name][1]
    if request.node.stash.get(FAILED, False):
        backend.kill(opened.pop(backend.name)[1])


FAILED = pytest.StashKey[bool]()


@pytest.fixture
def own(request, wires):  # the wires outlive the pools: a call may still tell
    """Opens pools that the check may break; none of their processes or threads may outlive it."""
    backend = request.getfixturevalue("backend")
    before = set(threading.enumerate())
    pools = []

    def open_pool():
        pools.append(backend.open(TWO_WORKERS))
        return pools[-1]

    yield open_pool
    for pool in pools:
        backend.kill(pool)
        assert not left_alive(backend.processes(pool))
    for thread in {thread for thread in threading.enumerate() if thread.ident} - before:
        thread.join(5)
        assert not thread.is_alive(), f"{thread.name} is left"


@rows(ROWS)
def test_the_library_is_asked_in_the_shape_that_the_row_names(backend, row, warm, wires):
    pool, spy = spied(warm)

    Asker(row, pool, KitChunks([wires.payload("tell")] * 3)).all_receipts()

    asked = [call for call in spy.calls if call[0] in (row.name.split(".")[-1], "Process")]
    starts = [line.split() for line in wires.hear_all() if line.startswith("start")]
    assert {start[2] for start in starts} == {"one" if row.style is Style.MAP else "row"}
    assert len(asked) == (3 if row.style is Style.SINGLE else 1)
    for name, arguments, _ in asked:
        iterables = len(arguments) - 1
        match row.style:
            case Style.SINGLE:
                assert name == "Process" or iterables in (1, 2)  # (f, (ticket, payload)) or (f, ticket, payload)
            case Style.MAP | Style.STAR:
                assert iterables == 1
            case Style.ZIP:
                assert iterables == 2


@rows(ROWS)
def test_there_is_a_receipt_for_every_chunk(backend, row, warm, wires):
    receipts = Asker(row, warm, KitChunks([wires.payload("tell")] * 7)).all_receipts()

    assert sorted(receipts) == list(range(7))
    assert receipts == sorted(receipts) or not row.ordered


@rows(ROWS)
def test_nothing_gives_nothing(backend, row, warm):
    assert Asker(row, warm, KitChunks([])).all_receipts() == []


@rows(ROWS)
def test_ten_thousand_tiny_items_all_arrive(backend, row, warm, wires):
    pieces = [range(start, start + 500) for start in range(0, 10_000, 500)]

    receipts = Asker(row, warm, KitChunks([wires.payload("sum", piece) for piece in pieces])).all_receipts()

    sums = [line.split() for line in wires.hear_all() if line.startswith("sum")]
    assert len(receipts) == 20
    assert sum(int(count) for _, _, count, _ in sums) == 10_000
    assert sum(int(total) for _, _, _, total in sums) == sum(range(10_000))


@rows(PARALLEL)
def test_two_calls_are_alive_at_the_same_time(backend, row, warm, wires):
    asker = Asker(row, warm, KitChunks([wires.payload("hold", "gate")] * 2))

    wires.hear(lambda heard: started(0)(heard) and started(1)(heard))
    wires.release(2)

    assert sorted(asker.all_receipts()) == [0, 1]


@rows(NOT_PARALLEL)
def test_one_call_ends_before_the_next_begins(backend, row, warm, wires):
    asker = Asker(row, warm, KitChunks([wires.payload("hold", "gate")] * 4))

    for chunk in range(4):
        wires.hear(started(chunk))
        wires.release()

    assert asker.all_receipts() == [0, 1, 2, 3]
    assert [line.split()[0] for line in wires.hear_all()] == ["start", "end"] * 4


@rows(REFILLING)
def test_a_free_worker_takes_the_rest_while_another_is_held(backend, row, warm, wires):
    asker = Asker(row, warm, KitChunks([wires.payload("hold", "gate")] + [wires.payload("tell")] * 6))

    wires.hear(ended(1, 2, 3, 4, 5, 6))
    assert "end 0" not in wires.heard
    if not row.ordered:
        assert asker.has_given(6)
    wires.release()

    assert asker.all_receipts() == ([0, 1, 2, 3, 4, 5, 6] if row.ordered else [*asker.receipts[:6], 0])


@rows(NOT_REFILLING)
def test_the_next_batch_waits_for_all_of_this_one(backend, row, warm, wires):
    asker = Asker(row, warm, KitChunks([wires.payload("hold", "gate")] + [wires.payload("tell")] * 3))

    wires.hear(ended(1))
    wires.release()

    assert asker.all_receipts() == [0, 1, 2, 3]
    heard = wires.hear_all()
    second_batch = next(place for place, line in enumerate(heard) if line.startswith(("start 2", "start 3")))
    assert heard.index("end 0") < second_batch


@rows(LAZY)
def test_a_lazy_row_starts_before_its_input_has_ended(backend, row, warm, wires):
    go_on = threading.Event()

    def payloads():
        yield from [wires.payload("tell")] * 2
        assert go_on.wait(15), "asked for a third chunk, and started none of the first two"
        yield wires.payload("tell")

    asker = Asker(row, warm, KitChunks(payloads()))
    wires.hear(started(0))
    go_on.set()

    assert sorted(asker.all_receipts()) == [0, 1, 2]


@rows(EAGER)
def test_an_eager_row_gives_nothing_before_it_has_all_its_input(backend, row, warm, wires):
    chunks = KitChunks([wires.payload("tell")] * 20)
    whole = [chunks.exhausted for _ in row.ask(warm, PERFORM, chunks)]

    assert whole == [True] * 20


@rows(WITH_WORKERS)
def test_waiting_for_calls_takes_no_cpu(backend, row, warm, wires):
    asker = Asker(row, warm, KitChunks([wires.payload("hold", "gate")] * 2))
    wires.hear(started(0))
    spent = time.pthread_getcpuclockid(asker.ident)
    before = time.clock_gettime(spent)
    asker.join(0.5)  # nothing comes in that time

    assert time.clock_gettime(spent) - before < 0.15  # one that looks without a pause takes three times that
    wires.release(2)
    asker.all_receipts()


@rows(ROWS)
def test_a_call_that_raises_is_contained(backend, row, own, wires):
    pool = own()
    asker = Asker(row, pool, KitChunks([wires.payload(deed) for deed in ("tell", "raise", "tell")]))

    wires.hear(started(1))
    if not asker.freed(2):  # some libraries never say it
        backend.kill(pool)
        assert asker.freed()

    assert 1 not in asker.receipts


@rows(WITH_WORKERS)
def test_after_a_death_kill_frees_the_asker_and_the_exit_code_is_known(backend, row, own, wires):
    pool = own()
    asker = Asker(row, pool, KitChunks([wires.payload(deed) for deed in ("tell", "die", "tell")]))
    wires.hear(started(1))
    pid = next(int(line.split()[3]) for line in wires.heard if line.startswith("start 1 "))
    wait_for_end(pid)

    backend.kill(pool)

    assert asker.freed()
    assert not left_alive(backend.processes(pool))
    assert {process.pid: process.exitcode for process in backend.processes(pool)}[pid] == -signal.SIGKILL
    assert 1 not in asker.receipts
    assert sorted(Asker(row, own(), KitChunks([wires.payload("tell")] * 3)).all_receipts()) == [0, 1, 2]


@rows(WITH_WORKERS)
def test_a_killed_idle_worker_does_not_make_kill_hang(backend, row, own, wires):
    pool = own()
    chunks = KitChunks([wires.payload("hold", "gate")])
    asker = Asker(row, pool, chunks)
    wires.hear(started(0))
    for process in left_alive(backend.processes(pool)):
        os.kill(process.pid, signal.SIGKILL)

    backend.kill(pool)

    assert asker.freed()
    assert not left_alive(backend.processes(pool))


@rows(ROWS)
def test_a_run_is_cancelled_in_mid_flight(backend, row, own, wires):
    def endless():
        while True:
            yield wires.payload("hold", "gate")

    pool = own()
    chunks = KitChunks(endless() if row.lazy else [wires.payload("hold", "gate")] * 50)
    asker = Asker(row, pool, chunks)
    wires.hear(started(0))

    chunks.close()
    backend.kill(pool)
    if backend.in_process:
        wires.release(50)  # a thread cannot be ended from outside

    assert asker.freed()
    assert not left_alive(backend.processes(pool))


@rows(ROWS)
def test_a_lambda_goes_where_the_serializer_can_take_it(backend, row, own):
    # One chunk: the executor's threads trip over each other where it is killed while more of them fail to be pickled.
    asker = Asker(row, own(), KitChunks([b""]), LAMBDAS)

    assert asker.freed(15)
    match row.serializer:
        case "pickle":
            assert "lambda" in str(asker.error)
        case _:
            assert sorted(asker.receipts) == [0]


@rows(ROWS)
def test_two_pools_of_one_backend_do_not_disturb_each_other(backend, row, own, wires):
    held, other = own(), own()
    asker = Asker(row, held, KitChunks([wires.payload("hold", "gate")]))
    wires.hear(started(0))

    assert sorted(
        Asker(row, other, KitChunks([wires.payload("sum", [chunk]) for chunk in range(3)])).all_receipts()
    ) == [
        0,
        1,
        2,
    ]
    backend.kill(other)
    wires.release()

    assert asker.all_receipts() == [0]


@rows(ROWS)
def test_a_pool_that_was_killed_answers_nothing_and_starts_nothing(backend, row, own, wires):
    pool = own()
    backend.kill(pool)

    asker = Asker(row, pool, KitChunks([wires.payload("tell")] * 3))

    assert asker.freed()
    assert asker.receipts == []
    assert wires.hear_all() == []
    assert not left_alive(backend.processes(pool))
