"""What was measured of a stage is known again as long as it computes what it did, here and with as many workers."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.plan.measured import Measured
from pipeline_runner.record import tuned

IMAP, DILL = "multiprocessing.Pool.imap", "multiprocess.Pool.imap"
FASTER = Measured({IMAP: (0.1, 0.01), DILL: (0.0, 0.001)}, {"serial": (0.0, 0.5)}, 10, "prun tune, today")


@pytest.fixture
def project(tmp_path):
    (tmp_path / "work.py").write_text("def f(x): return x\n")
    (tmp_path / "pipeline.yaml").write_text("version: 1\nstages:\n  a: {call: 'work:f', over: {range: 10}}\n")
    (tmp_path / ".prun").mkdir()
    return tmp_path


def plan(project, **given):
    return Pipeline.load(project / "pipeline.yaml").plan(**{"workers": 2, **given})


def method(project, **given):
    return plan(project, **given).stages["a"].choice.method.name


def test_what_was_measured_decides_until_the_function_changes(project):
    assert method(project) == IMAP
    tuned.keep(project / ".prun", plan(project), "a", FASTER)
    assert tuned.known(project / ".prun", plan(project)) == {"a": FASTER}
    assert method(project) == DILL
    assert (project / ".prun" / "tuned.json").stat().st_mode & 0o777 == 0o600
    (project / "work.py").write_text("def f(x): return x + 1\n")
    assert method(project) == IMAP


def test_a_run_uses_the_method_that_the_plan_tells(project):
    tuned.keep(project / ".prun", plan(project), "a", FASTER)
    result = Pipeline.load(project / "pipeline.yaml").run(workers=2)
    assert (result["a"], result.state.stages["a"].method) == (list(range(10)), DILL)


def test_it_is_nothing_elsewhere_or_with_other_workers(project, monkeypatch):
    tuned.keep(project / ".prun", plan(project), "a", FASTER)
    assert method(project, workers=3) == IMAP
    assert method(project, state=project / "other") == IMAP
    assert method(project, state=False) == IMAP
    monkeypatch.setattr(tuned.os, "uname", lambda: SimpleNamespace(nodename="elsewhere"))
    assert method(project) == IMAP


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:40],
        lambda text: "[]",
        lambda text: "\0\xff",
        lambda text: text.replace('"took": {', '"took": [{').replace('}, "here"', '}], "here"'),
        lambda text: text.replace("0.01", '"x"'),
        lambda text: json.dumps(dict.fromkeys(json.loads(text), 7)),
        lambda text: text.replace('"calls": 10', '"calls": null'),
    ],
    ids=["cut", "no mapping", "no text", "a list", "no number", "no entry", "no calls"],
)
def test_what_is_damaged_is_not_there(project, damage):
    tuned.keep(project / ".prun", plan(project), "a", FASTER)
    path = project / ".prun" / "tuned.json"
    path.write_text(damage(path.read_text()), encoding="latin-1")
    assert method(project) == IMAP


def test_only_the_last_are_remembered(project, monkeypatch):
    monkeypatch.setattr(tuned, "MOST", 2)
    for number in range(4):
        (project / "work.py").write_text(f"def f(x): return x + {number}\n")
        tuned.keep(project / ".prun", plan(project), "a", FASTER)
    assert len(json.loads((project / ".prun" / "tuned.json").read_text())) == 2
    assert method(project) == DILL
