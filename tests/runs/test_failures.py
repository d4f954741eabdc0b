"""Calls that raise, hang, or give what cannot be sent: tried again, dropped, or told; and nothing else suffers."""

from __future__ import annotations

import pytest

from pipeline_runner.events import CallRetried, CallsDone, ChunkStarted, PoolReplaced

pytestmark = pytest.mark.timeout(40)

FIVE = {"range": 5}


def test_stop_cancels_the_run(run, gate):
    ran = run(
        {
            "bad": {"call": "deeds.py:boom", "over": [1]},
            "waits": {"call": "deeds.py:hang", "over": [0], "with": {"at": 0}},
            "after": {"call": "deeds.py:nothing", "needs": ["bad"]},
        }
    )
    assert ran.statuses() == {"bad": "failed", "waits": "cancelled", "after": "cancelled"}
    assert (ran.status, ran.result.exit_code) == ("failed", 1)


def test_stop_runs_nothing_again(run, tmp_path):
    log = tmp_path / "log"
    stages = {"bad": {"call": "deeds.py:boom_at", "over": {"range": 400}, "with": {"at": [3]}, "chunk": 1}}
    ran = run(stages)
    done = [index for e in ran.of(CallsDone) for index in e.indices]
    assert len(done) == len(set(done)) < 399
    assert not ran.of(PoolReplaced)
    assert not log.exists()


def test_finish_lets_everything_independent_end(run):
    ran = run(
        {
            "bad": {"call": "deeds.py:boom_at", "over": FIVE, "with": {"at": [1]}, "on_error": "finish"},
            "other": {"call": "deeds.py:double", "over": FIVE},
            "after_bad": {"call": "deeds.py:double", "over": "${stages.bad}"},
            "after_other": {"call": "deeds.py:total", "with": {"values": "${stages.other}"}},
        }
    )
    assert ran.statuses() == {"bad": "failed", "other": "done", "after_bad": "cancelled", "after_other": "done"}
    assert ran.result.state.stages["bad"].done == 4
    assert (ran.status, ran.result.exit_code) == ("failed", 1)


def test_skip_drops_the_failed_calls_everywhere_downstream(run):
    ran = run(
        {
            "bad": {"call": "deeds.py:boom_at", "over": {"range": 30}, "with": {"at": [4, 17]}, "on_error": "skip"},
            "next": {"call": "deeds.py:double", "over": "${stages.bad}"},
            "sum": {"call": "deeds.py:total", "with": {"values": "${stages.next}"}},
        }
    )
    assert ran["next"] == [2 * n for n in range(30) if n not in (4, 17)]
    assert ran["sum"] == sum(ran["next"])
    assert (ran.status, ran.result.exit_code) == ("partial", 3)
    assert sorted(ran.failed()) == [("bad", 4, "ValueError"), ("bad", 17, "ValueError")]


@pytest.mark.parametrize("returns", ["list", "iterator", "unordered"])
@pytest.mark.parametrize("chunk", [1, 4])
def test_a_skipped_call_takes_its_row_of_a_zip_with_it_and_shifts_nothing(run, returns, chunk):
    ran = run(
        {
            "a": {
                "call": "deeds.py:boom_at",
                "over": {"range": 12},
                "with": {"at": [0, 5]},
                "on_error": "skip",
                "returns": returns,
                "chunk": chunk,
            },
            "b": {
                "call": "deeds.py:boom_at",
                "over": {"range": 12},
                "with": {"at": [7, 11]},
                "on_error": "skip",
                "returns": returns,
            },
            "pair": {"call": "deeds.py:join", "over": ["${stages.a}", "${stages.b}", {"range": 12}], "returns": "list"},
        }
    )
    assert ran["pair"] == [[[n, n, n], {}] for n in range(12) if n not in (0, 5, 7, 11)]


def test_all_calls_may_be_skipped(run):
    ran = run(
        {
            "a": {"call": "deeds.py:boom", "over": FIVE, "on_error": "skip"},
            "b": {"call": "deeds.py:double", "over": "${stages.a}"},
        }
    )
    assert (ran["a"], ran["b"], ran.result.exit_code) == ([], [], 3)


def test_a_retry_ends_well_when_the_call_does(run, tmp_path):
    stage = {"call": "deeds.py:fail_times", "over": [1, 2], "with": {"times": 2, "folder": str(tmp_path)}, "retry": 2}
    ran = run({"s": stage})
    assert ran["s"] == [1, 2]
    assert sorted((e.index, e.tries, e.limit) for e in ran.of(CallRetried)) == [
        (0, 1, 3),
        (0, 2, 3),
        (1, 1, 3),
        (1, 2, 3),
    ]
    assert ran.result.exit_code == 0


def test_a_retry_has_a_limit(run, tmp_path):
    stage = {"call": "deeds.py:fail_times", "over": [1], "with": {"times": 9, "folder": str(tmp_path)}, "retry": 2}
    ran = run({"s": stage})
    assert ran.result.failures[0].tries == 3
    assert (tmp_path / "tries-1").read_text().split() == ["x"] * 3


def test_a_retry_is_only_for_what_it_names(run, tmp_path):
    stage = {"call": "deeds.py:fail_times", "over": [1], "with": {"times": 1, "folder": str(tmp_path)}}
    assert run({"s": stage | {"retry": {"limit": 1, "on": ["ValueError", "lost"]}}}).failed() == [("s", 0, "OSError")]
    (tmp_path / "tries-1").unlink()
    assert run({"s": stage | {"retry": {"limit": 1, "on": ["OSError"]}}})["s"] == [1]


def test_a_retry_waits_longer_each_time(run, tmp_path):
    stage = {
        "call": "deeds.py:fail_times",
        "over": [1],
        "with": {"times": 2, "folder": str(tmp_path)},
        "retry": {"limit": 3, "delay": "100ms", "backoff": 2},
    }
    ran = run({"s": stage})
    waits = [e.wait_s for e in ran.of(CallRetried)]
    assert waits == pytest.approx([0.1, 0.2])
    again = [e.at for e in ran.of(ChunkStarted)][1:]
    for retried, begun in zip(ran.of(CallRetried), again, strict=True):
        assert begun - retried.at >= retried.wait_s * 0.9


@pytest.mark.parametrize(
    "method", ["multiprocessing.Pool.map", "concurrent.futures.ProcessPoolExecutor.map", "pathos.ParallelPool.map"]
)
def test_a_retry_on_a_method_that_takes_all_its_input_first(run, tmp_path, method):
    stage = {
        "call": "deeds.py:fail_times",
        "over": {"range": 6},
        "with": {"times": 1, "folder": str(tmp_path)},
        "retry": {"limit": 1, "delay": "50ms"},
        "method": method,
    }
    if "multiprocessing" not in method:
        stage["args"] = "map"
    assert run({"s": stage})["s"] == list(range(6))


@pytest.mark.parametrize(
    "method",
    [
        "multiprocessing.Pool.imap",
        "multiprocessing.Pool.map",
        "concurrent.futures.ProcessPoolExecutor.submit",
        "pathos.ParallelPool.uimap",
        "multiprocessing.Process",
    ],
)
def test_a_timeout_kills_the_call_and_tells(run, method):
    stage = {
        "call": "deeds.py:hang",
        "over": FIVE,
        "with": {"at": 2},
        "timeout": "500ms",
        "on_error": "skip",
        "method": method,
    }
    ran = run({"s": stage})
    assert sorted(ran["s"]) == [0, 1, 3, 4]
    (failure,) = ran.result.failures
    assert (failure.index, failure.failure.type, str(failure.failure.cause)) == (2, "Timeout", "timeout")
    assert "still running after 0.5 s" in failure.failure.message


def test_a_timeout_is_of_the_call_and_not_of_its_wait_for_leave(run):
    # Both have a worker of their own, and one leave between them: somewhere a quick call waits for a long one.
    ran = run(
        {
            "quick": {"call": "deeds.py:linger", "over": [0.02] * 40, "backend": "multiprocessing", "timeout": "400ms"},
            "long": {"call": "deeds.py:linger", "over": [0.8], "backend": "pathos"},
        },
        workers=1,
    )
    assert ran.failed() == []
    assert ran.result.exit_code == 0


def test_a_timeout_can_be_tried_again(run):
    stage = {
        "call": "deeds.py:hang",
        "over": [1],
        "with": {"at": 1},
        "timeout": "200ms",
        "retry": {"limit": 1, "on": ["timeout"]},
    }
    ran = run({"s": stage})
    assert ran.result.failures[0].tries == 2


def test_what_a_call_raises_to_leave_is_that_calls_failure(run):
    ran = run({"s": {"call": "deeds.py:interrupt", "over": [1, 2], "on_error": "skip"}})
    assert sorted(ran.failed()) == [("s", 0, "KeyboardInterrupt"), ("s", 1, "SystemExit")]


def test_an_exception_that_cannot_be_sent_is_told_in_words(run):
    ran = run(
        {
            "two": {"call": "deeds.py:raise_two", "over": [1], "on_error": "skip"},
            "mute": {"call": "deeds.py:raise_wordless", "over": [1], "on_error": "skip"},
        }
    )
    assert ran.result.exit_code == 3
    told = {f.stage: f.failure for f in ran.result.failures}
    assert (told["two"].type, told["two"].message, told["two"].pickled) == ("TwoArguments", "1 and 2", None)
    assert (told["mute"].type, told["mute"].pickled) == ("Wordless", None)
    assert "raise_wordless" in told["mute"].traceback


@pytest.mark.parametrize(
    ("function", "kind"), [("unpicklable", "TypeError"), ("unreadable", "RuntimeError"), ("deep", "RecursionError")]
)
@pytest.mark.parametrize("chunk", [1, 3])
def test_a_result_that_cannot_be_sent_costs_only_itself(run, function, kind, chunk):
    ran = run({"s": {"call": f"deeds.py:{function}", "over": [0, 1, 2], "on_error": "skip", "chunk": chunk}})
    assert ran["s"] == [0, 2]
    assert ran.failed() == [("s", 1, kind)]
    assert str(ran.result.failures[0].failure.cause) == "result"


def test_a_result_that_only_dill_can_send_is_sent(run):
    ran = run(
        {
            "make": {"call": "deeds.py:lambda_of", "over": [1, 2]},
            "use": {"call": "deeds.py:call_it", "over": "${stages.make}", "backend": "pathos"},
        }
    )
    assert ran["use"] == [1, 2]


def test_a_function_whose_module_raises_fails_its_stage(run):
    ran = run({"s": {"call": "broken_import.py:f", "over": [1, 2]}})
    assert ran.statuses() == {"s": "failed"}
    assert ran.failed()[0][2] == "RuntimeError"


def test_a_function_that_goes_away_after_it_was_looked_at_fails_its_stage(run, tmp_path):
    steps = tmp_path / "goes_away.py"
    steps.write_text(f"import os\ndef leave(item): os.unlink({str(steps)!r})\ndef f(item): ...\n")
    ran = run(
        {
            "first": {"call": f"{steps}:leave", "over": [1], "workers": 1},
            "s": {"call": f"{steps}:f", "over": [1, 2], "needs": ["first"], "start_method": "spawn"},
        }
    )
    assert ran.statuses() == {"first": "done", "s": "failed"}
    assert ran.failed()[0][2] == "FunctionNotFound"


def test_a_setup_that_raises_fails_its_stage(run):
    ran = run(
        {"s": {"call": "deeds.py:same", "over": [1, 2], "setup": "deeds.py:boom", "setup_with": {"item": "setup"}}}
    )
    assert ran.failed()[0][2] == "ValueError"
    assert ran.statuses() == {"s": "failed"}


# Fused chains


FUSED = {
    "one": {"call": "deeds.py:same", "over": {"range": 40}, "returns": "iterator"},
    "two": {"call": "deeds.py:double", "over": "${stages.one}", "returns": "iterator"},
    "three": {"call": "deeds.py:double", "over": "${stages.two}", "returns": "iterator"},
}


def test_a_fused_chain_gives_what_its_stages_give_apart(run, made):
    assert [len(chain.stages) for group in made(FUSED).plan(workers=2).groups for chain in group.chains] == [3]
    apart = {name: stage | {"chunk": 1 + at} for at, (name, stage) in enumerate(FUSED.items())}
    assert [len(chain.stages) for group in made(apart).plan(workers=2).groups for chain in group.chains] == [1, 1, 1]
    together, alone = run(FUSED), run(apart)
    assert [together[name] for name in FUSED] == [alone[name] for name in FUSED]
    assert together["three"] == [4 * n for n in range(40)]


def test_a_retry_in_a_later_stage_of_a_chain_does_not_run_the_first_again(run, made, tmp_path):
    log = tmp_path / "log"
    stages = {
        "one": {"call": "deeds.py:recorded", "over": FIVE, "with": {"path": str(log)}, "returns": "iterator"},
        "two": {
            "call": "deeds.py:fail_times",
            "over": "${stages.one}",
            "with": {"times": 1, "folder": str(tmp_path)},
            "retry": 1,
        },
    }
    assert len(made(stages).plan(workers=2).groups[0].chains) == 1
    ran = run(stages)
    assert ran["two"] == [0, 1, 2, 3, 4]
    assert sorted(log.read_text().split()) == list("01234")


def test_each_stage_of_a_chain_has_its_own_tries(run, made, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    stages = {
        "one": {
            "call": "deeds.py:fail_times",
            "over": FIVE,
            "with": {"times": 1, "folder": str(one)},
            "retry": 1,
            "returns": "iterator",
        },
        "two": {
            "call": "deeds.py:fail_times",
            "over": "${stages.one}",
            "with": {"times": 1, "folder": str(two)},
            "retry": 1,
        },
    }
    assert len(made(stages).plan(workers=2).groups[0].chains) == 1
    ran = run(stages)
    assert ran["two"] == [0, 1, 2, 3, 4]
    assert {name: stage.retried for name, stage in ran.result.state.stages.items()} == {"one": 5, "two": 5}


def test_a_skip_in_the_middle_of_a_chain(run, made):
    stages = {
        "one": {
            "call": "deeds.py:boom_at",
            "over": {"range": 20},
            "with": {"at": [3]},
            "on_error": "skip",
            "returns": "iterator",
        },
        "two": {
            "call": "deeds.py:boom_at",
            "over": "${stages.one}",
            "with": {"at": [5]},
            "on_error": "skip",
            "returns": "iterator",
        },
        "three": {"call": "deeds.py:double", "over": "${stages.two}"},
    }
    assert len(made(stages).plan(workers=2).groups[0].chains) == 1
    ran = run(stages)
    assert ran["one"] == [n for n in range(20) if n != 3]
    assert ran["two"] == [n for n in range(20) if n not in (3, 5)]
    assert ran["three"] == [2 * n for n in ran["two"]]
    assert sorted(ran.failed()) == [("one", 3, "ValueError"), ("two", 5, "ValueError")]


def test_a_failure_in_the_middle_of_a_chain_is_told_of_its_own_stage(run):
    stages = {
        "one": {"call": "deeds.py:same", "over": FIVE, "returns": "iterator"},
        "two": {
            "call": "deeds.py:boom_at",
            "over": "${stages.one}",
            "with": {"at": [2]},
            "returns": "iterator",
            "on_error": "finish",
        },
        "three": {"call": "deeds.py:double", "over": "${stages.two}"},
    }
    ran = run(stages)
    assert ran.statuses() == {"one": "done", "two": "failed", "three": "cancelled"}
    assert ran["one"] == [0, 1, 2, 3, 4]


def test_a_later_stage_that_fails_twice_is_still_given_what_the_first_gave(run, made, tmp_path):
    stages = {
        "one": {"call": "deeds.py:double", "over": [1, 2, 3], "returns": "iterator"},
        "two": {
            "call": "deeds.py:fail_times",
            "over": "${stages.one}",
            "with": {"times": 2, "folder": str(tmp_path)},
            "retry": 2,
        },
    }
    assert len(made(stages).plan(workers=2).groups[0].chains) == 1
    assert run(stages)["two"] == [2, 4, 6]


def test_a_later_stage_whose_worker_dies_on_a_second_try_is_still_given_what_the_first_gave(run, made, tmp_path):
    stages = {
        "one": {"call": "deeds.py:double", "over": [1, 2, 3], "returns": "iterator"},
        "two": {
            "call": "deeds.py:fail_then_die",
            "over": "${stages.one}",
            "with": {"at": 4, "folder": str(tmp_path)},
            "retry": 2,
        },
    }
    assert len(made(stages).plan(workers=2).groups[0].chains) == 1
    ran = run(stages)
    assert ran["two"] == [2, 4, 6]
    assert [(e.stage, e.index, e.failure.type) for e in ran.of(CallRetried)] == [
        ("two", 1, "OSError"),
        ("two", 1, "WorkerDied"),
    ]
