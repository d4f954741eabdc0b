"""In which order stages begin that stream, wait and have conditions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.events import StageEnded, StageStarted

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("own_state")]

HERE = Path(__file__).parent
SAME = {"call": "control_deeds.py:same"}
HUNDRED = {**SAME, "over": {"range": 100}}


def ran(stages, keep, workers=2):
    events = []
    pipeline = Pipeline.from_text(json.dumps({"version": 1, "stages": stages}), folder=HERE)
    result = pipeline.run(workers=workers, keep=keep, on_event=events.append)
    begun = [event.stage for event in events if isinstance(event, StageStarted)]
    ended = [event.stage for event in events if isinstance(event, StageEnded)]
    return result, begun, ended


def late(log):
    return {"call": "control_deeds.py:span", "with": {"value": 1, "log": str(log), "seconds": 0.3}}


def test_nothing_is_streamed_before_there_is_somebody_to_read_it(tmp_path):
    """Its reader waits for another stage, and values that it misses would be in no result."""
    stages = {
        "x": HUNDRED,
        "late": late(tmp_path / "log"),
        "y": {**SAME, "over": "${stages.x}", "needs": ["late"]},
    }
    result, begun, _ = ran(stages, keep=["y"])
    assert result["y"] == list(range(100))
    assert begun == ["late", "x", "y"]


def test_a_reader_of_a_reader_is_waited_for_too(tmp_path):
    stages = {
        "x": HUNDRED,
        "late": late(tmp_path / "log"),
        "y": {**SAME, "over": "${stages.x}", "chunk": 3},
        "z": {"call": "control_deeds.py:same", "over": "${stages.y}", "chunk": 4, "needs": ["late"]},
        "other": {**SAME, "over": "${stages.x}", "chunk": 5},
    }
    result, begun, _ = ran(stages, keep=["z", "other"])
    assert result["z"] == result["other"] == list(range(100))
    assert begun[0] == "late"


@pytest.mark.parametrize("condition", ["${stages.late}", "always"])
def test_a_reader_that_may_not_run_reads_all_of_it_when_it_does(condition, tmp_path):
    stages = {
        "x": HUNDRED,
        "late": late(tmp_path / "log"),
        "y": {**SAME, "over": "${stages.x}", "if": condition, "needs": ["late"]},
    }
    result, *_ = ran(stages, keep=["y"])
    assert result["y"] == list(range(100))


def test_a_source_runs_when_what_its_reader_waits_for_is_skipped():
    stages = {
        "off": {**SAME, "if": False},
        "x": HUNDRED,
        "y": {**SAME, "over": "${stages.x}", "needs": ["off"]},
    }
    result, _, _ = ran(stages, keep=["x"])
    assert {name: str(stage.status) for name, stage in result.state.stages.items()} == {
        "off": "skipped",
        "x": "done",
        "y": "skipped",
    }


def test_thousands_of_stages_with_conditions_cost_little():
    stages = {"s0": SAME}
    for n in range(1, 2000):
        stages[f"s{n}"] = {**SAME, "needs": [f"s{n - 1}"], "if": "${stages.s0}"}  # it gives nothing: false
    result, begun, ended = ran(stages, keep=["s0"])
    assert begun == ["s0"]
    assert len(ended) == 2000
    assert result.state.seconds < 30
