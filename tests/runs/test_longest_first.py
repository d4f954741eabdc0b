"""Calls that took longest in an earlier run go first in the next one, wherever nobody can tell but by the clock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.events import ChunkStarted

pytestmark = pytest.mark.timeout(60)
HERE = Path(__file__).parent
LAST = 11  # the number of the call that takes as long as all the others together
ITEMS = [0.002] * LAST + [0.1, 0.002]


@pytest.fixture(autouse=True)
def _state(monkeypatch, tmp_path):
    monkeypatch.setenv(
        "PRUN_STATE", str(tmp_path / "state")
    )  # what another test has recorded is no earlier run of this


def pipeline(name, over, call="slept", chunk=1, **more):
    stage = {"call": f"deeds.py:{call}", "over": over, "backend": "multiprocessing"} | (
        {"chunk": chunk} if chunk else {}
    )
    return Pipeline.from_text(json.dumps({"version": 1, "name": name, "stages": {"s": stage, **more}}), folder=HERE)


def order(pipeline):
    """The numbers of the calls as they were begun by one worker, after a run that has seen how long they take."""
    pipeline.run(workers=1)
    told = []
    result = pipeline.run(workers=1, on_event=told.append)
    assert result.exit_code == 0, result.failures
    return result, [event.first for event in told if isinstance(event, ChunkStarted) and event.stage == "s"]


def test_a_list_is_begun_with_the_longest_and_comes_back_in_its_order():
    result, begun = order(pipeline("list", ITEMS))
    assert begun[0] == LAST
    assert sorted(begun) == list(range(len(ITEMS)))
    assert result["s"] == ITEMS


def test_files_that_a_pattern_finds_go_by_it_too(tmp_path):
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("0.1" if number == 4 else "0.002")
    result, begun = order(pipeline("files", {"glob": f"{tmp_path}/*.txt"}, call="slept_as_told"))
    assert begun[0] == 4
    assert result["s"] == [0.002] * 4 + [0.1, 0.002]


@pytest.mark.parametrize(
    ("name", "over", "call", "more"),
    [
        ("batches", {"batches": ITEMS, "size": 2}, "slept_all", {}),
        ("columns", {"seconds": ITEMS, "_": ITEMS}, "slept_first", {}),
        ("read", ITEMS, "slept", {"t": {"call": "deeds.py:same", "over": "${stages.s}", "backend": "process"}}),
    ],
)
def test_what_is_in_an_order_of_its_own_stays_in_it(name, over, call, more):
    one = pipeline(name, over, call, **more)
    _, begun = order(one)
    assert begun == sorted(begun)
    assert "the longest go first" not in one.forecast(workers=1).explain()


def test_of_a_sample_the_first_are_taken():
    one = pipeline("sample", ITEMS)
    one.run(workers=1)
    assert one.run(workers=1, sample=3)["s"] == ITEMS[:3]


def test_who_reads_along_gets_the_first_first():
    one = pipeline("live", ITEMS)
    one.run(workers=1)
    told = []
    with one.start(workers=1, on_event=told.append) as run:
        assert list(run["s"]) == ITEMS
    assert [event.first for event in told if isinstance(event, ChunkStarted)] == list(range(len(ITEMS)))


def test_the_plan_says_so():
    one = pipeline("plan", ITEMS, chunk=None)
    assert "the longest go first" not in one.forecast(workers=1).explain()
    pipeline("plan", ITEMS).run(workers=1)  # a call a chunk: each time is known
    assert "the longest go first" in one.forecast(workers=1).explain()
    assert one.forecast(workers=1).to_json()["stages"]["s"]["longest_first"] is True
