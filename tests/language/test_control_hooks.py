"""`on_success` and `on_failure`: when they run, what they see, and what they change."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline_runner import Pipeline, Stage, check
from pipeline_runner.events import Printed

pytestmark = [pytest.mark.timeout(40), pytest.mark.usefixtures("own_state")]

HERE = Path(__file__).parent
SAME = {"call": "control_deeds.py:same"}
BAD = {"call": "control_deeds.py:fails"}


def made(stages, **top):
    return Pipeline.from_text(json.dumps({"version": 1, "stages": stages, **top}), folder=HERE)


def noting(log, text):
    return {"call": "control_deeds.py:noted", "with": {"log": str(log), "text": text}}


ENDS = {
    "done": ({"x": SAME}, "success", 0),
    "done, with a skipped stage": ({"x": {**SAME, "if": False}}, "success", 0),
    "partial": ({"x": {"call": "control_deeds.py:fails_at", "over": [1, 2], "on_error": "skip"}}, "success", 3),
    "failed": ({"x": BAD}, "failure", 1),
    "failed at the end": ({"x": {**BAD, "on_error": "finish"}, "y": SAME}, "failure", 1),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_hook_of_the_end_runs_and_no_other(end, tmp_path):
    stages, expected, code = ENDS[end]
    log = tmp_path / "log"
    hooks = {f"on_{kind}": noting(log, f"{kind} ${{run.status}}") for kind in ("success", "failure")}
    result = made(stages, **hooks).run()
    assert log.read_text().split() == [expected, end.split(",")[0].split()[0]]
    assert result.exit_code == code
    told = result.to_json()
    assert set(told["stages"]) == set(stages)
    assert {name: hook["status"] for name, hook in told["hooks"].items()} == {
        f"on_{kind}": "done" if kind == expected else "skipped" for kind in ("success", "failure")
    }


def test_a_hook_sees_every_failure():
    stages = {
        "x": {"call": "control_deeds.py:fails_at", "over": [1, 2, 3], "on_error": "finish"},
        "y": {**SAME, "needs": ["x"]},
    }
    hook = {
        "call": "control_deeds.py:given",
        "with": {
            "failures": "${run.failures}",
            "count": "${run.failures | length}",
            "text": "${run.failures[0].stage}: ${run.failures[0].message}",
            "id": "${run.id}",
        },
    }
    result = made(stages, on_failure=hook).run()
    seen = result["on_failure"]
    assert seen == {
        "failures": [{"stage": "x", "item": 1, "type": "ValueError", "message": "2 is no good", "tries": 1}],
        "count": 1,
        "text": "x: 2 is no good",
        "id": result.id,
    }


def test_several_hooks_run_one_after_the_other_and_one_that_fails_stops_none(tmp_path):
    log = tmp_path / "log"
    result = made({"x": SAME}, on_success=[noting(log, "first"), BAD, noting(log, "third")]).run()
    assert log.read_text().split() == ["first", "third"]
    assert {n: str(s.status) for n, s in result.state.stages.items()} == {
        "x": "done",
        "on_success": "done",
        "on_success.2": "failed",
        "on_success.3": "done",
    }


@pytest.mark.parametrize(
    ("stages", "kind", "status", "code"),
    [
        ({"x": SAME}, "on_success", "failed", 1),
        ({"x": {"call": "control_deeds.py:fails_at", "over": [1, 2], "on_error": "skip"}}, "on_success", "partial", 3),
        ({"x": BAD}, "on_failure", "failed", 1),
    ],
)
def test_a_hook_that_fails_is_told_and_makes_only_a_good_run_fail(stages, kind, status, code):
    result = made(stages, **{kind: BAD}).run()
    assert (str(result.status), result.exit_code) == (status, code)
    assert result.failures[-1].stage == kind


def test_a_hook_has_a_timeout_and_an_environment_and_may_be_tried_again(tmp_path):
    log = tmp_path / "log"
    hook = {
        "call": "control_deeds.py:hangs_once",
        "with": {"value": 1, "log": str(log)},
        "timeout": "2s",
        "retry": 1,
    }
    result = made(
        {"x": SAME}, on_success=[hook, {"call": "os:getenv", "with": ["HOOK"], "env": {"HOOK": "seen"}}]
    ).run()
    assert result.exit_code == 0
    assert result.state.stages["on_success"].retried == 1
    assert result["on_success.2"] == "seen"


def test_a_hook_may_be_conditional(tmp_path):
    log = tmp_path / "log"
    hooks = [
        {**noting(log, "partial"), "if": "run.status == 'partial'"},
        {**noting(log, "done"), "if": "${run.status == 'done'}"},
        {**noting(log, "never"), "if": False},
    ]
    made({"x": SAME}, on_success=hooks).run()
    assert log.read_text().split() == ["done"]


def test_no_hook_runs_after_an_interruption(tmp_path):
    pipe, log = tmp_path / "pipe", tmp_path / "log"
    os.mkfifo(pipe)
    stages = {"x": {"call": "control_deeds.py:waits_for", "with": {"path": str(pipe)}}}
    run = made(stages, on_failure=noting(log, "failure"), on_success=noting(log, "success")).start()
    run.cancel()
    assert str(run.wait(20).status) == "interrupted"
    assert not log.exists()


def test_hooks_are_in_the_plan_and_not_in_its_graph(tmp_path):
    plan = made({"x": SAME}, on_failure=[BAD, noting(tmp_path / "log", "x")]).plan()
    explained = plan.explain()
    assert "After a run that failed: on_failure, on_failure.2" in explained
    assert list(plan.stages) == ["x"]
    assert plan.to_json()["hooks"]["on_failure.2"]["after"] == "on_failure"


def test_a_hook_runs_again_when_the_run_is_resumed(tmp_path):
    log = tmp_path / "log"
    pipeline = made({"x": BAD}, on_failure=noting(log, "again"))
    first = pipeline.run(state=tmp_path / "state")
    pipeline.run(state=tmp_path / "state", resume=first.id)
    assert log.read_text().split() == ["again", "again"]


def test_the_command_tells_of_hooks_and_keeps_what_they_write(prun, tmp_path):
    (tmp_path / "say.py").write_text("def say(text):\n    print('hook says', text)\n\ndef ok():\n    return 1\n")
    (tmp_path / "p.yaml").write_text(
        "version: 1\nstages: {x: {call: say.py:ok}}\n"
        'on_success: {call: say.py:say, with: {text: "${run.status}"}}\non_failure: {call: say.py:ok}\n'
    )
    ran = prun("p.yaml")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "x: 1"
    assert "hook says done" in ran.stderr
    assert "on_failure" not in ran.stderr
    logs = prun("logs", "last")
    assert "hook says done" in logs.stdout


def test_a_hook_may_be_a_command(tmp_path):
    log = tmp_path / "log"
    hooks = {
        "on_failure": [
            {"run": f"echo ${{run.status}} ${{run.failures[0].message}} >> {log}"},
            {"run": ["sh", "-c", f'echo "$0" >> {log}', "${run.failures | length}"], "workdir": str(tmp_path)},
        ]
    }
    made({"x": BAD}, **hooks).run()
    assert log.read_text().splitlines() == ["failed no good", "1"]


def test_what_a_hook_that_is_a_command_writes_is_seen(tmp_path):
    events = []
    made({"x": SAME}, on_success=[{"run": "echo ${run.status}"}, {"run": "echo 7", "stdout": "json"}]).run(
        on_event=events.append
    )
    assert [(e.stage, e.line) for e in events if isinstance(e, Printed)] == [("on_success", "done")]


def test_a_hook_can_be_run_again_as_it_was(tmp_path):
    pipeline = made({"x": BAD}, on_failure={"call": "control_deeds.py:same", "with": {"value": "${run.failures}"}})
    run = pipeline.run(state=tmp_path)
    assert pipeline.replay(run.id, "on_failure", state=tmp_path) == run["on_failure"]


def test_hooks_in_python(tmp_path):
    log = tmp_path / "log"
    pipeline = Pipeline(
        "p",
        [Stage("x", call=len, with_=[[1]])],
        on_success=Stage("tell", call=lambda status: log.write_text(status), with_=["${run.status}"]),
        on_failure=[Stage("never", call=lambda: log.write_text("never"))],
    )
    assert pipeline.run().exit_code == 0
    assert log.read_text() == "done"


PROBLEMS = [
    ({"on_failure": 3}, '"on_failure" takes what a stage is'),
    ({"on_failure": ["say"]}, '"on_failure" takes what a stage is'),
    ({"on_failure": {"call": "a:b", "needs": ["x"]}}, '"on_failure" needs nothing'),
    ({"on_failure": {"with": {"a": 1}}}, "does not say what to call"),
    ({"on_failure": {"call": "a:b", "dispach": "async"}}, 'unknown key "dispach"'),
    ({"on_failure": {"call": "a:b", "with": {"v": "${stages.x}"}}}, "a hook sees how the run ended"),
    ({"on_failure": {"call": "a:b", "with": {"v": "${run.state}"}}}, "leads nowhere"),
    ({"on_failure": {"call": "a:b", "if": "${stages.x}"}}, "a hook sees how the run ended"),
    ({"on_failure": {"call": "a:b", "method": "nope"}}, 'unknown method "nope"'),
    ({"on_failure": {"call": "a:b", "limits": ["api"]}}, "of which there are none"),
    ({"stages": {"x": {"call": "a:b", "with": {"v": "${run.status}"}}}}, "leads nowhere"),
]


@pytest.mark.parametrize(("keys", "said"), PROBLEMS, ids=str)
def test_what_is_wrong_with_a_hook_is_told_at_its_place(keys, said):
    text = json.dumps({"version": 1, "stages": {"x": {"call": "a:b"}}, **keys}, indent=1)
    problems = check(text)
    assert said in "\n".join(map(str, problems))
    assert all(problem.mark for problem in problems)


def test_a_wrong_key_of_the_second_hook_is_marked_there():
    text = "version: 1\nstages: {x: {call: a:b}}\non_failure:\n  - {call: a:b}\n  - call: a:b\n    retry: many\n"
    (problem,) = check(text)
    assert problem.mark.line == 6
