"""What an earlier run has recorded of a stage sizes its first chunks, and the plan says so."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pipeline_runner import Pipeline, Stage
from pipeline_runner.events import CallsDone, ChunkEnded

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


@pytest.mark.parametrize("method", ["multiprocessing.Pool.map", "multiprocessing.Pool.imap"])
def test_who_is_killed_loses_no_more_than_a_few_hundredths_of_a_second_of_a_worker(method, tmp_path):
    """Outcomes are told when a chunk has ended: one of calls whose time nobody knew hands its rest back soon."""
    told = []
    stage = Stage("s", call=time.sleep, over=[0.03] * 40, method=method)
    Pipeline("p", [stage]).run(workers=2, state=tmp_path, on_event=told.append)
    assert max(event.calls for event in told if isinstance(event, ChunkEnded)) <= 2


def test_the_plan_tells_what_chunks_go_by(pipeline):
    assert "chunk " not in pipeline.forecast(workers=1).explain()
    pipeline.run(workers=1)
    told = pipeline.forecast(workers=1)
    assert "sized from the first by the " in told.explain()
    assert 0 < told.to_json()["stages"]["s"]["call_seconds"] < 0.1
