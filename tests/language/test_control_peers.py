"""Cases from the test suites and manuals of peers, in this language: what runs, what is skipped and what is cancelled
after which end; what a condition says; what is tried again.

- dagu: `dagu-org/dagu`, internal/digraph/scheduler/scheduler_test.go
- act: `nektos/act`, pkg/runner/run_context_test.go and pkg/exprparser
- github: `github/docs`, the page or data/reusables/actions/jobs/NAME.md
- airflow: `apache/airflow`, tests/ti_deps/deps/test_trigger_rule_dep.py
- doit: `pydoit/doit`, tests/test_runner.py (of early versions too: testCleanupError and the like) and test_control.py
- luigi: `spotify/luigi`, test/worker_test.py and test/execution_summary_test.py
- cwl: `common-workflow-language/cwl-v1.2`, tests/conditionals/test-index.yaml
- nextflow: `nextflow-io/nextflow`, tests/NAME.nf with tests/checks/NAME.nf
- snakemake: `snakemake/snakemake`, tests/tests.py

A stage is written `name kind: needs`. Where a peer puts "go on after this one" on the source (Dagu's continueOn, GitHub's
continue-on-error), it is `if: always` on the reader here, and the source lets the others end with `on_error: finish`.
What GitHub and Airflow call skipped, or upstream_failed, after a failure is cancelled here, as in Dagu. A comment says
where the answer here is another one than the peer's.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from pipeline_runner import Pipeline, Problems

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
    "on": {**OK, "if": True},
    "always": {**OK, "if": "always"},
    "always-fails": {**BAD, "if": "always", "on_error": "finish"},
}
WORDS = {"done": "+", "skipped": "o", "failed": "!", "cancelled": "-"}


def made(stages, **top):
    return Pipeline.from_text(json.dumps({"version": 1, "stages": stages, **top}), folder=HERE)


def stages_of(text):
    found = {}
    for line in re.split(r"[;\n]", text):
        head, _, needs = line.partition(":")
        name, kind = head.split()
        found[name] = {**KINDS[kind], "needs": needs.split()}
    return found


def ends(result):
    return "".join(WORDS[str(stage.status)] for stage in result.state.stages.values())


# (the peer's case, the stages, how each ended in order, how the run ended)
CASES = [
    ("dagu SequentialStepsSuccess", "a ok; b ok: a; c ok: b", "+++", "done"),
    ("dagu SequentialStepsWithFailure", "a ok; b ok: a; c fails: b; d ok: c", "++!-", "failed"),
    ("dagu ParallelSteps", "a ok; b ok; c ok", "+++", "done"),
    ("dagu ParallelStepsWithFailure", "a ok; b fails; c ok: a; d ok: c", "+!++", "failed"),
    ("dagu ContinueOnFailure", "a ok; b fails: a; c always: b", "+!+", "failed"),
    ("dagu ContinueOnSkip", "a ok; b off: a; c always: b", "+o+", "done"),
    # There the failed step is told as a success, and so is the run. Here it has no value, and the run is partial.
    ("dagu ContinueOnMarkSuccess", "a drops; b always: a", "o+", "partial"),
    ("dagu PreconditionMatch", "a ok; b on: a; c ok: b", "+++", "done"),
    ("dagu PreconditionNotMatch", "a ok; b off: a; c ok: b", "+oo", "done"),
    ("dagu OnExitHandler", "a ok; exit always: a", "++", "done"),
    ("dagu OnExitHandlerFail", "a ok; exit always-fails: a", "+!", "failed"),
    ("dagu Metrics", "a ok; b fails; c off; d ok: a", "+!o+", "failed"),
    ("dagu ComplexDependencyChains/DiamondDependency", "a ok; b ok: a; c ok: a; d ok: b c", "++++", "done"),
    ("dagu ComplexFailurePropagation", "a ok; b fails: a; c ok: a; d ok: b c", "+!+-", "failed"),
    ("dagu EdgeCases/SingleNodeGraph", "single ok", "+", "done"),
    ("dagu EdgeCases/AllNodesFail", "a fails; b fails; c fails", "!!!", "failed"),
    ("act IsEnabled success(), alone", "a ok", "+", "done"),
    ("act IsEnabled success(), needs a failure", "a fails; b ok: a", "!-", "failed"),
    ("act IsEnabled success(), needs a success", "a ok; b ok: a", "++", "done"),
    ("act IsEnabled success(), beside a failure", "a fails; b ok", "!+", "failed"),
    ("act IsEnabled always(), alone", "a always", "+", "done"),
    ("act IsEnabled always(), needs a failure", "a fails; b always: a", "!+", "failed"),
    ("act IsEnabled always(), needs a success", "a ok; b always: a", "++", "done"),
    ("act IsEnabled always(), beside a success", "a ok; b always", "++", "done"),
    # github section-using-jobs-in-a-workflow-needs, its two examples and its rules
    ("github requiring successful jobs", "job1 ok; job2 ok: job1; job3 ok: job1 job2", "+++", "done"),
    ("github requiring successful jobs, job1 fails", "job1 fails; job2 ok: job1; job3 ok: job1 job2", "!--", "failed"),
    ("github not requiring", "job1 ok; job2 ok: job1; job3 always: job1 job2", "+++", "done"),
    ("github not requiring, job1 fails", "job1 fails; job2 ok: job1; job3 always: job1 job2", "!-+", "failed"),
    ("github not requiring, job1 is skipped", "job1 off; job2 ok: job1; job3 always: job1 job2", "oo+", "done"),
    ("github needs a chain", "a fails; b ok: a; c ok: b; d ok: c", "!---", "failed"),
    ("github needs a chain, the first is skipped", "a off; b ok: a; c ok: b", "ooo", "done"),
    # There both jobs pass when the first has continue-on-error. Here what failed has no value to go on with.
    ("github continue-on-error", "a drops; b ok: a", "oo", "partial"),
    ("airflow test_no_upstream_tasks", "a always", "+", "done"),
    ("airflow test_all_success_tr_success", "a ok; b ok: a", "++", "done"),
    ("airflow test_all_success_tr_failure", "a ok; b fails; c ok: a b", "+!-", "failed"),
    ("airflow test_all_success_tr_skip", "a ok; b off; c ok: a b", "+oo", "done"),
    ("airflow test_all_done_tr_success", "a ok; b ok; c always: a b", "+++", "done"),
    # airflow's manual, "Trigger Rules": all_done is met however the upstream tasks ended, and all_success (the rule of
    # whatever reads a task) looks at that task's own end.
    ("airflow all_done after failures", "a fails; b fails; c always: a b", "!!+", "failed"),
    ("airflow all_done after skips", "a off; b off; c always: a b", "oo+", "done"),
    ("airflow all_done after each", "a ok; b fails; s off; u ok: b; c always: a b s u", "+!o-+", "failed"),
    ("airflow all_success after upstream_failed", "a fails; b ok: a; c ok: b", "!--", "failed"),
    ("airflow all_success after failed and skipped", "a off; b fails; c ok: a b", "o!-", "failed"),
    ("airflow all_success after all_done", "a fails; b always: a; c ok: b", "!++", "failed"),
    ("doit test_success", "x ok; y ok", "++", "done"),
    ("doit test_continue", "a fails; b fails; c ok", "!!+", "failed"),
    ("doit test_wait_run_deps_not_ok", "t2 fails; t1 ok: t2", "!-", "failed"),
    ("doit test_teardown", "t1 ok; t2 ok; teardown always: t1 t2", "+++", "done"),
    ("doit testExecuteCleanedOnTaskErrors", "setup ok; t1 stops: setup; cleanup always: t1", "+!+", "failed"),
    # There the error is told and the run is a success. Here what tidies up is a stage like any other, as in Dagu.
    ("doit testCleanupError", "t1 ok; cleanup always-fails: t1", "+!", "failed"),
    ("luigi WorkerTest.test_dep", "a ok; b ok: a", "++", "done"),
    ("luigi WorkerTest.test_fail", "a fails; b ok: a", "!-", "failed"),
    ("luigi WorkerTest.test_complete_exception", "a fails; c ok; b ok: a c", "!+-", "failed"),
    ("luigi WorkerTest.test_requires_exception", "a fails; d ok; c ok: d; b ok: c a", "!++-", "failed"),
    (
        "luigi ExecutionSummaryTest.test_all_statuses",
        "bar0 fails; bar2 ok; bar3 ok; bar4 ok; foo ok: bar0 bar2 bar3 bar4",
        "!+++-",
        "failed",
    ),
    (
        "luigi ExecutionSummaryTest.test_larger_tree",
        "cat0 ok; cat2 fails; dog ok: cat2; bar1 ok: cat0; bar2 ok: dog; foo ok: bar1 bar2",
        "+!-+--",
        "failed",
    ),
    # What no peer has: skip, fail, stop and continue in one graph.
    ("skip goes on down the line", "a off; b ok: a; c ok: b; d ok: c", "oooo", "done"),
    ("an own success counts after a skip", "a off; b always: a; c ok: b", "o++", "done"),
    ("upstream failed beside a skip", "a fails; b ok: a; s off; c ok: b s", "!-o-", "failed"),
    ("two failures, each with a reader", "a fails; b fails; c ok: a; d ok: b; e ok", "!!--+", "failed"),
    ("a stop cancels all that waits for it", "a stops; b ok: a; c ok: b", "!--", "failed"),
    ("a dropped call skips what needs it", "a drops; b ok: a; c ok", "oo+", "partial"),
    ("always does not hide what failed", "a fails; b always: a; c always: b", "!++", "failed"),
    ("a stop spares what is to run always", "a stops; b always: a; c ok: b; d always: c", "!+-+", "failed"),
    ("always below a stop and a skip", "a stops; s off; b always: a s", "!o+", "failed"),
    ("two that stop", "a stops; b always-fails: a; c always: b", "!!+", "failed"),
]


@pytest.mark.parametrize(("name", "text", "expected", "status"), CASES, ids=[case[0] for case in CASES])
def test_a_peers_case_ends_as_it_does_there(name, text, expected, status):
    result = made(stages_of(text)).run(workers=2)
    assert (ends(result), str(result.status)) == (expected, status)


def test_doits_error_keeps_the_next_task_from_running():  # doit test_error
    result = made({"x": BAD, "y": BAD}).run(workers=1)
    assert (ends(result), [failure.stage for failure in result.failures]) == ("!-", ["x"])


# The second of many items fails: (the peer's case, on_error, whether all others were called, how the stage ended and what
# reads it, how the run ended)
ITEMS = [
    # github section-using-a-build-matrix-for-your-jobs-failfast: what waits is cancelled, or not
    ("github fail-fast: true", "stop", False, "!-", "failed"),
    ("github fail-fast: false", "finish", True, "!-", "failed"),
    ("nextflow error-finish", "finish", True, "!-", "failed"),
    # With workflow.failOnIgnore, as in that test, a run ends as a failure there, and without it as a success.
    ("nextflow error-ignore-then-fail", "skip", True, "++", "partial"),
]


@pytest.mark.parametrize(("name", "on_error", "others", "expected", "status"), ITEMS, ids=[case[0] for case in ITEMS])
def test_a_peers_failing_item_leaves_the_others_as_it_does_there(name, on_error, others, expected, status):
    foo = {"call": "control_deeds.py:fails_at", "over": {"range": 1000}, "on_error": on_error, "chunk": 1}
    bar = {**OK, "over": "${stages.foo}"}
    result = made({"foo": foo, "bar": bar}).run(workers=1)
    foo = result.state.stages["foo"]
    assert (foo.done == 999, foo.failed, ends(result), str(result.status)) == (others, 1, expected, status)


# Dagu's handlers: (the case, the hooks, the stages, how hooks and stages ended, how the run ended). A handler that
# runs on every exit is a stage with `if: always` here.
HANDLERS = [
    ("OnSuccessHandler", {"on_success": OK}, "a ok", "++", "done"),
    ("OnFailureHandler", {"on_failure": OK}, "a fails", "!+", "failed"),
    ("HandlerNodeAccess", {"on_success": OK, "on_failure": OK}, "a ok; exit always: a", "+++o", "done"),
    ("MultipleHandlerExecution", {"on_failure": OK}, "a fails; exit always: a", "!++", "failed"),
]


@pytest.mark.parametrize(("name", "hooks", "text", "expected", "status"), HANDLERS, ids=[case[0] for case in HANDLERS])
def test_dagus_handlers_run_at_the_end_that_they_are_for(name, hooks, text, expected, status):
    result = made(stages_of(text), **hooks).run(workers=2)
    assert (ends(result), str(result.status)) == (expected, status)


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        # NodeSetupFailure: the step fails there, when it begins.
        ({"a": {"run": "echo 1", "workdir": "/nonexistent"}}, "which is no folder"),
        # EdgeCases/EmptyGraph: a success there.
        ({}, "there are no stages"),
    ],
    ids=["NodeSetupFailure", "EmptyGraph"],
)
def test_what_dagu_finds_in_the_run_is_refused_before_it(stages, said):
    with pytest.raises(Problems, match=said):
        made(stages).run()


def test_dagus_cancelled_schedule_never_begins_what_waits(tmp_path):  # dagu CancelSchedule
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    hangs = {"call": "control_deeds.py:begins_and_hangs", "with": {"path": str(pipe)}, "needs": ["a"]}
    run = made({"a": OK, "b": hangs, "c": {**BAD, "needs": ["b"]}}).start(workers=2)
    with pipe.open("w"):  # opens when the other end does: the second has begun
        run.cancel()
        result = run.wait(20)
    # The third is told as not started there.
    assert (ends(result), str(result.status)) == ("+--", "interrupted")


# Conditions. (the peer's test, what is written here, what it says there, and what it says here where that differs: no
# is an answer, and a text is what is said of a condition that is refused)
SOMETHING = {"YES": "true", "NO": "false", "TEXT": "text"}
EVAL_BOOL = [
    ("always()", True),
    # There is no asking how other stages ended: `needs` without `if: always` is success().
    ("success()", True, "no success"),
    ("failure()", False, "no failure"),
    ("cancelled()", False, "no cancelled"),
    ("true", True),
    ("false", False),
    ("1 != 0", True),
    ("1 != 1", False),
    ("${ 1 != 0 }", True),
    ("${ 1 != 1 }", False),
    ("1 == 0", False),
    ("1 == 1", True),
    ("1 > 2", False),
    ("1 < 2", True),
    ("true and false", False),
    ("true and 1 < 2", True),
    ("false or 1 < 2", True),
    ("false or false", False),
    # Names that there are not are mistakes here, and empty there.
    ("env.UNKNOWN == 'true'", False, "no environment variable"),
    ("env.UNKNOWN", False, "no environment variable"),
    ("env.TEXT", True),
    ("env.TEXT == 'text'", True),
    ("env.YES == 'true'", True),
    ("env.NO == 'true'", False),
    ("env.YES", True),
    # The text "false" says no here, as the answer to `if`; in a calculation it is a text like any other.
    ("env.NO", True, False),
    ("${not env.YES}", False),
    ("${not env.NO}", False),
    ("${env.YES}", True),
    ("${env.NO}", True, False),
    ("${not env.YES and true}", False),
    ("${not env.NO and true}", False),
    ("${not env.YES or true}", True),
    ("${not env.NO or false}", False),
    ("${env.YES and true}", True),
    ("${env.NO or true}", True, False),
    ("${env.NO or false}", True, False),
    ("${env.YES == 'true'}", True),
    ("${env.NO == 'true'}", False),
    ("${env.NO == 'false'}", True),
    # A text with ${…} in it is true whatever it says there, and refused here.
    ("${env.NO} and ${env.YES}", True, "such text is true whatever it says"),
    ("${env.NO == 'true'} and true", True, "such text is true whatever it says"),
    ("true and ${env.NO == 'true'}", True, "such text is true whatever it says"),
    ("false or env.YES == 'true'", True),
    ("true or env.NO == 'true'", True),
    ("true and env.YES == 'true'", True),
    ("false and env.YES == 'true'", False),
    ("env.NO == 'true' and env.YES == 'true'", False),
    ("env.NO == 'true' and true", False),
    ("INVALID_EXPRESSION", "unknown name"),  # refused there too
]
OPERATORS = [
    ("(false or (false or true))", True),
    ("not true", False),
    ("'b' <= 'a'", False),
    ("'b' >= 'a'", True),
    ("'a' == 'a'", True),
    ("'a' != 'a'", False),
    ("{} and true", True, False),  # nothing in it says no here
    ("[0, 1][1]", True),
    ("[0, 1][2]", False, "has no value"),  # what is not there is empty there
    ("[0, 1][-1]", False, True),  # the last one here
]
COMPARE = [
    ("not none", True),
    ("not -10", False),
    ("not 0", True),
    ("not 3.14", False),
    ("not ''", True),
    ("not 'abc'", False),
    ("not {}", False, True),
    ("not []", False, True),
    # There values of two kinds are compared as numbers, and texts whatever their case.
    ("none == 0", True, False),
    ("true == 1", True),
    ("'' == 0", True, False),
    ("'3' == 3", True, False),
    ("0 == none", True, False),
    ("1 == true", True),
    ("0 == ''", True, False),
    ("3 == '3'", True, False),
    ("'TEST' == 'test'", True, False),
    ("true > false", True),
    ("true >= false", True),
    ("true >= true", True),
    ("true != false", True),
]
FUNCTIONS = [
    ("'item' in 'search'", False),
    ("'ll' in 'Hello'", True),
    ("'ll' in 'HELLO'", True, False),
    ("'first' in ['first', 'second']", True),
    ("'true' in [true, 'second']", False),
    ("true in ['true', 'second']", False),
    ("3.14 in [3.14, 'second']", True),
    ("'3.14' in [3.14, 'second']", True, False),
    ("'failure' in ([{'result': 'success'}, {'result': 'failure'}] | map(attribute='result'))", True),
    ("'notthere' in ([{'result': 'success'}, {'result': 'failure'}] | map(attribute='result'))", False),
    ("'search'.startswith('se')", True),
    ("'search'.startswith('sa')", False),
    ("'123search'.startswith('123s')", True),
    ("'null'.startswith('')", True),
    ("'search'.endswith('ch')", True),
    ("'search'.endswith('sa')", False),
    ("'search123s'.endswith('123s')", True),
    ("'null'.endswith('')", True),
]
MANUAL = [
    ("'llo' in 'Hello world'", True),
    ("'Hello world'.startswith('He')", True),
    ("'Hello world'.endswith('ld')", True),
    ("${not params.ref.startswith('refs/tags/')}", True),
    ("params.repository == 'octo-org/octo-repo-prod'", True),
]
CONDITIONS = [
    *(("act TestRunContext_EvalBool", *row) for row in EVAL_BOOL),
    *(("act TestOperators", *row) for row in OPERATORS),
    *(("act TestOperatorsCompare", *row) for row in COMPARE),
    *(("act TestFunctionContains, StartsWith, EndsWith", *row) for row in FUNCTIONS),
    *(("github Expressions, Using conditions", *row) for row in MANUAL),
]


@pytest.mark.parametrize("case", CONDITIONS, ids=lambda case: case[1])
def test_a_peers_condition_says_what_it_says_there(case):
    _, condition, *answers = case
    here = answers[-1]
    spec = {
        "stages": {"a": {**OK, "if": condition}},
        "params": {"ref": "refs/heads/main", "repository": "octo-org/octo-repo-prod"},
        "env": SOMETHING,
    }
    if isinstance(here, str):
        with pytest.raises(Problems, match=here):
            made(**spec)
    else:
        assert ("a" not in made(**spec).plan().skipped) is here


# CWL's `when`, which a stage's `if` is, and `pickValue`, which is a filter in whatever reads the stages.
FOO = {**OK, "with": {"value": "foo ${params.val}"}, "if": "${params.val > 2}"}
BAR = {**OK, "with": {"value": "bar ${params.val}"}, "if": "${params.val > 0}"}
FIRST = "${([stages.foo, stages.bar] | reject('none') | list)[0]}"
SIX = [1, 2, 3, 4, 5, 6]
ALL = "${[stages.foo, stages.bar] | reject('none') | list}"
EACH = {"call": "control_deeds.py:noun", "over": "${params.data}", "if": "${params.val > 3}", "with": {"noun": "foo"}}
# (the label, its stages but for `out`, what `out` is, the parameters, what comes out)
WHEN = [
    ("direct_optional_null_result", {"foo": FOO}, "${stages.foo}", {"val": 1}, None),
    ("direct_optional_nonnull_result", {"foo": FOO}, "${stages.foo}", {"val": 3}, "foo 3"),
    # An output that may not be null is null all the same, there as here: cond-wf-002.cwl is cond-wf-001.cwl.
    ("direct_required", {"foo": FOO}, "${stages.foo}", {"val": 1}, None),
    ("pass_through_required_false_when", {"foo": FOO}, "${stages.foo or 'Direct'}", {"val": 1}, "Direct"),
    ("pass_through_required_true_when", {"foo": FOO}, "${stages.foo or 'Direct'}", {"val": 3}, "foo 3"),
    ("first_non_null_first_non_null", {"foo": {**FOO, "if": "${params.val < 1}"}, "bar": FOO}, FIRST, {"val": 0}, "foo 0"),
    ("first_non_null_second_non_null", {"foo": {**FOO, "if": "${params.val < 1}"}, "bar": FOO}, FIRST, {"val": 3}, "foo 3"),
    ("all_non_null_all_null", {"foo": FOO, "bar": BAR}, ALL, {"val": 0}, []),
    ("all_non_null_one_non_null", {"foo": FOO, "bar": BAR}, ALL, {"val": 1}, ["bar 1"]),
    ("all_non_null_multi_non_null", {"foo": FOO, "bar": BAR}, ALL, {"val": 3}, ["foo 3", "bar 3"]),
    ("condifional_scatter_on_nonscattered_false", {"foo": EACH}, "${stages.foo}", {"val": 2, "data": SIX}, []),
    (
        "condifional_scatter_on_nonscattered_true",
        {"foo": EACH},
        "${stages.foo}",
        {"val": 4, "data": SIX},
        [f"foo {n}" for n in range(1, 7)],
    ),
    # There is no condition for single items: they are chosen where they come from.
    (
        "scatter_on_scattered_conditional",
        {"foo": {**EACH, "if": True, "over": "${params.data | select('gt', 3) | list}"}},
        "${stages.foo}",
        {"data": SIX},
        ["foo 4", "foo 5", "foo 6"],
    ),
    (
        "conditionals_multi_scatter",
        {
            "foo": {**EACH, "if": True, "over": "${params.data | select('even') | list}"},
            "bar": {**EACH, "if": True, "over": "${params.data | select('odd') | list}", "with": {"noun": "bar"}},
        },
        "${stages.foo + stages.bar}",
        {"data": SIX},
        ["foo 2", "foo 4", "foo 6", "bar 1", "bar 3", "bar 5"],
    ),
    # A `when` that is neither true nor false fails there. Here any value answers.
    ("conditionals_non_boolean_fail", {"foo": {**FOO, "if": "${params.val % 2}"}}, "${stages.foo}", {"val": 1}, "foo 1"),
]  # fmt: skip


@pytest.mark.parametrize(("label", "stages", "out", "params", "expected"), WHEN, ids=[case[0] for case in WHEN])
def test_cwls_conditionals_give_what_they_give_there(label, stages, out, params, expected):
    reads = {**OK, "if": "always", "with": {"value": out}}
    assert made({**stages, "out": reads}, params=params).run(workers=2)["out"] == expected


def test_cwls_first_of_none_fails():  # cwl first_non_null_all_null
    stages = {"foo": FOO, "bar": {**BAR, "if": False}, "out": {**OK, "if": "always", "with": {"value": FIRST}}}
    assert ends(made(stages, params={"val": 1}).run(workers=2)) == "oo!"


# What peers' retries and timeouts promise: (the errors of the first calls, retry, how often it was tried again, what
# came of it)
RETRIES = [
    ("dagu RetryPolicyFail", ["ValueError"] * 3, 2, 2, "!"),
    ("dagu RetryPolicySuccess", ["ValueError"], {"limit": 1, "delay": "0.1s"}, 1, "+"),
    ("dagu RetryPolicyDefaults", ["ValueError"] * 2, {"limit": 1, "delay": "0.1s"}, 1, "!"),
    # By exit codes there, by kinds of failures here.
    (
        "dagu ComplexRetryScenarios/RetryWithSpecificExitCodes",
        ["ValueError", "KeyError"],
        {"limit": 3, "delay": "0.1s", "on": ["ValueError"]},
        1,
        "!",
    ),
    ("snakemake test_restartable_job_cmd_exit_1_no_restart", ["ValueError"], 0, 0, "!"),
    ("snakemake test_restartable_job_cmd_exit_1_one_restart", ["ValueError"], 1, 1, "+"),
]


@pytest.mark.parametrize(("name", "errors", "retry", "retried", "expected"), RETRIES, ids=[case[0] for case in RETRIES])
def test_a_peers_call_is_tried_again_as_often_as_there(name, errors, retry, retried, expected, tmp_path):
    given = {"log": str(tmp_path / "log"), "errors": errors}
    result = made({"a": {"call": "control_deeds.py:fails_in_turn", "with": given, "retry": retry}}).run()
    assert (ends(result), result.state.stages["a"].retried) == (expected, retried)
    assert [failure.tries for failure in result.failures] == [retried + 1] * (expected == "!")


def test_dagus_captured_output_is_that_of_the_last_try(tmp_path):  # dagu RetryPolicyWithOutputCapture
    run = "echo x >> ${params.log}; n=$(wc -l < ${params.log}); echo output_attempt_$n; test $n -eq 3"
    stage = {"run": run, "retry": {"limit": 3, "delay": "0.1s"}}
    result = made({"a": stage}, params={"log": str(tmp_path / "log")}).run()
    assert (result["a"].strip(), result.state.stages["a"].retried) == ("output_attempt_3", 2)


def test_a_worker_that_dies_is_tried_again_and_cancels_nobody(tmp_path):
    dies = {"call": "control_deeds.py:dies_once", "with": {"value": 1, "log": str(tmp_path / "log")}, "retry": 1}
    result = made({"a": dies, "b": {**OK, "needs": ["a"]}}).run()
    assert (ends(result), result.state.stages["a"].retried, result.exit_code) == ("++", 1, 0)


def test_dagus_timeout_ends_what_runs_and_what_needs_it():  # dagu Timeout
    # There the time is that of the whole run, and what runs is cancelled. Here it is that of a call, which fails.
    hangs = {"call": "control_deeds.py:hangs", "with": {"value": 1}, "timeout": "0.5s", "needs": ["a"]}
    result = made({"a": OK, "b": hangs, "c": {**OK, "needs": ["b"]}}).run()
    assert (ends(result), str(result.status)) == ("+!-", "failed")
    assert result.failures[0].failure.type == "Timeout"
