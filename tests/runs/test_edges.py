"""Who may begin when: streams, barriers and orders, proved by gates and events, never by the clock."""

from __future__ import annotations

from queue import Empty, SimpleQueue

import pytest

from pipeline_runner import Problems
from pipeline_runner.events import CallsDone, StageEnded, StageStarted

pytestmark = pytest.mark.timeout(40)

TEN = {"range": 10}


def test_the_last_stage_gives_its_first_result_before_the_first_stage_has_ended(start, gate):
    run = start(
        {
            "first": {
                "call": "deeds.py:pass_gate",
                "over": TEN,
                "with": {"gate": gate.path, "at": 9},
                "returns": "iterator",
                "backend": "multiprocessing",
            },
            "second": {
                "call": "deeds.py:double",
                "over": "${stages.first}",
                "returns": "unordered",
                "backend": "process",
            },
            "last": {"call": "deeds.py:double", "over": "${stages.second}", "returns": "iterator", "backend": "pathos"},
        }
    )
    assert next(run["last"]) in {4 * n for n in range(9)}
    assert run.state.stages["first"].status is None
    gate.open()
    assert sorted(run.wait()["last"]) == [4 * n for n in range(10)]


def test_a_barrier_waits_for_all_of_its_source(run):
    ran = run(
        {
            "first": {"call": "deeds.py:same", "over": TEN, "returns": "list"},
            "second": {"call": "deeds.py:double", "over": "${stages.first}"},
            "sum": {"call": "deeds.py:total", "with": {"values": "${stages.second}"}},
        }
    )
    assert ran["sum"] == 90
    assert ran.place(StageEnded, "first") < ran.place(StageStarted, "second")
    assert ran.place(StageEnded, "second") < ran.place(StageStarted, "sum")


def test_needs_only_orders(run):
    ran = run(
        {
            "late": {"call": "deeds.py:nothing", "needs": ["early", "other"]},
            "early": {"call": "deeds.py:same", "over": TEN, "returns": "none"},
            "other": {"call": "deeds.py:nothing"},
        }
    )
    assert ran.place(StageEnded, "early") < ran.place(StageStarted, "late")
    assert ran.place(StageEnded, "other") < ran.place(StageStarted, "late")


def test_a_slow_reader_holds_the_stage_that_it_reads(start):
    done = SimpleQueue()
    stage = {
        "call": "deeds.py:same",
        "over": {"generate": "deeds.py:endless"},
        "returns": "iterator",
        "chunk": 1,
        "window": 4,
    }
    run = start({"source": stage}, workers=1, on_event=lambda e: done.put(e) if isinstance(e, CallsDone) else None)
    values = run["source"]
    taken = [next(values) for _ in range(3)]
    ended = _until_quiet(done)
    assert taken == [0, 1, 2]
    assert max(ended) < 3 + 2 * 4 + 2  # taken, what waits, what is in flight


def test_waiting_for_the_end_does_not_wait_for_a_live_iterator_that_is_read_no_further(start):
    stage = {"call": "deeds.py:same", "over": {"range": 50}, "returns": "iterator", "chunk": 1, "window": 2}
    run = start({"live": stage, "whole": {"call": "deeds.py:total", "with": {"values": "${stages.live}"}}})
    values = run["live"]
    assert next(values) == 0
    assert run["whole"] == sum(range(50))
    assert run.wait()["live"] == list(range(50))
    assert list(values) == list(range(1, 50))


def test_a_live_iterator_can_be_read_after_its_run_was_left(made):
    stage = {"call": "deeds.py:same", "over": {"range": 50}, "returns": "iterator", "chunk": 1, "window": 2}
    with made({"live": stage}).start(workers=2) as run:
        values = run["live"]
    assert list(values) == list(range(50))


def test_a_slow_second_stage_holds_the_first(start, gate):
    done = SimpleQueue()
    run = start(
        {
            "fast": {
                "call": "deeds.py:same",
                "over": {"range": 1000},
                "returns": "iterator",
                "chunk": 1,
                "window": 3,
                "backend": "multiprocessing",
            },
            "slow": {
                "call": "deeds.py:pass_gate",
                "over": "${stages.fast}",
                "with": {"gate": gate.path, "at": 0},
                "window": 3,
                "workers": 1,
                "chunk": 1,
                "backend": "pathos",
            },
        },
        on_event=lambda e: done.put(e) if isinstance(e, CallsDone) and e.stage == "fast" else None,
    )
    ended = _until_quiet(done)
    assert 3 <= len(ended) < 30
    gate.open()
    assert run.wait()["slow"] == list(range(1000))


def _until_quiet(done):
    """The calls that ended until none does any more: that it stays quiet is the claim, and nothing tells of it."""
    ended = set()
    try:
        while True:
            ended.update(done.get(timeout=0.7).indices)
    except Empty:
        return ended


def test_the_items_of_one_calls_list_fan_out(run):
    ran = run({"make": {"call": "deeds.py:numbers"}, "each": {"call": "deeds.py:double", "over": "${stages.make}"}})
    assert ran["each"] == [0, 2, 4]


def test_the_pairs_of_one_calls_mapping_fan_out(run):
    ran = run(
        {
            "make": {"call": "deeds.py:pairs"},
            "each": {"call": "deeds.py:join", "over": "${stages.make}", "args": "star"},
        }
    )
    assert ran["each"] == [[["a", 1], {}], [["b", 2], {}]]


def test_what_one_call_of_a_generator_function_yields_fans_out(run):
    ran = run(
        {
            "make": {"call": "deeds.py:counting", "with": [4]},
            "each": {"call": "deeds.py:double", "over": "${stages.make}"},
        }
    )
    assert ran["each"] == [0, 2, 4, 6]


def test_a_part_of_one_calls_value_fans_out(run):
    stages = {
        "make": {"call": "deeds.py:join", "with": [1, 2, 3]},
        "each": {"call": "deeds.py:double", "over": "${stages.make[0]}"},
    }
    assert run(stages)["each"] == [2, 4, 6]


@pytest.mark.parametrize("on_error", ["stop", "finish", "skip"])
@pytest.mark.parametrize("function", ["nothing", "pid"])
def test_a_value_without_items_fails_the_stage_that_wants_them(run, function, on_error):
    ran = run(
        {
            "make": {"call": f"deeds.py:{function}"},
            "each": {"call": "deeds.py:double", "over": "${stages.make}", "on_error": on_error},
            "after": {"call": "deeds.py:nothing", "needs": ["each"]},
        }
    )
    assert ran.result.exit_code == 1
    assert ran.statuses() == {"make": "done", "each": "failed", "after": "cancelled"}
    (failure,) = ran.result.failures
    assert "`over: ${stages.make}` needs items, but its value is" in failure.failure.message


def test_zip_of_streams_goes_by_number_whatever_order_they_end_in(run):
    ran = run(
        {
            "a": {"call": "deeds.py:same", "over": {"range": 50}, "returns": "unordered", "chunk": 3},
            "b": {"call": "deeds.py:double", "over": {"range": 50}, "returns": "unordered", "chunk": 7},
            "pair": {"call": "deeds.py:join", "over": ["${stages.a}", "${stages.b}"], "returns": "list"},
        },
    )
    assert ran["pair"] == [[[n, 2 * n], {}] for n in range(50)]


def test_a_diamond_of_streams_comes_together_again(run):
    ran = run(
        {
            "a": {"call": "deeds.py:same", "over": {"range": 300}, "returns": "iterator"},
            "b": {"call": "deeds.py:double", "over": "${stages.a}", "returns": "iterator"},
            "c": {"call": "deeds.py:same", "over": "${stages.a}", "returns": "unordered", "chunk": 1},
            "d": {"call": "deeds.py:join", "over": {"x": "${stages.a}", "b": "${stages.b}", "c": "${stages.c}"}},
        }
    )
    assert ran["d"] == [[[], {"b": 2 * n, "c": n, "x": n}] for n in range(300)]


def test_unequal_columns_known_only_at_run_time_fail_with_both_lengths(run):
    ran = run(
        {
            "a": {
                "call": "deeds.py:same",
                "over": {"generate": "deeds.py:counting", "with": {"n": 5}},
                "returns": "iterator",
            },
            "b": {
                "call": "deeds.py:same",
                "over": {"generate": "deeds.py:counting", "with": {"n": 8}},
                "returns": "iterator",
            },
            "pair": {"call": "deeds.py:add", "over": {"a": "${stages.a}", "b": "${stages.b}"}},
        }
    )
    assert ran.result.exit_code == 1
    (failure,) = ran.result.failures
    assert 'zip needs columns of one length: "a" has 5 items, "b" has ' in failure.failure.message


@pytest.mark.parametrize("on_error", ["stop", "finish"])
def test_a_reader_that_fails_does_not_leave_its_source_waiting_for_room(run, on_error):
    ran = run(
        {
            "a": {"call": "deeds.py:same", "over": {"range": 500}, "returns": "iterator", "chunk": 1, "window": 2},
            "b": {"call": "deeds.py:boom", "over": "${stages.a}", "backend": "pathos", "on_error": on_error},
            "after": {"call": "deeds.py:total", "with": {"values": "${stages.a}"}},
        }
    )
    assert ran.place(StageStarted, "b") < ran.place(StageEnded, "a")
    assert ran.statuses()["b"] == "failed"
    if on_error == "finish":
        assert ran.statuses()["a"] == ran.statuses()["after"] == "done"
        assert ran["after"] == sum(range(500))


def test_the_shortest_column_ends_a_zip_and_the_longer_source_still_ends(run):
    ran = run(
        {
            "long": {"call": "deeds.py:same", "over": {"range": 500}, "returns": "iterator", "chunk": 1, "window": 2},
            "pair": {
                "call": "deeds.py:add",
                "over": ["${stages.long}", [1, 2, 3]],
                "args": "zip",
                "shortest": True,
                "backend": "pathos",
            },
        }
    )
    assert ran.place(StageStarted, "pair") < ran.place(StageEnded, "long")
    assert ran["pair"] == [1, 3, 5]
    assert ran.statuses() == {"long": "done", "pair": "done"}


def test_one_shot_iterators_and_lengths_nobody_knows(run):
    ran = run(
        {
            "a": {"call": "deeds.py:double", "over": {"generate": "deeds.py:counting", "with": {"n": 20}}},
            "b": {"call": "deeds.py:double", "over": {"generate": "deeds.py:endless", "take": 7}, "returns": "list"},
        }
    )
    assert ran["a"] == [2 * n for n in range(20)]
    assert ran["b"] == [0, 2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize("returns", ["list", "iterator"])
def test_a_source_that_raises_fails_its_stage(run, returns):
    ran = run({"a": {"call": "deeds.py:same", "over": {"generate": "deeds.py:dying_generator"}, "returns": returns}})
    assert ran.statuses() == {"a": "failed"}
    assert ran.failed() == [("a", -1, "LookupError")]
    assert "the source broke" in str(ran.result.failures[0])


def test_a_file_that_is_not_there_is_told_before_anything_runs(run):
    with pytest.raises(Problems, match=r'cannot read "no-such-file.txt": there is no such file'):
        run({"a": {"call": "deeds.py:same", "over": {"lines": "no-such-file.txt"}}})


@pytest.mark.parametrize(
    "over",
    [[], {"range": 0}, {"glob": "no/such/*"}, {"generate": "deeds.py:counting", "with": {"n": 0}}, {"item": []}],
    ids=str,
)
def test_dependants_of_an_empty_stage_run(run, over):
    ran = run(
        {
            "none": {"call": "deeds.py:boom", "over": over},
            "each": {"call": "deeds.py:boom", "over": "${stages.none}"},
            "sum": {"call": "deeds.py:total", "with": {"values": "${stages.each}"}},
        }
    )
    assert (ran["none"], ran["each"], ran["sum"]) == ([], [], 0)
    assert ran.result.exit_code == 0
