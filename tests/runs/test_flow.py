"""Streams of many small items: few messages, and memory that does not grow with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.events import ChunkEnded

HERE = Path(__file__).parent
pytestmark = pytest.mark.timeout(120)

MANY = 100_000


@pytest.mark.parametrize(
    "method",
    [
        "multiprocessing.Pool.apply",
        "multiprocessing.Pool.apply_async",
        "multiprocessing.Pool.map",
        "multiprocessing.Pool.imap_unordered",
        "multiprocessing.Pool.starmap",
        "multiprocessing.Process",
        "concurrent.futures.ProcessPoolExecutor.submit",
        "concurrent.futures.ProcessPoolExecutor.map",
        "pathos.ProcessPool.apipe",
        "pathos.ProcessPool.uimap",
        "pathos.ParallelPool.amap",
        "ppft.Server.submit",
    ],
)
def test_many_tiny_calls_take_few_messages_by_every_kind_of_method(method, run):
    over = {"batches": {"range": MANY}, "size": 1} if "starmap" in method else {"range": MANY}
    style = {"args": "single"} if method.endswith(("apply", "apply_async", "apipe", "submit", "Process")) else {}
    ran = run({"s": {"call": "flow_deeds:same", "over": over, "method": method, **style, "returns": "none"}})
    assert ran.result.exit_code == 0, ran.failed()
    ended = ran.of(ChunkEnded)
    assert sum(event.calls for event in ended) == MANY
    assert len(ended) < 300


@pytest.mark.parametrize("kind", ["stages", "live"])
def test_the_runner_does_not_grow_with_what_streams_through_it(kind, tmp_path):
    items = 200_000  # of 200 bytes: a list of them would be 40 MB and more
    child = subprocess.run(
        [sys.executable, str(HERE / "flow_child.py"), kind, str(items), str(tmp_path / "state")],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 16 << 20


def test_a_part_of_many_values_is_not_taken_for_as_heavy_as_all_of_them(run):
    # What the first stage makes of a chunk is one pickle, which goes whole with each part that the second one takes.
    own = {"env": {"OF_ITS_OWN": "1"}, "method": "multiprocessing.Pool.imap_unordered"}
    ran = run(
        {
            "make": {"call": "flow_deeds:text", "over": {"range": 20_000}, "returns": "unordered"},
            "measure": {"call": "flow_deeds:measure", "over": "${stages.make}", "returns": "none", **own},
        },
        keep=["measure"],
    )
    assert ran.result.exit_code == 0, ran.failed()
    assert len(ran.of(ChunkEnded)) < 600


def test_what_is_not_kept_can_be_read_once_while_it_comes_and_not_after():
    pipeline = Pipeline.from_text(
        '{"version": 1, "stages": {"s": {"call": "flow_deeds:same", "over": {"range": 1000}, "returns": "iterator"}}}',
        folder=HERE,
    )
    with pipeline.start(workers=2, keep=None) as run:
        assert list(run["s"]) == list(range(1000))
        result = run.wait()
    assert result.exit_code == 0
    assert "value" not in result.to_json()["stages"]["s"]
