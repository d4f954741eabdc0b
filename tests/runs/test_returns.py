"""What a stage hands back, for each word of `returns`, while it runs and when it has ended."""

from __future__ import annotations

from queue import SimpleQueue

import pytest

from pipeline_runner import CallError, StageUnfinished, UsageError
from pipeline_runner.events import CallsDone

pytestmark = pytest.mark.timeout(40)

DOUBLE = {"call": "deeds.py:double", "over": [1, 2, 3]}


def test_one_blocking_call_gives_its_value(start):
    run = start({"one": {"call": "deeds.py:add", "with": [1, 2], "dispatch": "blocking", "returns": "value"}})
    assert run["one"] == 3
    assert run.wait()["one"] == 3


def test_blocking_calls_over_items_give_the_list_of_their_values(start):
    run = start({"many": DOUBLE | {"args": "single", "dispatch": "blocking", "returns": "value"}})
    assert run["many"] == [2, 4, 6]


def test_a_list_is_there_when_the_stage_is_done(start):
    run = start({"all": DOUBLE | {"args": "map", "returns": "list"}})
    assert run["all"] == [2, 4, 6]


def test_none_keeps_nothing(start):
    run = start({"none": DOUBLE | {"returns": "none"}})
    assert run["none"] is None
    assert run.wait()["none"] is None


def test_an_iterator_gives_values_in_call_order_as_they_come(start, gate):
    stage = {
        "call": "deeds.py:pass_gate",
        "over": [0, 1, 2],
        "with": {"gate": gate.path, "at": 2},
        "returns": "iterator",
    }
    values = start({"live": stage})["live"]
    assert [next(values), next(values)] == [0, 1]  # while the last call waits at the gate
    gate.open()
    assert list(values) == [2]
    assert list(values) == []


def test_an_iterator_holds_back_what_ended_before_its_turn(start, gate):
    stage = {
        "call": "deeds.py:pass_gate",
        "over": [0, 1],
        "with": {"gate": gate.path, "at": 0},
        "returns": "iterator",
        "chunk": 1,
    }
    ended = SimpleQueue()
    run = start({"live": stage}, on_event=lambda event: ended.put(event) if isinstance(event, CallsDone) else None)
    values = run["live"]
    assert list(ended.get().indices) == [1]
    gate.open()
    assert list(values) == [0, 1]


def test_unordered_gives_values_as_they_end(start, gate):
    stage = {
        "call": "deeds.py:pass_gate",
        "over": [0, 1],
        "with": {"gate": gate.path, "at": 0},
        "returns": "unordered",
        "chunk": 1,
    }
    run = start({"live": stage})
    values = run["live"]
    assert next(values) == 1  # while call 0 waits at the gate
    gate.open()
    assert next(values) == 0
    assert run.wait()["live"] == [1, 0]


def test_a_handle_for_each_call(start, gate):
    stage = {
        "call": "deeds.py:pass_gate",
        "over": [0, 1],
        "with": {"gate": gate.path, "at": 1},
        "args": "single",
        "returns": "apply_result",
        "chunk": 1,
    }
    first, second = start({"handles": stage})["handles"]
    assert first.get() == 0
    assert first.ready()
    assert first.successful()
    assert not second.ready()
    with pytest.raises(ValueError, match="has not ended"):
        second.successful()
    with pytest.raises(TimeoutError):
        second.get(0.01)
    second.wait(0.01)
    gate.open()
    second.wait()
    assert second.get(5) == 1
    assert second.get() == 1


def test_a_handle_for_a_single_call(start):
    handle = start({"one": {"call": "deeds.py:add", "with": [1, 2], "returns": "apply_result"}})["one"]
    assert handle.get() == 3


def test_the_handle_of_a_failed_call_raises_and_tells_why(start):
    stage = {
        "call": "deeds.py:boom_at",
        "over": [0, 1],
        "with": {"at": [1]},
        "args": "single",
        "returns": "apply_result",
        "on_error": "finish",
    }
    good, bad = start({"handles": stage})["handles"]
    assert good.get() == 0
    with pytest.raises(CallError, match="no 1") as error:
        bad.get()
    assert error.value.failure.type == "ValueError"
    assert isinstance(error.value.__cause__, ValueError)
    assert bad.ready()
    assert not bad.successful()


def test_the_handle_of_a_failed_call_tells_of_an_exception_of_the_project(start):
    stage = {"call": "deeds.py:raise_picky", "over": [5], "args": "single", "returns": "apply_result"}
    (bad,) = start({"handles": stage})["handles"]
    with pytest.raises(CallError, match="Picky: 5"):
        bad.get()


def test_one_handle_for_all(start, gate):
    stage = {
        "call": "deeds.py:pass_gate",
        "over": [0, 1],
        "with": {"gate": gate.path, "at": 1},
        "returns": "map_result",
    }
    handle = start({"all": stage})["all"]
    assert not handle.ready()
    with pytest.raises(TimeoutError):
        handle.get(0.01)
    gate.open()
    assert handle.get(20) == [0, 1]
    assert handle.successful()


def test_one_handle_for_all_raises_what_ended_the_stage(start):
    handle = start({"all": {"call": "deeds.py:boom", "over": [7], "returns": "map_result"}})["all"]
    with pytest.raises(StageUnfinished, match="no 7"):
        handle.get()
    assert not handle.successful()


def test_a_live_iterator_gives_what_came_and_then_raises_why_no_more_comes(start):
    stage = {
        "call": "deeds.py:boom_at",
        "over": [0, 1, 2],
        "with": {"at": [2]},
        "returns": "iterator",
        "chunk": 1,
        "workers": 1,
        "on_error": "finish",
    }
    values = start({"live": stage})["live"]
    got = []
    with pytest.raises(StageUnfinished, match="no 2"):
        got.extend(values)
    assert got == [0, 1]


def test_a_failed_stage_has_no_list(start):
    run = start({"all": {"call": "deeds.py:boom", "over": [7], "returns": "list"}})
    with pytest.raises(StageUnfinished, match='stage "all" has no result: it failed, because'):
        run["all"]


def test_an_unknown_stage_is_a_key_error_with_the_nearest_name(start):
    run = start({"count": DOUBLE})
    with pytest.raises(KeyError, match="count"):
        run["cuont"]
    with pytest.raises(KeyError, match="count"):
        run.wait()["cuont"]


def test_values_that_were_not_kept_are_refused_and_not_silently_empty(made):
    run = made({"a": DOUBLE | {"returns": "list"}, "b": {"call": "deeds.py:same", "over": "${stages.a}"}, "c": DOUBLE})
    result = run.run(workers=2, keep=())
    assert result["b"] == [2, 4, 6]
    streaming = {"a": DOUBLE | {"returns": "iterator"}, "b": {"call": "deeds.py:same", "over": "${stages.a}"}}
    result = made(streaming).run(workers=2, keep=())
    with pytest.raises(UsageError, match="not kept"):
        result["a"]
    with made(streaming).start(workers=2, keep=()) as run:
        assert run.wait()["b"] == [2, 4, 6]


def test_asking_a_run_for_values_that_are_not_kept_is_refused(made):
    stages = {"a": DOUBLE | {"returns": "iterator"}, "after": {"call": "deeds.py:same", "over": "${stages.a}"}}
    with made(stages).start(workers=2, keep=()) as run, pytest.raises(UsageError, match="not kept"):
        run["a"]


@pytest.mark.parametrize("returns", ["list", "apply_result", "map_result", "iterator"])
def test_values_of_a_stage_that_is_only_needed_are_kept(made, returns):
    stages = {"a": DOUBLE | {"returns": returns, "args": "single" if returns == "apply_result" else "map"}}
    stages["after"] = {"call": "deeds.py:nothing", "needs": ["a"]}
    assert made(stages).run(workers=2, keep=())["a"] == [2, 4, 6]


@pytest.mark.parametrize("returns", ["value", "list", "apply_result", "map_result", "iterator", "unordered", "none"])
def test_no_items_is_no_calls_whatever_is_returned(start, returns):
    stage = {"call": "deeds.py:boom", "over": [], "returns": returns}
    after = {"call": "deeds.py:nothing", "needs": ["empty"]}
    run = start({"empty": stage, "after": after})
    value = run["empty"]
    if returns == "map_result":
        value = value.get()
    assert (value if returns == "none" else list(value)) == (None if returns == "none" else [])
    result = run.wait()
    assert result.exit_code == 0
    assert str(result.state.stages["after"].status) == "done"


def test_values_of_a_class_of_the_project_come_back(run):
    ran = run(
        {
            "points": {"call": "deeds.py:point", "over": [3, -4]},
            "norms": {"call": "deeds.py:norm", "over": "${stages.points}"},
        }
    )
    assert [point.x for point in ran["points"]] == [3, -4]
    assert ran["norms"] == [3, 4]
