"""Stages of one call that share a pool, and travel together where they are short: proved by events and gates."""

from __future__ import annotations

from collections import Counter
from operator import neg

import pytest

from pipeline_runner import Pipeline, Stage
from pipeline_runner.events import (
    CallRetried,
    CallsDone,
    CallsReused,
    ChunkStarted,
    Printed,
    StageEnded,
    StageStarted,
    WorkerDied,
)

pytestmark = pytest.mark.timeout(60)

SHORT = {"call": "deeds.py:nothing"}


def many(count, **keys):
    return {f"s{number}": {**SHORT, **keys} for number in range(count)}


def of_one(name, **keys):
    return {"call": f"deeds.py:{name}", "with": keys}


def most_together(begun):
    """How many stages went in one message, at most: how many do on average is the machine's affair, which may be slow."""
    return max(Counter(event.chunk for event in begun).values())


def test_many_short_stages_take_few_messages_and_no_more_workers_than_the_run_has(run):
    ran = run(many(300))
    assert ran.status == "done"
    begun = ran.of(ChunkStarted)
    assert {event.stage for event in begun} == set(many(300))
    assert most_together(begun) >= 4
    assert len({event.pid for event in begun}) <= 2


def test_functions_that_are_given_in_python_travel_together_as_those_of_a_file_do():
    heard = []
    pipeline = Pipeline("many", [Stage(f"s{number}", call=neg, with_=[number]) for number in range(300)])
    result = pipeline.run(workers=2, state=None, on_event=heard.append)
    assert [result[f"s{number}"] for number in range(300)] == [-number for number in range(300)]
    assert most_together(event for event in heard if isinstance(event, ChunkStarted)) >= 4


def test_each_stage_that_travels_with_others_tells_its_own_beginning_value_and_end(run):
    ran = run({f"s{number}": of_one("join", n=number) for number in range(50)})
    assert {name: ran[name] for name in ran.statuses()} == {f"s{n}": [[], {"n": n}] for n in range(50)}
    for name in ran.statuses():
        told = [type(e) for e in ran.of(StageStarted, ChunkStarted, CallsDone, StageEnded, stage=name)]
        # Whatever a slow machine hands back begins once more.
        assert list(dict.fromkeys(told)) == [StageStarted, ChunkStarted, CallsDone, StageEnded]
        assert len(told) - told.count(ChunkStarted) == 3


def test_stages_of_one_call_are_at_work_at_the_same_time(run, gate):
    stages = {
        **many(20),
        "waits": {**of_one("pass_gate", item=1, gate=gate.path, at=1), "needs": ["s19"]},
        "opens": {**of_one("open_gate", item=1, gate=gate.path, at=1), "needs": ["s19"]},
    }
    assert run(stages).status == "done"


def test_what_waits_for_no_gate_goes_on_while_another_one_waits(run, gate):
    line = {f"l{n}": {**SHORT, "needs": [f"l{n - 1}"] if n else []} for n in range(30)}
    stages = {
        "waits": of_one("pass_gate", item=1, gate=gate.path, at=1),
        **line,
        "opens": {**of_one("open_gate", item=1, gate=gate.path, at=1), "needs": ["l29"]},
    }
    assert run(stages).status == "done"


def test_a_failure_among_those_that_travel_together_is_of_its_stage_alone(run):
    stages = {
        **{f"s{n}": {**of_one("boom_at", item=n, at=[17]), "on_error": "finish"} for n in range(40)},
        "after": {**SHORT, "needs": ["s17"]},
        "beside": {**SHORT, "needs": ["s16"]},
    }
    ran = run(stages)
    assert ran.failed() == [("s17", 0, "ValueError")]
    ends = ran.statuses()
    assert (ends.pop("s17"), ends.pop("after")) == ("failed", "cancelled")
    assert set(ends.values()) == {"done"}


def test_a_skipped_failure_skips_its_stage_and_what_depends_on_it(run):
    stages = {
        **{f"s{n}": {**of_one("boom_at", item=n, at=[3]), "on_error": "skip"} for n in range(6)},
        "after": {**SHORT, "needs": ["s3"]},
    }
    ran = run(stages)
    assert (ran.status, ran.statuses()["s3"], ran.statuses()["after"]) == ("partial", "skipped", "skipped")


def test_a_failure_stops_the_others_that_are_aboard(run):
    stages = {**many(30), "bad": {"call": "deeds.py:boom", "with": {"item": 1}, "needs": ["s29"]}}
    stages |= {f"late{n}": {**SHORT, "needs": ["bad"]} for n in range(30)}
    ran = run(stages)
    assert ran.status == "failed"
    assert ran.failed() == [("bad", 0, "ValueError")]
    assert {status for name, status in ran.statuses().items() if name.startswith("late")} == {"cancelled"}


def test_of_those_that_die_together_only_the_guilty_is_blamed(run):
    dies = {"call": "deeds.py:die_by"}
    stages = {f"s{n}": {**dies, "with": {"item": n, "how": {"33": 9}}, "on_error": "finish"} for n in range(40)}
    ran = run(stages)
    assert ran.failed() == [("s33", 0, "WorkerDied")]
    assert {status for name, status in ran.statuses().items() if name != "s33"} == {"done"}
    assert "s33" in {event.stage for event in ran.of(WorkerDied)}


def test_a_stage_that_travels_with_others_is_tried_again_by_itself(run, tmp_path):
    stages = {
        **many(20),
        "shaky": {**of_one("fail_times", item=1, times=2, folder=str(tmp_path)), "retry": 2, "needs": ["s19"]},
    }
    ran = run(stages)
    assert ran.status == "done"
    assert [(event.stage, event.index, event.tries) for event in ran.of(CallRetried)] == [
        ("shaky", 0, 1),
        ("shaky", 0, 2),
    ]


def test_what_is_written_is_told_of_the_stage_that_wrote_it(run):
    ran = run({f"s{n}": of_one("print_it", item=n) for n in range(30)})
    for n in range(30):
        lines = {event.line for event in ran.of(Printed, stage=f"s{n}")}
        assert lines == {f"out {n}", f"err {n}", f"raw {n}"}


def test_a_run_that_is_cancelled_ends_all_that_travel(start):
    begun = []
    run = start(
        {"s": of_one("hang", item=1, at=1), "t": of_one("hang", item=1, at=1), "after": {**SHORT, "needs": ["s"]}},
        on_event=lambda e: begun.append(e) if isinstance(e, ChunkStarted) else None,
    )
    with pytest.raises(TimeoutError):
        run.wait(0.01)
    run.cancel()
    result = run.wait(20)
    assert {str(stage.status) for stage in result.state.stages.values()} == {"cancelled"}


def test_a_pool_that_is_given_back_while_others_work_is_asked_again(run):
    stages = {
        **many(10),
        "map": {"call": "deeds.py:double", "over": {"range": 5}, "needs": ["s9"], "returns": "list"},
        "again": {"call": "deeds.py:total", "with": {"values": "${stages.map}"}},
        **{f"t{n}": {**SHORT, "needs": ["again"]} for n in range(10)},
    }
    ran = run(stages)
    assert (ran.status, ran["again"]) == ("done", 20)


def test_those_that_ended_before_are_not_called_again(made, tmp_path):
    log = tmp_path / "log"
    stages = {f"s{n}": {**of_one("recorded", item=n, path=str(log)), "cache": True} for n in range(20)}
    made(stages).run(workers=2, state=tmp_path / "state")
    events = []
    result = made(stages).run(workers=2, state=tmp_path / "state", on_event=events.append)
    assert len(log.read_text().split()) == 20
    assert [result[f"s{n}"] for n in range(20)] == list(range(20))
    assert len([event for event in events if isinstance(event, CallsReused)]) == 20
    assert not [event for event in events if isinstance(event, ChunkStarted)]


def test_workers_that_are_struck_while_stages_travel_change_nothing(made, tmp_path):
    stages = {f"s{n}": {**of_one("double", item=n), "needs": [f"s{n - 7}"] if n > 6 else []} for n in range(60)}
    result = made(stages).run(workers=2, state=tmp_path / "state", chaos={"kill": 0.1, "seed": 5})
    assert [result[f"s{n}"] for n in range(60)] == [2 * n for n in range(60)]


def test_what_is_owed_after_a_failure_is_made_when_the_run_is_resumed(made, tmp_path):
    log = tmp_path / "log"
    stages = {f"s{n}": {**of_one("recorded", item=n, path=str(log)), "on_error": "finish"} for n in range(20)}
    stages["bad"] = {**of_one("fail_times", item=1, times=1, folder=str(tmp_path)), "on_error": "finish"}
    stages["after"] = {**of_one("recorded", item=20, path=str(log)), "needs": ["bad"]}
    state = tmp_path / "state"
    assert str(made(stages).run(workers=2, state=state).status) == "failed"
    result = made(stages).run(workers=2, state=state, resume=True)
    assert str(result.status) == "done"
    assert sorted(map(int, log.read_text().split())) == list(range(21))
