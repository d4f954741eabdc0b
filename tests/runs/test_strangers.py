"""What a stranger tried first: pipelines from the language's page alone, and what they may expect of them."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_runner import Pipeline, Problems, Stage, check
from pipeline_runner.spec.python import UsedUp

pytestmark = pytest.mark.timeout(60)

ROOT = str(Path(__file__).parents[2])


def test_breaking_off_a_live_iterator_ends_the_run():
    pipeline = Pipeline("endless", [Stage("a", call=abs, over=itertools.count(), returns="iterator")])
    with pipeline.start(workers=1) as run:
        for value in run["a"]:
            if value == 100:
                break
    assert str(run.wait().status) == "interrupted"


def test_a_second_run_over_a_used_up_iterator_says_so():
    pipeline = Pipeline("once", [Stage("a", call=abs, over=(n for n in range(3)))])
    assert pipeline.run(workers=1)["a"] == [0, 1, 2]
    again = pipeline.run(workers=1)
    assert str(again.status) == "failed"
    assert again.failures[0].failure.type == UsedUp.__name__


def test_what_planning_finds_is_told_beside_what_is_written_wrong():
    text = """\
stages:
  a: {call: f:sq, over: [1], backend: serial, dispatch: async}
  b: {call: f:sq, ovr: [1]}
  c: {call: f:sq, needs: [d]}
  e: {call: f:sq, needs: [g]}
  g: {call: f:sq, needs: [e]}
  h: {call: f:sq, over: "${stages.b}"}
"""
    codes = [(problem.mark.line, problem.code) for problem in check(text) if problem.mark]
    assert {line for line, _ in codes} == {2, 3, 4, 5}
    assert "cycle-of-stages" in {code for _, code in codes}


def test_all_problems_of_stages_made_in_python_are_told_together():
    with pytest.raises(Problems) as told:
        Pipeline(
            "wrong",
            [Stage("a", call=5), Stage("b", call=abs, ovr=3), Stage("c", call=abs, over="${stages.zz}")],
        )
    assert len(told.value.problems) == 3


def test_an_unknown_alias_is_one_problem():
    problems = check("stages:\n  a: &x {call: f:sq, over: [1]}\n  b: *y\n")
    assert [(p.mark.line, p.mark.column) for p in problems] == [(3, 6)]


def test_a_file_that_goes_missing_is_told_without_our_own_frames(run):
    over = {"generate": "deeds.py:counting", "with": {"n": 1}}
    ran = run(
        {
            "first": {"call": "deeds.py:same", "over": over},
            "a": {"call": "deeds.py:same", "over": {"lines": "nope.txt"}, "needs": "first"},
        }
    )
    (failed,) = ran.result.failures
    assert failed.failure.type == "SourceError"
    assert "nope.txt" in failed.failure.message
    assert failed.failure.traceback == ""
    assert ran.result.to_json()["stages"]["a"]["failed"] == 0


def test_sources_beside_lists_are_columns(run):
    ran = run({"a": {"call": "deeds.py:add", "over": [{"range": 3}, [10, 20, 30]]}})
    assert ran["a"] == [10, 21, 32]


def test_a_generator_takes_positions_too(run):
    ran = run({"a": {"call": "deeds.py:same", "over": {"generate": "deeds.py:numbers", "with": [4]}}})
    assert ran["a"] == [0, 1, 2, 3]


def test_an_async_function_is_run_to_its_end():
    async def later(item):
        return item + 1

    assert Pipeline("async", [Stage("a", call=later, over=[1, 2])]).run(workers=1)["a"] == [2, 3]


def test_ctrl_c_ends_a_serial_stage_in_the_middle_of_its_call(tmp_path):
    (tmp_path / "nap.py").write_text(
        "import pathlib, time\ndef nap(x):\n    pathlib.Path('napping').touch()\n    time.sleep(50)\n"
    )
    (tmp_path / "p.yaml").write_text("stages:\n  a: {call: nap:nap, over: [1, 2], backend: serial}\n")
    runner = subprocess.Popen(
        [sys.executable, "-m", "pipeline_runner", "p.yaml", "-q"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT},
        stderr=subprocess.PIPE,
    )
    while not (tmp_path / "napping").exists():
        assert runner.poll() is None
        os.sched_yield()
    runner.send_signal(signal.SIGINT)
    assert runner.wait(20) == 130
    runner.stderr.close()


def test_a_command_that_there_is_not_is_told_the_one_that_there_is():
    told = subprocess.run(
        [sys.executable, "-m", "pipeline_runner", "validae", "x.yaml"],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    assert "prun validate" in told.stderr


def test_letters_of_other_alphabets_may_name_a_stage(run):
    ran = run(
        {"étape": {"call": "deeds.py:same", "over": [1]}, "b": {"call": "deeds.py:double", "over": "${stages.étape}"}}
    )
    assert ran["b"] == [2]
