"""Workers that die, on every method there is: told with stage, call and signal, and nobody else's call is lost."""

from __future__ import annotations

import signal

import pytest

from pipeline_runner.axes import Style
from pipeline_runner.backends import table
from pipeline_runner.events import WorkerDied

pytestmark = pytest.mark.timeout(60)

LOCAL = [
    method.name
    for method in table()
    if table().owners[method.name].local and not table().owners[method.name].in_process
]
DEATHS = {2: signal.SIGKILL, 4: "exit", 6: signal.SIGSEGV}


def shaped(method, items):
    """A stage over items in a shape that the method takes."""
    styles = table().methods[method].styles
    if Style.MAP in styles:
        return {"over": items, "args": "map"}
    if Style.SINGLE in styles:
        return {"over": items, "args": "single"}
    if Style.STAR in styles:
        return {"over": [[item] for item in items], "args": "star"}
    return {"over": [items], "args": "zip"}


@pytest.mark.parametrize("method", LOCAL)
def test_a_death_is_told_and_all_other_calls_end_well(run, method):
    ran = run(
        {
            "s": {
                "call": "deeds.py:die_by",
                "method": method,
                "on_error": "skip",
                "with": {"how": {str(at): how for at, how in DEATHS.items()}},
            }
            | shaped(method, list(range(9)))
        }
    )
    assert sorted(ran["s"]) == [n for n in range(9) if n not in DEATHS]
    assert ran.result.exit_code == 3
    told = {f.index: (f.failure.type, str(f.failure.cause), f.failure.message) for f in ran.result.failures}
    assert {index: what[:2] for index, what in told.items()} == dict.fromkeys(DEATHS, ("WorkerDied", "lost"))
    assert "signal 9, SIGKILL" in told[2][2]
    assert "exit code 0" in told[4][2]
    assert "signal 11, SIGSEGV" in told[6][2]


@pytest.mark.parametrize(
    "method",
    [
        "multiprocessing.Pool.imap",
        "multiprocessing.Pool.map",
        "concurrent.futures.ProcessPoolExecutor.map",
        "pathos.ParallelPool.map",
    ],
)
def test_a_poison_call_in_a_big_chunk_is_found_and_the_innocent_complete(run, method):
    ran = run(
        {
            "s": {
                "call": "deeds.py:die_by",
                "over": list(range(60)),
                "args": "map",
                "chunk": 30,
                "method": method,
                "on_error": "skip",
                "with": {"how": {"17": 9}},
            }
        }
    )
    assert sorted(ran["s"]) == [n for n in range(60) if n != 17]
    assert ran.failed() == [("s", 17, "WorkerDied")]
    assert ran.of(WorkerDied)[0].exitcode == -9


@pytest.mark.parametrize(
    "method", ["multiprocessing.Pool.imap", "concurrent.futures.ProcessPoolExecutor.submit", "ppft.Server.submit"]
)
def test_a_call_whose_worker_died_once_is_tried_again(run, tmp_path, method):
    ran = run(
        {
            "s": {
                "call": "deeds.py:die_once",
                "over": list(range(6)),
                "with": {"at": 3, "folder": str(tmp_path)},
                "method": method,
                "chunk": 1,  # of several that die together nobody knows whose try it was
                "retry": {"limit": 1, "on": ["lost"]},
            }
        }
    )
    assert sorted(ran["s"]) == list(range(6))
    assert ran.result.exit_code == 0
    assert ran.result.state.stages["s"].retried == 1


def test_a_death_stops_a_run_like_any_failure(run):
    ran = run(
        {
            "s": {"call": "deeds.py:die_by", "over": list(range(6)), "with": {"how": {"3": 9}}, "chunk": 1},
            "after": {"call": "deeds.py:nothing", "needs": ["s"]},
        }
    )
    assert ran.statuses() == {"s": "failed", "after": "cancelled"}
    assert ran.result.exit_code == 1


def test_a_single_call_whose_worker_dies(run):
    ran = run({"s": {"call": "deeds.py:die_by", "with": {"item": 1, "how": {"1": 9}}}})
    assert ran.failed() == [("s", 0, "WorkerDied")]


def test_every_worker_may_die_and_the_run_ends(run):
    ran = run(
        {
            "s": {
                "call": "deeds.py:die_by",
                "over": list(range(8)),
                "with": {"how": {str(n): 9 for n in range(8)}},
                "on_error": "skip",
            }
        }
    )
    assert ran["s"] == []
    assert len(ran.failed()) == 8


def test_a_death_in_a_later_stage_of_a_chain_is_told_of_that_stage(run, made):
    stages = {
        "one": {"call": "deeds.py:same", "over": list(range(20)), "returns": "iterator"},
        "two": {
            "call": "deeds.py:die_by",
            "over": "${stages.one}",
            "with": {"how": {"7": 9}},
            "returns": "iterator",
            "on_error": "skip",
        },
        "three": {"call": "deeds.py:double", "over": "${stages.two}"},
    }
    assert len(made(stages).plan(workers=2).groups[0].chains) == 1
    ran = run(stages)
    assert ran["three"] == [2 * n for n in range(20) if n != 7]
    assert ran.failed() == [("two", 7, "WorkerDied")]


def test_a_death_while_two_stages_stream_leaves_the_other_its_results(run):
    ran = run(
        {
            "one": {
                "call": "deeds.py:die_by",
                "over": list(range(40)),
                "with": {"how": {"11": 9}},
                "returns": "iterator",
                "on_error": "skip",
                "backend": "multiprocessing",
            },
            "two": {"call": "deeds.py:double", "over": "${stages.one}", "backend": "pathos"},
        }
    )
    assert ran["two"] == [2 * n for n in range(40) if n != 11]
