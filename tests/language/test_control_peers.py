"""Cases from the test suites and manuals of Dagu, GitHub Actions, Airflow, doit and Luigi, in this language: what runs,
what is skipped and what is cancelled after which end.

A stage is written `name kind: needs`. Where a peer puts "go on after this one" on the source (Dagu's continueOn, GitHub's
continue-on-error), it is `if: always` on the reader here, and the source lets the others end with `on_error: finish`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipeline_runner import Pipeline

pytestmark = [pytest.mark.timeout(40), pytest.mark.usefixtures("own_state")]

HERE = Path(__file__).parent
OK = {"call": "control_deeds.py:same"}
BAD = {"call": "control_deeds.py:fails"}
KINDS = {
    "ok": OK,
    "fails": {**BAD, "on_error": "finish"},
    "stops": BAD,
    "drops": {**BAD, "on_error": "skip"},
    "off": {**OK, "if": False},
    "always": {**OK, "if": "always"},
    "always-fails": {**BAD, "if": "always", "on_error": "finish"},
}
WORDS = {"done": "+", "skipped": "o", "failed": "!", "cancelled": "-"}


def stages_of(text):
    found = {}
    for line in re.split(r"[;\n]", text):
        head, _, needs = line.partition(":")
        name, kind = head.split()
        found[name] = {**KINDS[kind], "needs": needs.split()}
    return found


# (the peer's case, the stages, how each ended in order, how the run ended)
CASES = [
    # Dagu, internal/digraph/scheduler/scheduler_test.go
    ("dagu SequentialStepsSuccess", "a ok; b ok: a; c ok: b", "+++", "done"),
    ("dagu SequentialStepsWithFailure", "a ok; b ok: a; c fails: b; d ok: c", "++!-", "failed"),
    ("dagu ParallelSteps", "a ok; b ok; c ok", "+++", "done"),
    ("dagu ParallelStepsWithFailure", "a ok; b fails; c ok: a; d ok: c", "+!++", "failed"),
    ("dagu ContinueOnFailure", "a ok; b fails: a; c always: b", "+!+", "failed"),
    ("dagu ContinueOnSkip", "a ok; b off: a; c always: b", "+o+", "done"),
    ("dagu PreconditionNotMatch", "a ok; b off: a; c ok: b", "+oo", "done"),
    ("dagu skip goes on down the line", "a off; b ok: a; c ok: b; d ok: c", "oooo", "done"),
    ("dagu NodeSetupFailure of the first", "a stops; b ok: a; c ok: b", "!--", "failed"),
    # GitHub Actions, "Using conditions to control job execution", "needs"
    ("github needs a job that failed", "a fails; b ok: a", "!-", "failed"),
    ("github needs a job that was skipped", "a off; b ok: a", "oo", "done"),
    ("github always() after a failure", "a fails; b always: a", "!+", "failed"),
    ("github always() after a skip", "a off; b always: a", "o+", "done"),
    ("github a failure goes down the whole chain", "a fails; b ok: a; c ok: b; d ok: c", "!---", "failed"),
    ("github always() at the end of a chain", "a fails; b ok: a; c ok: b; d always: c", "!--+", "failed"),
    ("github a job beside a failure runs on", "a fails; b ok; c ok: b", "!++", "failed"),
    ("github needs two, one skipped", "a ok; b off; c ok: a b", "+oo", "done"),
    ("github needs two, one failed", "a ok; b fails; c ok: a b", "+!-", "failed"),
    ("github always() with two, one failed and one skipped", "a off; b fails; c always: a b", "o!+", "failed"),
    ("github continue-on-error", "a drops; b always: a", "o+", "partial"),
    # Airflow, tests/ti_deps/deps/test_trigger_rule_dep.py: all_success, and all_done for `always`
    ("airflow all_success: all succeeded", "a ok; b ok; c ok: a b", "+++", "done"),
    ("airflow all_success: one skipped", "a ok; b off; c ok: a b", "+oo", "done"),
    ("airflow all_success: one failed", "a ok; b fails; c ok: a b", "+!-", "failed"),
    ("airflow all_success: failed before skipped", "a off; b fails; c ok: a b", "o!-", "failed"),
    ("airflow all_success: upstream failed", "a fails; b ok: a; c ok: b", "!--", "failed"),
    ("airflow all_success: upstream failed beside a skip", "a fails; b ok: a; s off; c ok: b s", "!-o-", "failed"),
    ("airflow all_done: all failed", "a fails; b fails; c always: a b", "!!+", "failed"),
    ("airflow all_done: all skipped", "a off; b off; c always: a b", "oo+", "done"),
    ("airflow all_done: succeeded, failed, skipped", "a ok; b fails; s off; c always: a b s", "+!o+", "failed"),
    ("airflow after all_done: an own success counts", "a off; b always: a; c ok: b", "o++", "done"),
    ("airflow after all_done: of a failed one", "a fails; b always: a; c ok: b", "!++", "failed"),
    # doit, tests/test_runner.py: a failure ends the run; --continue runs what does not depend on it; teardown runs
    ("doit failure stops", "a stops; b ok: a", "!-", "failed"),
    ("doit --continue, independent", "a fails; b ok", "!+", "failed"),
    ("doit --continue, dependent", "a fails; b ok: a; c ok: b", "!--", "failed"),
    ("doit --continue, two failures", "a fails; b fails; c ok: a; d ok: b; e ok", "!!--+", "failed"),
    ("doit teardown after a failure", "a stops; t always: a", "!+", "failed"),
    ("doit teardown fails", "a ok; t always-fails: a", "+!", "failed"),
    # Luigi, test/worker_test.py: what had failed dependencies is left pending; the rest is done
    ("luigi failed dependency", "a fails; b ok: a", "!-", "failed"),
    ("luigi diamond with one bad side", "a ok; l fails: a; r ok: a; z ok: l r", "+!+-", "failed"),
    ("luigi several roots", "a fails; b ok: a; c ok; d ok: c", "!-++", "failed"),
    # skip, fail and continue in one graph
    ("a dropped call skips what needs it", "a drops; b ok: a; c ok", "oo+", "partial"),
    ("always does not hide what failed", "a fails; b always: a; c always: b", "!++", "failed"),
    ("a stop spares what is to run always", "a stops; b always: a; c ok: b; d always: c", "!+-+", "failed"),
    ("always below a stop and a skip", "a stops; s off; b always: a s", "!o+", "failed"),
    ("two that stop", "a stops; b always-fails: a; c always: b", "!!+", "failed"),
]


@pytest.mark.parametrize(("name", "text", "ends", "status"), CASES, ids=[case[0] for case in CASES])
def test_a_peers_case_ends_as_it_does_there(name, text, ends, status):
    spec = {"version": 1, "stages": stages_of(text)}
    result = Pipeline.from_text(json.dumps(spec), folder=HERE).run(workers=2)
    assert "".join(WORDS[str(stage.status)] for stage in result.state.stages.values()) == ends
    assert str(result.status) == status


# Conditions, as GitHub's manual ("Evaluate expressions in workflows and actions") and Dagu's preconditions have them.
# (what is written here, the value of params.x, whether the stage runs)
CONDITIONS = [
    ("${params.x == 'push'}", "push", True),
    ("${params.x != 'push'}", "push", False),
    ("${not params.x}", False, True),
    ("${params.x is defined}", 1, True),
    ("${'lo' in params.x}", "hello", True),
    ("${params.x.startswith('refs/tags/')}", "refs/tags/v1", True),
    ("${params.x.startswith('refs/tags/')}", "refs/heads/main", False),
    ("${params.x.endswith('.csv')}", "a.csv", True),
    ("${params.x in ['a', 'b']}", "c", False),
    ("${params.x | length == 0}", [], True),
    ("${params.x > 3 and params.x < 9}", 5, True),
    ("${params.x < 3 or params.x > 9}", 5, False),
    ("${params.x.branch == 'main'}", {"branch": "main"}, True),
    ("${params.x['branch'] == 'main'}", {"branch": "dev"}, False),
    ("${params.x | int > 2}", "3", True),
    ("${params.x | lower == 'main'}", "MAIN", True),
    ("${params.x if params.x is string else false}", "yes", True),
    ("${(params.x or 0) > 0}", None, False),
]


@pytest.mark.parametrize(("condition", "value", "runs"), CONDITIONS, ids=str)
def test_a_peers_condition_says_what_it_says_there(condition, value, runs):
    spec = {"version": 1, "params": {"x": value}, "stages": {"a": {**OK, "if": condition}}}
    plan = Pipeline.from_text(json.dumps(spec), folder=HERE).plan()
    assert ("a" not in plan.skipped) is runs


# What peers' retries and timeouts promise.


def test_dagu_retry_policy_gives_up_after_its_limit():
    result = Pipeline.from_text(json.dumps({"version": 1, "stages": {"a": {**BAD, "retry": 2}}}), folder=HERE).run()
    assert (result.state.stages["a"].retried, result.failures[0].tries) == (2, 3)


def test_dagu_retry_policy_success(tmp_path):
    stage = {
        "call": "control_deeds.py:dies_once",
        "with": {"value": 1, "log": str(tmp_path / "log")},
        "retry": {"limit": 1, "delay": "0.1s"},
    }
    result = Pipeline.from_text(json.dumps({"version": 1, "stages": {"a": stage}}), folder=HERE).run()
    assert (result["a"], result.state.stages["a"].retried) == (1, 1)


def test_a_failed_stage_that_is_tried_again_and_ends_well_cancels_nobody(tmp_path):
    stages = {
        "a": {"call": "control_deeds.py:dies_once", "with": {"value": 1, "log": str(tmp_path / "log")}, "retry": 1},
        "b": {**OK, "needs": ["a"]},
    }
    result = Pipeline.from_text(json.dumps({"version": 1, "stages": stages}), folder=HERE).run()
    assert result.exit_code == 0


def test_dagu_timeout_ends_the_step_and_what_needs_it():
    stages = {
        "a": OK,
        "b": {"call": "control_deeds.py:hangs", "with": {"value": 1}, "timeout": "0.5s", "needs": ["a"]},
        "c": {**OK, "needs": ["b"]},
    }
    result = Pipeline.from_text(json.dumps({"version": 1, "stages": stages}), folder=HERE).run()
    assert [str(stage.status) for stage in result.state.stages.values()] == ["done", "failed", "cancelled"]
    assert result.failures[0].failure.type == "Timeout"
