"""Lines of the language's page that belong to no one key: its own example, what is left out, what goes where."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline_runner
from pipeline_runner import Pipeline
from pipeline_runner.events import PoolReplaced
from pipeline_runner.reporters.news import News
from pipeline_runner.reporters.screen import Lines

pytestmark = pytest.mark.timeout(60)

EXAMPLE = Path(__file__).with_name("page_example.yaml").read_text()
TEXTS = """
from collections import Counter
from pathlib import Path

def read_file(path): return Path(path).read_text()
def count_words(text, lower): return Counter((text.lower() if lower else text).split())
def merge(counts, top): return dict(sum(counts, Counter()).most_common(top))
"""
DEEDS = """
import signal

def same(x): return x
def both(x, all): return [x, all]
def hang(path):
    open(path, "w").close()
    signal.pause()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("PRUN_STATE", raising=False)
    (tmp_path / "deeds.py").write_text(DEEDS)
    return tmp_path


@pytest.fixture
def made(project):
    def made(stages, **top):
        return Pipeline.from_text(json.dumps({"version": 1, "stages": stages, **top}), folder=project)

    return made


def test_the_example_of_the_page_runs_as_it_is_written(project):
    (project / "texts.py").write_text(TEXTS)
    (project / "texts").mkdir()
    (project / "texts" / "a.txt").write_text("The cat the dog")
    (project / "texts" / "b.txt").write_text("the Cat")
    (project / "pipeline.yaml").write_text(EXAMPLE)
    result = Pipeline.load(project / "pipeline.yaml", params={"top": 2}).run(workers=2)
    assert result["total"] == {"the": 3, "cat": 2}
    assert Pipeline.load(project / "pipeline.yaml", profile="cluster").spec.clusters == {
        "dask": {"scheduler": "tcp://127.0.0.1:8786"}
    }


def test_the_cpus_that_the_process_may_use_are_the_workers(python):
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from pipeline_runner import Pipeline; "
    code += "print(Pipeline.from_text(\"stages: {a: {call: 'math:sqrt', over: [1, 2]}}\").plan().workers)"
    assert python("-c", code).stdout == "1\n"


def test_a_stage_in_with_is_the_whole_list_for_each_call(made):
    stages = {
        "a": {"call": "deeds:same", "over": [1, 2], "returns": "iterator"},
        "b": {"call": "deeds:both", "over": ["x", "y"], "with": {"all": "${stages.a}"}},
    }
    assert made(stages).run(workers=2, state=False)["b"] == [["x", [1, 2]], ["y", [1, 2]]]


def test_a_stage_that_is_only_needed_shows_its_value(made):
    stages = {
        "read": {"call": "deeds:same", "with": {"x": 1}},
        "needed": {"call": "deeds:same", "with": {"x": "${stages.read}"}},
        "last": {"call": "deeds:same", "with": {"x": 3}, "needs": ["needed"]},
    }
    told = made(stages).run(workers=2, state=False).to_json()["stages"]
    assert {name: stage["value"] for name, stage in told.items() if "value" in stage} == {"needed": 1, "last": 3}


def test_an_interrupted_run_prints_its_object_too(project):
    os.mkfifo(project / "gate")
    stages = {
        "a": {"call": "deeds:hang", "with": {"path": str(project / "gate")}},
        "b": {"call": "deeds:same", "with": {"x": 1}, "needs": ["a"]},
    }
    (project / "p.yaml").write_text(json.dumps({"stages": stages}))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "pipeline_runner", "p.yaml", "--json"]
    with subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        (project / "gate").read_text()  # until the call is there
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=40)
    told = json.loads(out)
    assert (running.returncode, told["status"]) == (130, "interrupted"), err
    assert {name: stage["status"] for name, stage in told["stages"].items()} == {"a": "cancelled", "b": "cancelled"}


def test_runs_are_kept_beside_the_pipeline_or_where_it_is_said(project, prun, monkeypatch):
    folder = project / "work"
    folder.mkdir()
    (folder / "p.yaml").write_text("stages: {a: {call: 'math:sqrt', with: [4]}}")

    def stores():
        return {path.parent.name for path in project.rglob("journal.db")}

    assert prun("work/p.yaml", "-q").stdout == "a: 2.0\n"
    assert stores() == {".prun"}
    assert (folder / ".prun").is_dir()
    monkeypatch.setenv("PRUN_STATE", str(project / "of_the_environment"))
    prun("work/p.yaml", "-q")
    assert stores() == {".prun", "of_the_environment"}
    prun("work/p.yaml", "-q", "--state", str(project / "said"))
    assert stores() == {".prun", "of_the_environment", "said"}


@pytest.mark.parametrize("verbose", [True, False])
def test_verbose_tells_of_pools_that_were_replaced(verbose, capsys):
    with News(Lines(), verbose=verbose) as news:
        news.take(PoolReplaced(stage="a", why="its workers were lost"))
    assert ("its workers were lost; going on in a fresh pool" in capsys.readouterr().err) is verbose


def test_everything_public_is_there_and_typed():
    for name in pipeline_runner.__all__:
        assert getattr(pipeline_runner, name).__doc__, name
    assert {"Pipeline", "Stage", "check", "Problems", "Result"} <= set(pipeline_runner.__all__)
    assert (Path(pipeline_runner.__file__).parent / "py.typed").exists()
