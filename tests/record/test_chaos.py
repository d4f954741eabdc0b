"""Chaos changes nothing but the time that a run takes."""

from __future__ import annotations

import pytest

from pipeline_runner.errors import UsageError
from pipeline_runner.events import WorkerStruck

pytestmark = pytest.mark.timeout(120)

METHODS = [
    "multiprocessing.Pool.imap_unordered",
    "multiprocessing.Pool.starmap",
    "multiprocessing.Process",
    "concurrent.futures.ProcessPoolExecutor.map",
    "pathos.ProcessPool.uimap",
    "pathos.ParallelPool.imap",
    "ppft.Server.submit",
]


@pytest.fixture
def project(project):
    project.functions("def double(x, y=0):\n    return 2 * x\n\ndef total(values):\n    return sum(values)\n")
    return project


@pytest.mark.parametrize("method", METHODS)
def test_the_result_is_the_same_without_a_retry(project, method):
    rows = "starmap" in method or "Executor.map" in method
    over = {"range": 40} if not rows else [[n, n] for n in range(40)]
    if "Executor.map" in method:
        over = [{"range": 40}, {"range": 40}]
    project.stages(
        {
            "a": {"call": "work:double", "over": over, "method": method, "chunk": 2},
            "t": {"call": "work:total", "with": {"values": "${stages.a}"}},
        }
    )
    result = project.run(chaos={"kill": 0.2, "seed": 5}, state=False)
    assert (str(result.status), result["t"]) == ("done", 2 * sum(range(40)))
    assert any(isinstance(event, WorkerStruck) for event in project.events)


def test_calls_in_the_runner_itself_are_left_alone(project):
    project.stages({"a": {"call": "work:double", "over": {"range": 40}, "backend": "serial", "chunk": 1}})
    assert project.run(chaos="kill=0.9", state=False).status == "done"


@pytest.mark.parametrize("told", ["kill", "kill=2", "kill=1", "kil=0.1", "kill=0.1,sed=3", "kill=x", {"seed": 1}])
def test_what_cannot_be_meant_is_refused(project, told):
    project.stages({"a": {"call": "work:double", "over": [1]}})
    with pytest.raises(UsageError, match=r"kill=0\.05"):
        project.run(chaos=told, state=False)
