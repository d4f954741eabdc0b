"""What an earlier run has recorded of a stage sizes its first chunks, and the plan says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.events import CallsDone

pytestmark = pytest.mark.timeout(60)
HERE = Path(__file__).parent


@pytest.fixture
def pipeline(monkeypatch, tmp_path):
    monkeypatch.setenv("PRUN_STATE", str(tmp_path / "state"))
    stage = {"call": "deeds.py:double", "over": {"range": 3000}, "backend": "multiprocessing"}
    return Pipeline.from_text(json.dumps({"version": 1, "name": "known", "stages": {"s": stage}}), folder=HERE)


def first_chunk(pipeline):
    done = []
    result = pipeline.run(workers=1, on_event=lambda e: done.append(e) if isinstance(e, CallsDone) else None)
    assert result["s"] == [2 * n for n in range(3000)]
    return len(next(event for event in done if 0 in event.indices).indices)


def test_a_second_run_begins_with_more_than_one_call_a_chunk(pipeline):
    assert first_chunk(pipeline) == 1
    assert first_chunk(pipeline) > 1


def test_the_plan_tells_what_chunks_go_by(pipeline):
    assert "chunk " not in pipeline.forecast(workers=1).explain()
    pipeline.run(workers=1)
    told = pipeline.forecast(workers=1)
    assert "sized from the first by the " in told.explain()
    assert 0 < told.to_json()["stages"]["s"]["call_seconds"] < 0.1
