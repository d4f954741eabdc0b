"""`limits` and `priority`: who may be at work at one time, and who goes first."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline_runner import Pipeline, Stage, check
from pipeline_runner.engine.leave import Leave
from pipeline_runner.events import ChunkStarted, StageStarted

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("own_state")]

HERE = Path(__file__).parent


def made(stages, **top):
    return Pipeline.from_text(json.dumps({"version": 1, "stages": stages, **top}), folder=HERE)


def spans(log):
    rows = [line.split() for line in Path(log).read_text().splitlines()]
    return [(float(began), float(ended), word) for began, ended, word in rows]


def most_at_once(log, words=None):
    """The most calls that were at work at one moment."""
    chosen = [(began, ended) for began, ended, word in spans(log) if words is None or word in words]
    moments = sorted([(began, 1) for began, _ in chosen] + [(ended, -1) for _, ended in chosen])
    alive = most = 0
    for _, change in moments:
        alive += change
        most = max(most, alive)
    return most


def spanning(log, values, seconds=0.05, **keys):
    return {
        "call": "control_deeds.py:span",
        "over": values,
        "with": {"log": str(log), "seconds": seconds},
        **keys,
    }


METHODS = [
    "multiprocessing.Pool.map",
    "multiprocessing.Pool.imap_unordered",
    "multiprocessing.Pool.apply_async",
    "concurrent.futures.ProcessPoolExecutor.map",
    "concurrent.futures.ProcessPoolExecutor.submit",
    "pathos.ProcessPool.uimap",
    "multiprocessing.Process",
]


@pytest.mark.parametrize("method", METHODS)
def test_no_more_calls_are_at_work_than_there_are_tokens_across_two_stages(method, tmp_path):
    log = tmp_path / "log"
    stages = {name: spanning(log, [f"{name}{n}" for n in range(4)], limits=["api"], method=method) for name in "ab"}
    result = made(stages, limits={"api": 2}).run(workers=4)
    assert result.exit_code == 0
    assert len(spans(log)) == 8
    assert most_at_once(log) <= 2


def test_without_limits_more_are_at_work(tmp_path):
    """That the count can fail: four wait for one another."""
    meeting = {"call": "control_deeds.py:meets", "with": {"log": str(tmp_path / "log"), "of": 4}}
    stages = {name: {**meeting, "over": [f"{name}1", f"{name}2"], "chunk": 1} for name in "ab"}
    result = made(stages).run(workers=4)
    assert result["a"] + result["b"] == [True] * 4


@pytest.mark.parametrize("backend", ["threads", "serial"])
def test_calls_in_the_runner_itself_hold_tokens_too(backend, tmp_path):
    log = tmp_path / "log"
    stages = {
        "here": spanning(log, ["h1", "h2", "h3", "h4"], limits=["api"], backend=backend),
        "there": spanning(log, ["t1", "t2", "t3", "t4"], limits=["api"]),
    }
    result = made(stages, limits={"api": 1}).run(workers=4)
    assert result.exit_code == 0
    assert (len(spans(log)), most_at_once(log)) == (8, 1)


def test_a_call_may_hold_several_tokens_of_several_kinds(tmp_path):
    """In both orders, so that calls which took them one by one would wait for each other for ever."""
    log = tmp_path / "log"
    stages = {
        "a": spanning(log, [f"a{n}" for n in range(6)], 0.02, limits={"api": 1, "disk": 1}),
        "b": spanning(log, [f"b{n}" for n in range(6)], 0.02, limits={"disk": 1, "api": 1}),
        "c": spanning(log, [f"c{n}" for n in range(3)], 0.02, limits={"api": 2}),
    }
    result = made(stages, limits={"api": 2, "disk": 1}).run(workers=4)
    assert result.exit_code == 0
    assert most_at_once(log, {f"c{n}" for n in range(3)}) == 1
    assert most_at_once(log) <= 2


def test_tokens_of_a_worker_that_died_are_free_again(tmp_path):
    log = tmp_path / "log"
    stages = {
        "dies": {
            "call": "control_deeds.py:dies_once",
            "over": [1, 2, 3],
            "with": {"log": str(log)},
            "limits": ["api"],
            "retry": 1,
        },
        "other": spanning(log, ["o1", "o2"], limits=["api"]),
    }
    result = made(stages, limits={"api": 1}).run(workers=3)
    assert result.exit_code == 0
    assert (len(spans(log)), most_at_once(log)) == (5, 1)


def test_tokens_of_a_call_that_took_too_long_are_free_again(tmp_path):
    log = tmp_path / "log"
    stages = {
        "hangs": {
            "call": "control_deeds.py:hangs",
            "over": [1],
            "limits": ["api"],
            "timeout": "1s",
            "on_error": "finish",
        },
        "other": spanning(log, ["o1", "o2"], limits=["api"]),
    }
    result = made(stages, limits={"api": 1}).run(workers=2)
    assert str(result.state.stages["other"].status) == "done"
    assert result.failures[0].failure.type == "Timeout"


def test_a_wait_for_a_token_is_not_the_calls_time(tmp_path):
    log = tmp_path / "log"
    stages = {
        "a": spanning(log, ["a1", "a2"], 1.0, limits=["api"], timeout="3s"),
        "b": spanning(log, ["b1", "b2"], 1.0, limits=["api"], timeout="3s"),
    }
    assert made(stages, limits={"api": 1}).run(workers=4).exit_code == 0
    assert most_at_once(log) == 1


def test_a_stage_gets_no_more_workers_than_can_hold_their_tokens():
    plan = made({"x": spanning("log", list(range(9)), limits={"api": 2})}, limits={"api": 5}, workers=8).plan()
    assert plan.stages["x"].workers == 2
    assert "holding 2 api" in plan.explain()


def test_a_limited_stage_leaves_the_other_workers_to_others(tmp_path):
    """A call of each waits for the other: they are at work together, though one stage has more calls than workers."""
    meeting = {"call": "control_deeds.py:meets", "with": {"log": str(tmp_path / "log"), "of": 2}}
    stages = {
        "limited": {**meeting, "over": ["l1", "l2", "l3", "l4"], "limits": ["api"], "chunk": 1},
        "free": {**meeting, "over": ["f1"]},
    }
    result = made(stages, limits={"api": 1}).run(workers=2)
    assert result["limited"] + result["free"] == [True] * 5


def test_tokens_in_python():
    pipeline = Pipeline("p", [Stage("x", call=len, over=[[1], [2, 3]], limits="api", priority=3)], limits={"api": 1})
    assert pipeline.plan(workers=4).stages["x"].workers == 1
    assert pipeline.run(workers=4)["x"] == [1, 2]


def test_a_cancelled_run_does_not_wait_for_tokens(tmp_path):
    stages = {
        "hangs": {"call": "control_deeds.py:hangs", "over": [1], "limits": ["api"]},
        "waits": spanning(tmp_path / "log", ["w"], limits=["api"], backend="threads"),
        "bad": {"call": "control_deeds.py:fails"},
    }
    result = made(stages, limits={"api": 1}).run(workers=3)
    assert str(result.status) == "failed"
    assert result.state.seconds < 20


def test_limits_come_from_a_profile_and_from_defaults():
    text = {
        "version": 1,
        "limits": {"api": 1},
        "defaults": {"limits": ["api"]},
        "stages": {"x": {"call": "a:b", "over": [1, 2, 3]}},
        "profiles": {"big": {"limits": {"api": 3}}},
    }
    assert Pipeline.from_text(json.dumps(text), profile="big").plan(workers=4).stages["x"].workers == 3


@pytest.mark.parametrize(
    ("limits", "holds"),
    [
        ("api", {"api": 1}),
        (["api"], {"api": 1}),
        (["api", "api"], {"api": 2}),
        (["api", "disk"], {"api": 1, "disk": 1}),
        ({"api": 2, "disk": 1}, {"api": 2, "disk": 1}),
        (None, {}),
    ],
)
def test_tokens_may_be_written_as_a_name_a_list_or_a_mapping(limits, holds):
    spec = made({"x": {"call": "a:b", "limits": limits}}, limits={"api": 2, "disk": 1}).spec
    assert spec.stages["x"].limits == holds


PROBLEMS = [
    ({"limits": {"api": 2}}, ["apy"], 'holds tokens "apy", of which there are none; did you mean "api"?'),
    ({}, ["api"], "Name them at the top of the file:  limits: {api: 2}"),
    ({"limits": {"api": 2}}, {"api": 3}, 'each call of stage "x" holds 3 tokens "api", and there are 2'),
    ({"limits": {"api": 1}}, {"api": 2}, 'holds 2 tokens "api", and there is 1'),
    ({"limits": {"api": 0}}, ["api"], "at least 1"),
    ({"limits": {"api": 1}}, {"api": 0}, "at least 1"),
]


@pytest.mark.parametrize(("top", "limits", "said"), PROBLEMS, ids=str)
def test_tokens_that_there_are_not_are_told(top, limits, said):
    text = json.dumps({"version": 1, **top, "stages": {"x": {"call": "a:b", "limits": limits}}})
    assert said in "\n".join(map(str, check(text)))


# Who goes first


def door(workers, *courses, **tokens):
    """Leave for courses of (priority, tokens), as their chains' heads say."""
    stages = {
        number: SimpleNamespace(
            spec=SimpleNamespace(limits=holds, priority=priority),
            choice=SimpleNamespace(backend=SimpleNamespace(uses_cpus=True)),
        )
        for number, (priority, holds) in enumerate(courses)
    }
    plan = SimpleNamespace(
        workers=workers, waves=[list(stages)], groups=[], stages=stages, pipeline=SimpleNamespace(limits=tokens)
    )
    return Leave(plan, [SimpleNamespace(head=number) for number in stages])


def test_of_those_who_wait_the_higher_priority_goes_first():
    leave = door(1, (0, {}), (5, {}), (-1, {}))
    assert leave.ask(0, 10) == [10]
    assert [leave.ask(2, 12), leave.ask(0, 11), leave.ask(1, 13)] == [[], [], []]
    assert [leave.done(10), leave.done(13), leave.done(11)] == [[13], [11], [12]]


def test_who_lacks_a_token_lets_others_pass_but_not_those_who_want_it_too():
    leave = door(9, (0, {"api": 2}), (0, {"api": 1}), (0, {}), api=2)
    assert leave.ask(1, 1) == [1]
    assert leave.ask(0, 2) == []
    assert leave.ask(2, 3) == [3]
    assert leave.done(1) == [2]


def test_many_small_ones_do_not_keep_a_large_one_waiting_for_ever():
    leave = door(9, (1, {"api": 2}), (0, {"api": 1}), api=2)
    assert [leave.ask(1, 1), leave.ask(1, 2)] == [[1], [2]]
    assert leave.ask(0, 3) == []
    assert leave.ask(1, 4) == []
    assert leave.done(1) == []
    assert leave.done(2) == [3]
    assert leave.done(3) == [4]


def test_a_course_that_is_forgotten_frees_what_it_held():
    leave = door(9, (0, {"api": 1}), (0, {"api": 1}), api=1)
    assert leave.ask(0, 1) == [1]
    assert [leave.ask(0, 2), leave.ask(1, 3)] == [[], []]
    assert leave.forget(0) == [3]


def test_of_the_stages_that_are_ready_the_higher_priority_begins_first():
    stages = {
        name: {"call": "control_deeds.py:same", "priority": priority}
        for name, priority in (("low", -1), ("usual", 0), ("high", 7), ("higher", 8))
    }
    events = []
    made(stages).run(workers=1, on_event=events.append)
    assert [e.stage for e in events if isinstance(e, StageStarted)] == ["higher", "high", "usual", "low"]


def test_what_becomes_ready_goes_before_what_runs_with_a_lower_priority(tmp_path):
    log = tmp_path / "log"
    stages = {
        "low": spanning(log, list(range(40)), 0.1, chunk=1),
        "first": spanning(log, ["f"], 0.1, priority=1),
        "high": spanning(log, ["h1", "h2"], 0.1, priority=5, needs=["first"]),
    }
    events = []
    made(stages).run(workers=2, on_event=events.append)
    words = [word for _, _, word in sorted(spans(log))]
    assert {"h1", "h2"} <= set(words[:32])  # and not after all the others
    order = [e.stage for e in events if isinstance(e, ChunkStarted)]
    assert order[-1] == "low"
