"""What may be written in `if`, when it is decided, and what plan and result say of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline_runner import Pipeline, Problems, Stage, check
from pipeline_runner.events import StageStarted

pytestmark = [pytest.mark.timeout(40), pytest.mark.usefixtures("own_state")]

HERE = Path(__file__).parent
SAME = "control_deeds.py:same"


def made(stages, **top):
    return Pipeline.from_text(json.dumps({"version": 1, "stages": stages, **top}), folder=HERE)


def statuses(result):
    return {name: str(stage.status) for name, stage in result.state.stages.items()}


def off(condition, params=None, env=None):
    """Whether a stage with this condition is known to be skipped."""
    stages = {"x": {"call": SAME, "if": condition}}
    return "x" in made(stages, params=params or {"none": 0}, env=env or {"E": ""}).plan().skipped


TRUTHS = [
    (True, True),
    (False, False),
    (1, True),
    (0, False),
    ("${params.p}", {"p": "full"}, True),
    ("${params.p}", {"p": ""}, False),
    ("${params.p}", {"p": "false"}, False),
    ("${params.p}", {"p": " False "}, False),
    ("${params.p}", {"p": "null"}, False),
    ("${params.p}", {"p": "0"}, False),
    ("${params.p}", {"p": "no"}, True),  # YAML 1.2 takes it for text
    ("${params.p}", {"p": []}, False),
    ("${params.p}", {"p": {}}, False),
    ("${params.p}", {"p": [0]}, True),
    ("${params.p}", {"p": None}, False),
    ("${params.p}", {"p": 0.0}, False),
    ("${params.p == 'full'}", {"p": "full"}, True),
    ("${params.p == 'full'}", {"p": "part"}, False),
    ("params.p == 'full'", {"p": "full"}, True),
    ("params.p == 'full'", {"p": "part"}, False),
    ("params.p", {"p": True}, True),
    ("params.p", {"p": False}, False),
    ("not params.p", {"p": False}, True),
    ("params.p and params.q", {"p": 1, "q": 0}, False),
    ("params.p in ['a', 'b']", {"p": "b"}, True),
    ("params['p'] > 3", {"p": 4}, True),
    ("  params.p  ", {"p": 0}, False),
    ("true", True),
    ("false", False),
    ("True", True),
    ("1 > 2", False),
    ("always", True),
    ("always()", True),
    ("${always}", True),
    ("${ always() }", True),
]


@pytest.mark.parametrize("case", TRUTHS, ids=str)
def test_a_condition_known_before_the_run_runs_the_stage_or_skips_it(case):
    condition, *params, runs = case
    assert off(condition, *params) is not runs


@pytest.mark.parametrize(
    ("value", "runs"), [("false", False), ("", False), ("0", False), ("true", True), ("yes", True)]
)
def test_a_variable_says_no_in_the_words_of_yaml(value, runs):
    assert off("${env.E}", env={"E": value}) is not runs
    assert off("env.E", env={"E": value}) is not runs


def test_a_condition_that_is_left_empty_is_none():
    assert not off(None)


def test_it_may_be_a_default_and_a_profile_may_change_it():
    text = json.dumps(
        {
            "version": 1,
            "defaults": {"if": False},
            "stages": {"x": {"call": SAME}, "y": {"call": SAME, "if": True}},
            "profiles": {"on": {"stages": {"x": {"if": "always"}}}},
        }
    )
    assert set(Pipeline.from_text(text, folder=HERE).plan().skipped) == {"x"}
    assert not Pipeline.from_text(text, folder=HERE, profile="on").plan().skipped


def test_the_plan_tells_what_is_skipped_and_why():
    plan = made(
        {
            "x": {"call": SAME, "over": [1], "if": "${params.mode == 'full'}"},
            "y": {"call": SAME, "over": "${stages.x}"},
            "z": {"call": SAME, "with": {"value": "${stages.y}"}, "if": "always"},
        },
        params={"mode": "part"},
    ).plan()
    assert plan.skipped == {
        "x": "its condition is false: ${params.mode == 'full'}",
        "y": "it depends on x, which is skipped",
    }
    explained = plan.explain()
    assert "skipped  its condition is false: ${params.mode == 'full'}" in explained
    assert "if       always" in explained
    assert plan.to_json()["stages"]["y"]["skipped"] == "it depends on x, which is skipped"
    assert plan.to_json()["stages"]["z"]["skipped"] is None


@pytest.mark.timeout(100)
def test_the_commands_tell_what_was_skipped_and_why(prun, tmp_path):
    (tmp_path / "p.yaml").write_text(
        "version: 1\nparams: {mode: quick}\n"
        "stages:\n"
        "  a: {call: 'operator:add', with: [1, 2]}\n"
        "  deep: {call: 'operator:add', with: [3, 4], if: params.mode == 'full'}\n"
        "  after: {call: 'operator:add', with: [5, 6], needs: [deep]}\n"
    )
    why = "its condition is false: params.mode == 'full'"
    ran = prun("p.yaml")
    assert ran.returncode == 0
    assert ran.stdout.split() == ["a:", "3"]
    assert f"deep   skipped    {why}" in ran.stderr
    assert "after  skipped    it depends on deep, which was skipped" in ran.stderr
    assert why in prun("show", "last").stdout
    assert why in prun("plan", "p.yaml").stdout
    assert "deep  [skipped]" in prun("graph", "p.yaml").stdout
    told = json.loads(prun("p.yaml", "--json", "-p", "mode=full").stdout)
    assert {name: stage["status"] for name, stage in told["stages"].items()} == dict.fromkeys(
        ("a", "deep", "after"), "done"
    )


def test_nothing_of_a_skipped_stage_runs_not_even_its_import():
    result = made({"x": {"call": "no_such_module:at_all", "if": False}}).run()
    assert statuses(result) == {"x": "skipped"}
    told = result.to_json()["stages"]["x"]
    assert (told["status"], told["calls"], told["why"]) == ("skipped", 0, "its condition is false: false")
    assert "value" not in told


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("${stages.x > 2}", "done"),
        ("${stages.x > 3}", "skipped"),
        ("stages.x == 3", "done"),
        ("${stages.x}", "done"),
        ("${stages.rows | length > params.most}", "done"),
        ("${stages.rows | select('odd') | list}", "done"),
        ("${stages.rows | select('gt', 9) | list}", "skipped"),
        ("${stages.words.go}", "done"),
        ("${stages.words.stay}", "skipped"),
        ("${stages.words['stay']}", "skipped"),
    ],
)
def test_a_condition_over_stages_is_decided_when_they_have_ended(condition, status):
    result = made(
        {
            "x": {"call": SAME, "with": {"value": 3}},
            "rows": {"call": SAME, "over": [1, 2, 3]},
            "words": {"call": SAME, "with": {"value": {"go": "yes", "stay": []}}},
            "y": {"call": SAME, "with": {"value": 1}, "if": condition},
            "after": {"call": SAME, "needs": ["y"]},
        },
        params={"most": 2},
    ).run(workers=2)
    assert (statuses(result)["y"], statuses(result)["after"]) == (status, status)


def test_the_stages_of_a_condition_are_barriers():
    plan = made(
        {
            "x": {"call": SAME, "over": {"range": 9}},
            "y": {"call": SAME, "over": "${stages.x}"},
            "maybe": {"call": SAME, "over": "${stages.y}", "if": "${stages.x | length > 3}"},
            "then": {"call": SAME, "over": "${stages.maybe}"},
        }
    ).plan()
    edges = {(edge.source, edge.target): (str(edge.kind), edge.why) for edge in plan.edges}
    assert edges["x", "maybe"] == ("barrier", "whether maybe runs is known when x has ended")
    assert edges["y", "maybe"][0] == "barrier"
    assert edges["maybe", "then"][0] == "stream"
    assert all(
        chain.stages == ("maybe",) or "maybe" not in chain.stages for group in plan.groups for chain in group.chains
    )


def test_a_condition_that_is_known_does_not_keep_stages_from_being_fused():
    stages = {"x": {"call": SAME, "over": {"range": 9}}, "y": {"call": SAME, "over": "${stages.x}", "if": True}}
    (chain,) = made(stages).plan().groups[0].chains
    assert chain.stages == ("x", "y")


def test_a_stage_that_is_skipped_beside_a_stream_leaves_the_stream_alone():
    result = made(
        {
            "x": {"call": SAME, "over": {"range": 50}},
            "off": {"call": SAME, "over": "${stages.x}", "if": False},
            "on": {"call": SAME, "over": "${stages.x}"},
        }
    ).run(workers=2, keep=["on"])
    assert statuses(result) == {"x": "done", "off": "skipped", "on": "done"}
    assert result["on"] == list(range(50))


def test_a_stage_skipped_during_the_run_ends_what_would_have_streamed_from_it():
    events = []
    result = made(
        {
            "no": {"call": SAME, "with": {"value": 0}},
            "maybe": {"call": SAME, "over": {"range": 9}, "if": "${stages.no}"},
            "then": {"call": SAME, "over": "${stages.maybe}"},
            "last": {"call": SAME, "with": {"value": "${stages.then}"}, "if": "always"},
        }
    ).run(workers=2, on_event=events.append)
    assert statuses(result) == {"no": "done", "maybe": "skipped", "then": "skipped", "last": "done"}
    assert result["last"] == []
    assert [e.stage for e in events if isinstance(e, StageStarted)] == ["no", "last"]


def test_a_condition_without_a_yes_or_no_fails_its_stage():
    result = made(
        {
            "x": {"call": SAME, "with": {"value": 1}},
            "y": {"call": SAME, "if": "${stages.x.total}", "on_error": "finish"},
            "z": {"call": SAME, "needs": ["y"]},
        }
    ).run()
    assert statuses(result) == {"x": "done", "y": "failed", "z": "cancelled"}
    assert "leads nowhere" in str(result.failures[0])


def test_a_thousand_stages_in_a_row_are_skipped_at_once():
    stages = {"s0": {"call": SAME, "if": False}}
    stages |= {f"s{n}": {"call": SAME, "needs": [f"s{n - 1}"]} for n in range(1, 1000)}
    result = made(stages).run()
    assert set(statuses(result).values()) == {"skipped"}
    assert result.state.seconds < 20


PROBLEMS = [
    ("${item > 3}", "a stage runs for all of its items, or for none", "selectattr"),
    ("item.ok", "a stage runs for all of its items, or for none", "selectattr"),
    ("${index}", "a stage runs for all of its items, or for none", "selectattr"),
    ("${params.a} == 'x'", "true whatever it says", "put all of it in one"),
    ("always() && params.a", '"&&" is no operator', "write  and"),
    ("params.a || params.b", '"||" is no operator', "write  or"),
    ("${{ params.a }}", "one pair of braces", "write  ${params.x == 'y'}"),
    ("failure()", "there is no failure()", "on_failure"),
    ("${success()}", "there is no success()", "leave it out"),
    ("${stages.nope}", 'there is no stage "nope"', ""),
    ("stages.nope > 1", 'there is no stage "nope"', ""),
    ("${params.nope}", 'there is no parameter "nope"', ""),
    ("parms.a", 'unknown name "parms"; did you mean "params"', ""),
    ("${run.id}", 'cannot stand in "if"', ""),
    ("params.a ==", "it cannot be read", ""),
    ([1], "`if` takes one value", ""),
    ({"a": 1}, "`if` takes one value", ""),
]


@pytest.mark.parametrize(("condition", "said", "cure"), PROBLEMS, ids=str)
def test_what_is_no_condition_is_told_with_its_cure(condition, said, cure):
    text = json.dumps(
        {"version": 1, "params": {"a": 1, "b": 2}, "stages": {"x": {"call": SAME, "over": [1], "if": condition}}}
    )
    told = "\n".join(map(str, check(text)))
    assert said in told
    assert cure in told


def test_a_stage_cannot_wait_for_its_own_condition():
    text = json.dumps({"version": 1, "stages": {"x": {"call": SAME, "if": "${stages.x}"}}})
    assert 'stage "x" waits for itself' in str(check(text)[0])


def test_the_place_of_a_condition_is_its_own_column():
    text = "version: 1\nstages:\n  x:\n    call: a:b\n    if: params.mod == 'full'\nparams: {mode: full}\n"
    (problem,) = check(text)
    assert (problem.mark.line, problem.mark.column) == (5, 9)
    assert 'did you mean "mode"' in str(problem)


def test_python_says_it_too():
    pipeline = Pipeline(
        "p", [Stage("x", call=len, with_=[[1]], if_=False), Stage("y", call=len, with_=[[1, 2]], if_="always")]
    )
    result = pipeline.run()
    assert statuses(result) == {"x": "skipped", "y": "done"}
    with pytest.raises(Problems):
        Pipeline("p", [Stage("x", call=len, if_="${stages.nope}")])


def test_a_stage_that_was_skipped_runs_when_the_run_is_resumed_and_its_condition_holds(tmp_path):
    def pipeline(mode):
        stages = {
            "x": {"call": SAME, "over": [1, 2]},
            "deep": {"call": SAME, "over": "${stages.x}", "if": "${params.mode == 'full'}"},
            "last": {"call": SAME, "with": {"value": "${stages.deep}"}},
        }
        return made(stages, params={"mode": mode})

    first = pipeline("part").run(state=tmp_path)
    assert statuses(first) == {"x": "done", "deep": "skipped", "last": "skipped"}
    second = pipeline("full").run(state=tmp_path, resume=first.id)
    assert statuses(second) == {"x": "reused", "deep": "done", "last": "done"}
    assert second["last"] == [1, 2]
    third = pipeline("part").run(state=tmp_path, resume=first.id)
    assert statuses(third) == {"x": "reused", "deep": "skipped", "last": "skipped"}


def test_what_ran_after_one_failure_runs_after_the_next(tmp_path):
    log = tmp_path / "log"
    stages = {
        "bad": {"call": "control_deeds.py:fails"},
        "tidy": {"call": "control_deeds.py:noted", "with": {"log": str(log)}, "needs": ["bad"], "if": "always"},
    }
    first = made(stages).run(state=tmp_path / "state")
    made(stages).run(state=tmp_path / "state", resume=first.id)
    assert log.read_text().split() == ["ran", "ran"]
    mended = {**stages, "bad": {"call": SAME}}
    made(mended).run(state=tmp_path / "state", resume=first.id)
    made(mended).run(state=tmp_path / "state", resume=first.id)
    assert log.read_text().split() == ["ran"] * 3
