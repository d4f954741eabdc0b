"""SYNTAX §5: what `${…}` stands for, where it may stand, and what is said where it may not."""

from __future__ import annotations

import pytest

from pipeline_runner import Pipeline, check

pytestmark = pytest.mark.timeout(60)

TAKE = "def take(*given, **named):\n    return [list(given), named]\n"


@pytest.fixture
def run(tmp_path):
    """Run the YAML of some stages in a folder with `work:take`, and give the result."""
    (tmp_path / "work.py").write_text(TAKE)

    def go(text, **params):
        return Pipeline.from_text(text, folder=tmp_path, params=params).run(workers=2, state=False)

    return go


def test_a_scalar_that_is_wholly_a_reference_keeps_its_type_and_text_around_it_makes_text(run):
    result = run("""
        params: {n: 3, f: 1.5, flag: true, nothing: null, list: [1, 2], map: {k: v}}
        stages:
          s:
            call: work:take
            with:
              n: ${params.n}
              f: ${params.f}
              flag: ${params.flag}
              nothing: ${params.nothing}
              list: ${params.list}
              map: ${params.map}
              second: ${params.list[1]}
              dotted: ${params.list.1}
              inner: ${params.map.k}
              text: n is ${params.n}, flag ${params.flag}, nothing ${params.nothing}
              literal: $${params.n}
    """)
    assert result["s"][1] == {
        "n": 3, "f": 1.5, "flag": True, "nothing": None, "list": [1, 2], "map": {"k": "v"}, "second": 2, "dotted": 2, "inner": "v",
        "text": "n is 3, flag true, nothing null", "literal": "${params.n}",
    }  # fmt: skip


def test_calculations_stand_wherever_references_do(run):
    result = run("""
        params: {n: 3, mode: full, names: [a.txt, d/b.tar.gz]}
        env: {LEVEL: "${params.n + 1}"}
        stages:
          s:
            call: work:take
            over: "${params.names | sort(reverse=true)}"
            retry: "${params.n - 3}"
            chunk: ${params.n // 2}
            with:
              out: out/${item | stem}-${index + 1}${item | suffix}
              in: ${item | parent}
              base: ${item | name}
              full: "${params.mode == 'full'}"
              level: ${env.LEVEL | int * 2}
    """)
    assert [(given[0], named) for given, named in result["s"]] == [
        ("d/b.tar.gz", {"out": "out/b.tar-1.gz", "in": "d", "base": "b.tar.gz", "full": True, "level": 8}),
        ("a.txt", {"out": "out/a-2.txt", "in": ".", "base": "a.txt", "full": True, "level": 8}),
    ]


def test_results_of_stages_are_calculated_with_when_they_are_there(run):
    result = run("""
        stages:
          a: {call: "builtins:abs", over: [-3, 1, -2]}
          sorted: {call: "builtins:str", over: "${stages.a | sort}"}
          total: {call: work:take, with: {sum: "${stages.a | sum}", first: "${stages.a[0]}", last: "${stages.a[-1] * 10}"}}
          each: {call: work:take, over: [1, 2], with: {share: "${item / (stages.a | length)}", run: "${run.id | length}"}}
    """)
    assert result["sorted"] == ["1", "2", "3"]
    assert result["total"][1] == {"sum": 6, "first": 3, "last": 20}
    assert [named for _, named in result["each"]] == [{"share": 1 / 3, "run": 22}, {"share": 2 / 3, "run": 22}]


def test_the_folder_of_the_run_is_there_when_it_is_asked_for(run):
    result = run("stages: {s: {call: 'os.path:isdir', with: ['${run.dir}']}}")
    assert result["s"] is True


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("${params.nn}", 'no parameter "nn"'),
        ("${params.nn + 1}", 'no parameter "nn"'),
        ("${param.n}", 'unknown name "param"; did you mean "params"?'),
        ("${stages.b}", 'there is no stage "b"'),
        ("${env.NOT_THERE_AT_ALL}", "NOT_THERE_AT_ALL"),
        ("${params.n | stm}", 'unknown filter "stm"; did you mean "stem"?'),
        ("${params.n.x.y}", "leads nowhere"),
        ("${params.n + 'a'}", "has no value"),
        ("${item}", "item"),
        ("${1 +}", "cannot be read"),
        ("${", 'without its "}"'),
    ],
)
def test_what_is_not_there_is_told_at_its_column(value, said):
    text = f'params: {{n: 1}}\nstages:\n  a:\n    call: m:f\n    with: {{x: "{value}"}}\n'
    (problem,) = check(text)
    assert said in str(problem)
    assert problem.mark.line == 5
    assert problem.mark.column >= 15


def test_a_calculation_that_fails_in_a_call_fails_that_call_alone(run):
    result = run("""
        stages:
          s: {call: work:take, over: [{n: 1}, {}, {n: 3}], with: {n: "${item.n * 2}"}, args: map, on_error: skip}
    """)
    assert [named["n"] for _, named in result["s"]] == [2, 6]
    (failure,) = result.failures
    assert failure.index == 1
    assert failure.failure.type == "NoValue"
    assert 'there is no "n"' in failure.failure.message


@pytest.mark.parametrize(
    ("written", "unset", "value"),
    [
        ("${env.PERHAPS | default('d')}", "d", "v"),
        ("${env['PERHAPS'] | d('d') | upper}", "D", "V"),
        ("${env.PERHAPS is defined}", False, True),
        ("${env.PERHAPS is not defined}", True, False),
        ("${env.PERHAPS is undefined}", True, False),
        ("${'yes' if env.PERHAPS is defined else 'no'}", "no", "yes"),
        ("at ${env.PERHAPS | default('d')}!", "at d!", "at v!"),
        ("${env.PERHAPS | default(env.NOR_THIS | default('e'))}", "e", "v"),
        ("${params.nope | default(3)}", 3, 3),
        ("${params.m.nope | default(params.n)}", 1, 1),
    ],
)
def test_a_variable_or_a_parameter_may_be_missing_under_default_and_is_defined(run, monkeypatch, written, unset, value):
    text = f"""
        params: {{n: 1, m: {{}}}}
        stages: {{s: {{call: work:take, with: {{x: "{written}"}}}}}}
    """
    monkeypatch.delenv("PERHAPS", raising=False)
    assert run(text)["s"][1] == {"x": unset}
    monkeypatch.setenv("PERHAPS", "v")
    assert run(text)["s"][1] == {"x": value}


def test_what_may_be_missing_may_be_in_if_in_env_in_params_and_in_commands(run, monkeypatch):
    monkeypatch.delenv("PERHAPS", raising=False)
    text = """
        params: {from: "${env.PERHAPS | default('p')}"}
        env: {TOP: "${env.PERHAPS | default('t')}"}
        stages:
          no: {call: work:take, if: "${env.PERHAPS | default(false)}"}
          bare: {call: work:take, if: env.PERHAPS is defined}
          say:
            run: echo ${params.from} ${env.TOP} ${env.OWN} $OWN ${env.PERHAPS | default('r')}
            env: {OWN: "${env.PERHAPS | default('o')}"}
    """
    result = run(text)
    assert [str(result.state.stages[name].status) for name in ("no", "bare")] == ["skipped"] * 2
    assert result["say"] == "p t o o r"
    monkeypatch.setenv("PERHAPS", "yes")
    assert run(text)["say"] == "yes yes yes yes yes"


@pytest.mark.parametrize(
    "written",
    [
        "env.PERHAPS",
        "env.PERHAPS | upper | default('d')",
        "env.PERHAPS ~ 'x' is defined",
        "env.PERHAPS or 'd'",
        "env.PERHAPS | default('d') ~ env.PERHAPS",
        "'d' | default(env.PERHAPS)",
        "params.n + env.PERHAPS | length",
        "env.PERHAPS.deeper is defined",
    ],
)
def test_elsewhere_a_variable_that_is_not_there_is_told_with_what_to_write(monkeypatch, written):
    monkeypatch.delenv("PERHAPS", raising=False)
    (problem,) = check(f"params: {{n: 1}}\nstages: {{s: {{call: 'm:f', with: {{x: \"${{{written}}}\"}}}}}}")
    assert "there is no environment variable" in problem.sentence()
    assert "where it may be missing, write  ${env.PERHAPS | default('…')}" in problem.advice()


def test_what_a_value_does_not_have_is_told_in_english(run):
    result = run("""
        stages:
          a: {call: "builtins:len", with: [[1, 2]]}
          b: {call: work:take, with: {x: "${stages.a.foo}"}}
    """)
    assert 'an int has no "foo"' in str(result.failures[0])


def test_a_stages_variable_may_add_to_the_one_outside(run, monkeypatch):
    monkeypatch.setenv("PERHAPS", "a")
    result = run("""
        stages: {s: {run: "echo $PERHAPS ${env.PERHAPS}", env: {PERHAPS: "${env.PERHAPS}:b"}}}
    """)
    assert result["s"] == "a:b a:b"
