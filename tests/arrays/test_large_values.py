"""Large values go through every method and come out equal, whoever writes to them, dies or fails in between."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path

import array_deeds as deeds
import numpy
import pytest

from pipeline_runner import Pipeline, Stage
from pipeline_runner.events import CallRetried, WorkerDied

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("nothing_left")]

FOLDER = Path(__file__).parent
METHODS = [
    ("multiprocessing.Pool.apply", "fork"),
    ("multiprocessing.Pool.imap", "fork"),
    ("multiprocessing.Pool.imap_unordered", "spawn"),
    ("multiprocessing.Pool.map", "forkserver"),
    ("multiprocess.Pool.imap", "forkserver"),
    ("concurrent.futures.ProcessPoolExecutor.submit", "forkserver"),
    ("concurrent.futures.ProcessPoolExecutor.map", "spawn"),
    ("pathos.ProcessPool.uimap", None),
    ("pathos.ParallelPool.map", None),
    ("ppft.Server.submit", None),
    ("multiprocessing.Process", "fork"),
    ("concurrent.futures.ThreadPoolExecutor.map", None),
    ("pathos.SerialPool.imap", None),
]


def stage(name, call, over, **more):
    return Stage(name, call=f"array_deeds:{call}", over=over, **more)


def run(*stages, **more):
    more.setdefault("workers", 2)
    return Pipeline("large", stages, folder=FOLDER).run(**more)


@pytest.mark.parametrize(("method", "start"), METHODS)
def test_large_values_come_through_every_method(method, start):
    style = "single" if method.endswith(("apply", "submit", "Process")) else "map"
    ask = partial(stage, method=method, args=style, **({"start_method": start} if start else {}))
    items = [[deeds.made(n)] if style == "single" else deeds.made(n) for n in range(5)]
    result = run(
        ask("more", "plus_one", items),
        ask("mixed", "mixed", [[n] if style == "single" else n for n in range(4)]),
        stage("told", "told", "${stages.mixed}"),
    )
    assert sorted(float(array[0]) for array in result["more"]) == [1, 2, 3, 4, 5]
    assert all(array.shape == (deeds.MIB // 8,) and (array == array[0]).all() for array in result["more"])
    assert sorted(result["told"]) == [[n, "bytearray", n, "bytes", n, deeds.MIB] for n in range(4)]
    assert [float(item[0] if style == "map" else item[0][0]) for item in items] == [0, 1, 2, 3, 4]


def test_a_call_that_writes_to_its_argument_hurts_nobody_else():
    items = [deeds.made(n) for n in range(8)]
    result = run(
        stage("made", "made", list(range(8)), returns="iterator"),
        stage("one", "scribbled", "${stages.made}", chunk=1),
        stage("other", "scribbled", "${stages.made}", chunk=4),
        stage("own", "scribbled", items),
    )
    assert result["one"] == result["other"] == result["own"] == list(range(8))
    assert [deeds.first(array) for array in result["made"]] == list(range(8))
    assert [deeds.first(array) for array in items] == list(range(8))


def test_values_that_the_user_holds_can_be_written_to_and_outlive_the_result():
    values = run(stage("made", "made", list(range(6))))["made"]
    gc.collect()
    values[0][:] = 7
    assert [deeds.first(array) for array in values] == [7, 1, 2, 3, 4, 5]


def test_a_second_try_is_given_what_the_first_was(tmp_path):
    kinds = []
    result = run(
        stage("made", "made", list(range(4)), returns="iterator"),
        stage(
            "fails", "scribbled_and_failed", "${stages.made}", retry=1, chunk=2, **{"with": {"folder": str(tmp_path)}}
        ),
        on_event=lambda event: kinds.append(type(event)),
    )
    assert result["fails"] == [0, 1, 2, 3]
    assert kinds.count(CallRetried) == 4


@pytest.mark.parametrize("method", ["multiprocessing.Pool.imap", "concurrent.futures.ThreadPoolExecutor.map"])
def test_an_argument_that_a_call_has_kept_stays_what_it_was(method):
    result = run(stage("hoard", "hoarded", [deeds.made(n) for n in range(30)], chunk=1, method=method))
    for number, seen in enumerate(result["hoard"]):
        assert seen[-1] == [number, number]
        assert all(head == tail == int(head) for head, tail in seen)
        assert len({head for head, _ in seen}) == len(seen)


@pytest.mark.parametrize("start", ["fork", "forkserver"])
def test_calls_whose_worker_was_killed_are_given_the_same_again(tmp_path, start):
    kinds = []
    result = run(
        stage("made", "made", list(range(12)), returns="iterator"),
        stage(
            "twice",
            "died_once",
            "${stages.made}",
            retry=2,
            chunk=4,
            start_method=start,
            **{"with": {"folder": str(tmp_path)}},
        ),
        on_event=lambda event: kinds.append(type(event)),
    )
    assert [deeds.first(array) for array in result["twice"]] == [2 * n for n in range(12)]
    assert WorkerDied in kinds


def test_stages_that_are_fused_hand_arrays_on():
    same = {"method": "multiprocessing.Pool.imap", "returns": "iterator"}
    result = run(
        stage("made", "made", list(range(6)), **same),
        stage("more", "plus_one", "${stages.made}", **same),
        stage("total", "total", "${stages.more}", **same),
        keep="total",
    )
    assert result["total"] == [(n + 1) * deeds.MIB / 8 for n in range(6)]


def test_a_whole_result_of_large_values_is_one_argument():
    result = run(
        stage("made", "made", list(range(5))),
        Stage("all", call="array_deeds:of_all", **{"with": {"arrays": "${stages.made}"}}),
    )
    assert result["all"] == [n * deeds.MIB / 8 for n in range(5)]


def test_batches_and_columns_are_made_of_large_values():
    result = run(
        stage("made", "made", list(range(6)), returns="iterator"),
        stage("pairs", "of_all", {"batches": "${stages.made}", "size": 2}),
        keep="all",
    )
    assert result["pairs"] == [[0, deeds.MIB / 8], [2 * deeds.MIB / 8, 3 * deeds.MIB / 8]] + [
        [4 * deeds.MIB / 8, 5 * deeds.MIB / 8]
    ]


def test_a_live_iterator_gives_arrays_that_stay_what_they_are():
    pipeline = Pipeline("large", [stage("made", "made", list(range(40)), returns="iterator", chunk=1)], folder=FOLDER)
    held = []
    with pipeline.start(workers=2, keep=[]) as live:
        for number, array in enumerate(live["made"]):
            held.append(array)
            assert deeds.first(array) == number
    assert [deeds.first(array) for array in held] == list(range(40))
    assert all(isinstance(array, numpy.ndarray) for array in held)


def test_the_runner_does_not_touch_what_it_relays():
    before = deeds.read_and_written(None)
    result = run(
        stage("made", "made", list(range(16)), returns="iterator", chunk=1, **{"with": {"mib": 4}}),
        stage("more", "plus_one", "${stages.made}", returns="iterator", chunk=1, method="multiprocessing.Pool.imap"),
        stage("total", "total", "${stages.more}", chunk=1, method="concurrent.futures.ProcessPoolExecutor.submit"),
    )
    assert result["total"] == [(n + 1) * 4 * deeds.MIB / 8 for n in range(16)]
    assert deeds.read_and_written(None) - before < 4 * deeds.MIB  # of 128 that went by


def test_single_calls_that_travel_together_give_large_values():
    names = [f"s{number}" for number in range(8)]
    makers = [Stage(name, call="array_deeds:made", **{"with": {"number": n}}) for n, name in enumerate(names)]
    adders = [
        Stage(f"more-{name}", call="array_deeds:plus_one", **{"with": {"array": f"${{stages.{name}}}"}})
        for name in names
    ]
    result = run(*makers, *adders)
    assert [deeds.first(result[f"more-{name}"]) for name in names] == [n + 1 for n in range(8)]
    assert all((result[name] == n).all() for n, name in enumerate(names))
