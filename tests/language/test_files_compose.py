"""`pipeline: other.yaml` as a stage: that file's stages take its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.cli.checking import findings
from pipeline_runner.errors import Problems, UsageError
from pipeline_runner.plan.make import make_plan
from pipeline_runner.spec.build import load

pytestmark = pytest.mark.timeout(60)

DEEDS = """
import os
def same(item): return item
def double(item): return item * 2
def total(values): return sum(values)
def join(**given): return dict(sorted(given.items()))
def where(**_): return os.path.basename(os.getcwd())
def boom(item): raise ValueError(f"no {item}")
def env(name): return os.environ.get(name)
"""


@pytest.fixture
def project(tmp_path):
    def write(main, **files):
        for name, text in {"main": main, **files}.items():
            path = tmp_path / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(textwrap.dedent(text))
        for folder in {tmp_path, *(path.parent for path in tmp_path.rglob("*.yaml"))}:
            (folder / "deeds.py").write_text(DEEDS)
        return tmp_path / "main.yaml"

    return write


@pytest.fixture
def run(project):
    def run(main, state=False, profile=None, **files):
        return Pipeline.load(project(main, **files), profile=profile).run(workers=2, state=state)

    return run


def problems(path, **how):
    with pytest.raises(Problems) as found:
        make_plan(load(path, **how))
    return found.value.problems


SUMS = """
    params: {items: [1, 2], factor: 1}
    stages:
      double: {call: "deeds:double", over: "${params.items}"}
      total: {call: "deeds:total", with: {values: "${stages.double}"}}
"""


def test_the_stages_of_the_other_file_take_the_place_of_the_stage(project):
    main = project(
        "stages: {a: {call: 'deeds:same', over: [1]}, sums: {pipeline: sums.yaml}, z: {call: 'deeds:same', over: [1]}}",
        sums=SUMS,
    )
    assert list(load(main).stages) == ["a", "sums.double", "sums.total", "z"]


def test_its_value_is_that_of_its_last_stage(run):
    result = run(
        "stages: {sums: {pipeline: sums.yaml}, next: {call: 'deeds:join', with: {x: '${stages.sums}'}}}", sums=SUMS
    )
    assert result["next"] == {"x": 6}
    assert result["sums"] == 6


TWO_ENDS = """
    stages:
      one: {call: "deeds:same", over: [1, 2]}
      two: {call: "deeds:double", over: [1, 2]}
"""


def test_several_last_stages_are_a_mapping_of_their_values(run):
    result = run(
        """
        stages:
          both: {pipeline: both.yaml}
          whole: {call: "deeds:join", with: {x: "${stages.both}"}}
          one: {call: "deeds:join", with: {x: "${stages.both.one}"}}
          text: {call: "deeds:join", with: {x: "all: ${stages.both}"}}
          size: {call: "deeds:join", with: {x: "${stages.both.two | length}"}}
          each: {call: "deeds:same", over: "${stages.both.two}"}
          pairs: {call: "deeds:same", over: "${stages.both}"}
        """,
        both=TWO_ENDS,
    )
    both = {"one": [1, 2], "two": [2, 4]}
    assert result["both"] == both
    assert result["whole"] == {"x": both}
    assert result["one"] == {"x": [1, 2]}
    assert result["text"] == {"x": f"all: {both}"}
    assert result["size"] == {"x": 2}
    assert result["each"] == [2, 4]
    assert result["pairs"] == [["one", [1, 2]], ["two", [2, 4]]]


@pytest.mark.parametrize("reader", ["if: '${stages.sub.one == 1}'", "with: {x: '${stages.sub.one + 4}'}"])
def test_a_calculation_with_one_last_stage_waits_for_no_other(run, reader):
    result = run(
        f"""
        stages:
          sub: {{pipeline: sub.yaml, params: {{late: "${{stages.z}}"}}}}
          z: {{call: "deeds:join", {reader}}}
        """,
        sub="""
        params: {late: 0}
        stages:
          one: {call: "deeds:total", with: {values: [1]}}
          two: {call: "deeds:join", with: {late: "${params.late}"}}
        """,
    )
    assert statuses(result) == {"sub.one": "done", "sub.two": "done", "z": "done"}


@pytest.mark.parametrize(
    ("read", "value"),
    [
        ("${stages.sums.total}", 6),
        ("${stages.sums.double}", [2, 4]),
        ("${stages.sums.double[1]}", 4),
        ("${stages.sums['total']}", 6),
        ("${stages.sums.total + 1}", 7),
        ("${stages.sums.total + stages.sums.double[0]}", 8),
        ("${stages.sums + 1}", 7),
        ("${stages.sums.real}", 6),
        ("${stages.both.in}", 6),
        ("${stages.both.in.total}", 6),
        ("${stages.both.in.double | length}", 2),
        ("${stages.both.in.total + stages.both.own | length}", 7),
        ("${stages.both.first}", 1),
        ("${stages.both}", {"in": 6, "own": [1]}),
        ("${stages.both.own[0] + stages.both | length}", 3),
        ("${stages.mapped.a}", 5),
        ("${stages.mapped.end.a}", 5),
        ("${stages.mapped.end}", {"a": 5}),
    ],
)
def test_each_stage_of_the_other_file_is_named_as_the_plan_names_it(run, read, value):
    """What is no stage of it is a part of its value."""
    result = run(
        f"""
        stages:
          sums: {{pipeline: sums.yaml}}
          both: {{pipeline: both.yaml}}
          mapped: {{pipeline: mapped.yaml}}
          z: {{call: "deeds:join", with: {{x: "{read}"}}}}
        """,
        sums=SUMS,
        both="""
        stages:
          first: {call: "deeds:total", with: {values: [1]}}
          in: {pipeline: sums.yaml}
          own: {call: "deeds:same", over: ["${params.one}"], needs: first}
        params: {one: 1}
        """,
        mapped="stages: {end: {call: 'deeds:join', with: {a: 5}}}",
    )
    assert result["z"] == {"x": value}


def test_a_stage_within_is_waited_for_and_streamed_from_by_its_own_name(project):
    stages = load(
        project(
            "stages: {sums: {pipeline: sums.yaml}, z: {call: 'deeds:same', over: '${stages.sums.double}'}}", sums=SUMS
        )
    ).stages
    assert str(stages["z"].over.reference) == "${stages.sums.double}"
    assert stages["z"].over.stage == "sums.double"


def test_a_calculation_with_the_value_and_with_a_stage_that_is_no_part_of_it_is_told(project):
    main = project(
        "stages: {sums: {pipeline: sums.yaml}, z: {call: 'deeds:join', with: {x: '${stages.sums + stages.sums.double[0]}'}}}",
        sums=SUMS,
    )
    (problem,) = problems(main)
    assert 'reads the value of "sums" and, of the stages in it, "double"' in problem.sentence()


@pytest.mark.parametrize("name", ["a.b", "sums.x", "sums...", ".", "x${stages.y}"])
def test_a_name_with_a_dot_is_told_beside_it_as_anywhere(project, name):
    main = project(
        f"stages: {{{json.dumps(name)}: {{call: 'deeds:same', with: [1]}}, sums: {{pipeline: sums.yaml}}}}", sums=SUMS
    )
    assert any("cannot be called" in problem.sentence() for problem in problems(main))


def test_a_path_to_none_of_the_last_stages_is_told(project):
    main = project(
        "stages: {both: {pipeline: both.yaml}, z: {call: 'deeds:join', with: {x: '${stages.both.three}'}}}",
        both=TWO_ENDS,
    )
    (problem,) = problems(main)
    assert 'no "three"; there is one, two' in problem.sentence()


def test_a_path_to_almost_one_of_them_is_told_with_its_name(project):
    main = project(
        "stages: {both: {pipeline: both.yaml}, z: {call: 'deeds:join', with: {x: '${stages.both.tow}'}}}",
        both=TWO_ENDS,
    )
    (problem,) = problems(main)
    assert 'no "tow"; did you mean "two"?' in problem.sentence()


def test_parameters_are_given_and_have_the_types_of_their_defaults(run, project):
    result = run(
        "params: {n: 3}\nstages: {sums: {pipeline: sums.yaml, params: {items: ['${params.n}', 4]}}}", sums=SUMS
    )
    assert result["sums"] == 14
    (problem,) = problems(project("stages: {sums: {pipeline: sums.yaml, params: {factor: many}}}", sums=SUMS))
    assert (problem.code, problem.mark.file.rpartition("/")[2]) == ("bad-parameter", "main.yaml")


def test_an_unknown_parameter_is_told_where_it_is_given(project):
    (problem,) = problems(project("stages:\n  sums:\n    pipeline: sums.yaml\n    params: {itemz: [1]}", sums=SUMS))
    assert problem.sentence() == 'there is no parameter "itemz"; did you mean "items"?'
    assert str(problem.mark).endswith("main.yaml:4:14")


def test_a_parameter_may_be_the_result_of_a_stage(run):
    """Also where the inner file has a stage of the same name."""
    result = run(
        """
        stages:
          double: {call: "deeds:same", over: [5, 6]}
          sums: {pipeline: sums.yaml, params: {items: "${stages.double}"}}
        """,
        sums=SUMS,
    )
    assert result["sums.double"] == [10, 12]
    assert result["sums"] == 22


def test_a_parameter_may_be_worked_out_from_results_and_go_through_several_files(run):
    result = run(
        """
        stages:
          list: {call: "deeds:same", over: [5, 6]}
          outer: {pipeline: middle.yaml, params: {n: "${stages.list | length}", items: {a: "${stages.list[1]}"}}}
        """,
        middle="""
        params: {n: 0, items: {}}
        stages:
          list: {call: "deeds:same", over: [1]}
          inner: {pipeline: inner.yaml, params: {n: "${params.n}", all: "${params.items}", own: "${stages.list}"}}
        """,
        inner="""
        params: {n: 0, all: {}, own: []}
        stages:
          list: {call: "deeds:same", over: [0]}
          end: {call: "deeds:join", with: {n: "${params.n}", text: "n=${params.n}", all: "${params.all}",
                a: "${params.all.a}", own: "${params.own}", list: "${stages.list}"}}
        """,
    )
    assert result["outer"] == {"n": 2, "text": "n=2", "all": {"a": 6}, "a": 6, "own": [1], "list": [0]}


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        (
            "a: {call: 'deeds:same', over: [1], timeout: '${params.x}'}",
            'cannot stand in "timeout": it is ${stages.list} of the file around',
        ),
        ("a: {call: 'deeds:join', with: {x: '${params.x * 2}'}}", "nothing can be calculated with it"),
    ],
)
def test_a_result_that_a_parameter_stands_for_is_refused_where_it_is_needed_before_the_run(project, inner, said):
    main = project(
        "stages: {list: {call: 'deeds:same', over: [1]}, in: {pipeline: in.yaml, params: {x: '${stages.list}'}}}",
        **{"in": f"params: {{x: 1}}\nstages: {{{inner}}}"},
    )
    assert any(said in problem.sentence() for problem in problems(main))


def test_what_the_stage_needs_its_first_stages_wait_for(project):
    main = project(
        "stages: {first: {call: 'deeds:same', over: [1]}, sums: {pipeline: sums.yaml, needs: [first]}}", sums=SUMS
    )
    stages = load(main).stages
    assert stages["sums.double"].needs == ("first",)
    assert stages["sums.total"].needs == ()


def test_who_needs_the_stage_waits_for_its_last_stages(project):
    main = project(
        "stages: {both: {pipeline: both.yaml}, z: {call: 'deeds:same', over: [1], needs: [both]}}", both=TWO_ENDS
    )
    assert load(main).stages["z"].needs == ("both.one", "both.two")


DEEP = """
    stages:
      deep: {pipeline: both.yaml}
      after: {call: "deeds:same", over: [1], needs: [deep.one]}
"""


def test_a_stage_within_is_needed_by_its_own_name(project):
    main = project(
        "stages: {mid: {pipeline: mid.yaml}, y: {call: 'deeds:same', over: [1], needs: mid.deep.two},"
        " z: {call: 'deeds:same', over: [1], needs: [mid.deep]}, sums: {pipeline: sums.yaml, needs: [mid.deep.one]}}",
        mid=DEEP,
        both=TWO_ENDS,
        sums=SUMS,
    )
    stages = load(main).stages
    assert stages["mid.after"].needs == ("mid.deep.one",)
    assert stages["y"].needs == ("mid.deep.two",)
    assert stages["z"].needs == ("mid.deep.one", "mid.deep.two")
    assert stages["sums.double"].needs == ("mid.deep.one",)
    assert list(make_plan(load(main)).stages)


def test_who_needs_the_stage_waits_for_all_of_it_also_where_only_some_of_a_file_within_is_waited_for_there(project):
    main = project(
        "stages: {mid: {pipeline: mid.yaml}, z: {call: 'deeds:same', over: [1], needs: [mid]}}",
        mid=DEEP,
        both=TWO_ENDS,
    )
    assert load(main).stages["z"].needs == ("mid.deep.two", "mid.after")


@pytest.mark.parametrize(
    ("needs", "near"), [("both.tow", "both.two"), ("bth.one", "both.one"), ("mid.deep.on", "mid.deep.one")]
)
def test_a_misspelt_name_of_a_stage_within_is_told_at_its_place(project, needs, near):
    main = project(
        f"""
        stages:
          both: {{pipeline: both.yaml}}
          mid: {{pipeline: mid.yaml}}
          z: {{call: 'deeds:same', over: [1], needs: [both, {needs}]}}
        """,
        mid=DEEP,
        both=TWO_ENDS,
    )
    (problem,) = problems(main)
    assert f'there is no stage "{needs}"; did you mean "{near}"?' in problem.sentence()
    assert f"{' ' * 51}{'^' * len(needs)}" in str(problem)


def test_what_is_wrong_with_the_file_of_a_stage_is_not_told_again_by_who_needs_a_stage_within(project):
    wrong = "stages: {one: {call: 'deeds:same', timout: 3}}"
    main = project(
        "stages: {gone: {pipeline: gone.yaml}, wrong: {pipeline: wrong.yaml},"
        " y: {call: 'deeds:join', with: {x: '${stages.wrong.one}'}},"
        " z: {call: 'deeds:join', needs: [gone.a, wrong.one, wrong]}}",
        wrong=wrong,
    )
    told = [problem.sentence() for problem in problems(main)]
    assert len(told) == 2
    assert "cannot read" in told[0]
    assert "timout" in told[1]


def test_what_is_wrong_with_a_file_that_two_stages_are_is_told_once(project):
    wrong = """
        stages:
          a: {call: "deeds:nosuch", over: [1]}
          b: {call: "deeds:same", over: {lines: none.txt}}
          c: {call: "deeds:same", over: [1], deps: none.txt}
          d: {call: "deeds:same", over: [1], dispatch: blocking, method: multiprocessing.Pool.imap}
          e: {call: "deeds:same", over: [1], needs: [f]}
          f: {call: "deeds:same", over: [1], needs: [e]}
        on_success: {call: "deeds:same", with: [1]}
    """
    main = project("stages: {x: {pipeline: wrong.yaml}, y: {pipeline: wrong.yaml}}", wrong=wrong)
    found = findings(str(main))
    assert [problem.mark.line for problem in found.problems] == [3, 4, 5, 6, 7]
    project(
        "stages: {x: {pipeline: fine.yaml}, y: {pipeline: fine.yaml}}", fine=SUMS + "    on_success: {run: 'true'}\n"
    )
    assert len(findings(str(main)).warnings) == 1


def test_what_is_wrong_with_a_default_is_told_once(project):
    main = project(
        """
        defaults: {deps: none.txt}
        stages: {a: {call: 'deeds:same', over: [1]}, b: {call: 'deeds:same', over: [1]}}
        """
    )
    assert len(findings(str(main)).problems) == 1


def test_a_circle_is_shown_where_the_name_stands_in_needs(project):
    main = project(
        "stages: {both: {pipeline: both.yaml, needs: [z]}, z: {call: 'deeds:join', needs: [both.two]}}", both=TWO_ENDS
    )
    told = [str(problem) for problem in problems(main)]
    assert len(told) == 1
    assert "needs: [z]" in told[0]


def test_keys_of_the_stage_hold_beneath_what_the_inner_file_says(project):
    main = project(
        "stages: {in: {pipeline: in.yaml, retry: 2, on_error: skip, env: {A: outer, B: outer}}}",
        **{
            "in": "defaults: {on_error: finish}\nenv: {A: inner}\nstages: {a: {call: 'deeds:same', over: [1]}, b: {call: 'deeds:same', over: [1], retry: 5}}"
        },
    )
    a, b = (load(main).stages[name] for name in ("in.a", "in.b"))
    assert (a.retry.limit, b.retry.limit) == (2, 5)
    assert (str(a.on_error), a.timeout_s) == ("finish", None)
    assert a.env == {"A": "inner", "B": "outer"}


def test_defaults_hold_for_a_stage_that_is_a_pipeline_too(project):
    main = project(
        """
        defaults: {retry: 9, timeout: 9, on_error: skip, args: map, with: {x: 1}, env: {A: outer, B: outer, C: outer}}
        stages: {in: {pipeline: in.yaml, timeout: 8, env: {C: stage}}}
        """,
        **{
            "in": "defaults: {on_error: finish, env: {A: inner}}\nstages: {a: {call: 'deeds:same', over: [1]}, b: {pipeline: b.yaml}}",
            "b": "stages: {c: {call: 'deeds:same', over: [1], retry: 5}}",
        },
    )
    a, c = (load(main).stages[name] for name in ("in.a", "in.b.c"))
    assert [stage.retry.limit for stage in (a, c)] == [9, 5]
    assert [str(stage.on_error) for stage in (a, c)] == ["finish", "finish"]
    assert [stage.timeout_s for stage in (a, c)] == [8, 8]
    assert [stage.env for stage in (a, c)] == [{"A": "inner", "B": "outer", "C": "stage"}] * 2
    assert (a.style, a.constants) == (None, {})  # what its stages say themselves, they say in their file


def test_the_defaults_of_a_profile_hold_for_files_that_do_not_have_it(project):
    main = project(
        "profiles: {quick: {defaults: {timeout: 5}}}\nstages: {in: {pipeline: in.yaml}}",
        **{"in": "stages: {a: {call: 'deeds:same', over: [1]}}"},
    )
    assert load(main, profile="quick").stages["in.a"].timeout_s == 5
    assert load(main).stages["in.a"].timeout_s is None


@pytest.mark.parametrize(
    "key", ["call: 'm:f'", "run: 'x'", "over: [1]", "with: {x: 1}", "args: map", "returns: list", "chunk: 1"]
)
def test_what_the_inner_stages_say_themselves_cannot_stand_beside_pipeline(project, key):
    main = project(f"stages: {{sums: {{pipeline: sums.yaml, {key}}}}}", sums=SUMS)
    assert "beside-pipeline" in {problem.code for problem in problems(main)}


@pytest.mark.parametrize("key", ["params: {x: 1}", "allow_outside: true"])
def test_keys_of_a_pipeline_in_a_stage_mean_nothing_without_it(project, key):
    (problem,) = problems(project(f"stages: {{a: {{call: 'deeds:join', {key}}}}}"))
    assert problem.code == "unknown-key"


def test_circles_are_told_with_their_files(project):
    main = project("stages: {a: {pipeline: b.yaml}}", b="stages: {b: {pipeline: main.yaml}}")
    (problem,) = problems(main)
    assert [name.rpartition("/")[2] for name in problem.files] == ["main.yaml", "b.yaml", "main.yaml"]


@pytest.mark.parametrize(
    ("path", "said"), [("../up.yaml", "leads out of the project"), ("gone.yaml", "there is no such file")]
)
def test_a_file_that_cannot_be_had_is_told_at_the_key(project, path, said):
    problem = next(iter(problems(project(f"stages:\n  a:\n    pipeline: {path}"))))
    assert said in problem.sentence()
    assert str(problem.mark).endswith("main.yaml:3:15")


def test_problems_of_the_inner_file_are_told_in_it_and_once(project):
    main = project(
        "stages: {a: {pipeline: in.yaml}, b: {pipeline: in.yaml}}",
        **{"in": "stages:\n  x:\n    call: 'm:f'\n    timeout: never"},
    )
    (problem,) = problems(main)
    assert str(problem.mark).rpartition("/")[2] == "in.yaml:4:14"


def test_functions_and_paths_are_found_from_the_inner_files_folder(run, project):
    main = project(
        "stages: {in: {pipeline: lib/in.yaml}, own: {call: 'deeds.py:where'}}",
        lib__in="""
        stages:
          files: {call: "own.py:mark", over: {glob: "*.txt"}}
          where: {call: "deeds.py:where", with: {x: "${stages.files}"}}
        """,
    )
    (main.parent / "lib" / "own.py").write_text("def mark(x): return x + '!'")
    (main.parent / "lib" / "a.txt").write_text("")
    (main.parent / "b.txt").write_text("")
    result = Pipeline.load(main).run(workers=2, state=False)
    assert result["in.files"] == ["a.txt!"]
    assert result["in"] == "lib"
    assert result["own"] == main.parent.name


def test_modules_of_one_name_in_two_folders_are_two_modules(project):
    main = project(
        "stages: {in: {pipeline: lib/in.yaml}, own: {call: 'tool:who', over: [1, 2]}}",
        lib__in="stages: {a: {call: 'tool:who', over: [1, 2]}}",
    )
    for folder in (main.parent, main.parent / "lib"):
        (folder / "tool.py").write_text(f"def who(x): return {folder.name!r}")
    for workers in (1, 2):
        result = Pipeline.load(main).run(workers=workers, state=False)
        assert result["in"] == ["lib"] * 2
        assert result["own"] == [main.parent.name] * 2


def test_they_are_two_modules_where_the_path_of_python_has_one_of_the_folders_already(project):
    main = project(
        "stages: {in: {pipeline: lib/in.yaml}, own: {call: 'tool:who', over: [1]}}",
        lib__in="stages: {a: {call: 'tool:who', over: [1]}}",
    )
    for folder in (main.parent, main.parent / "lib"):
        (folder / "tool.py").write_text(f"def who(x): return {folder.name!r}")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline_runner", "main.yaml", "--json", "--show", "all"],
        cwd=main.parent,
        env={**os.environ, "PYTHONPATH": f"{main.parent}{os.pathsep}{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    told = {name: stage["value"] for name, stage in json.loads(done.stdout)["stages"].items()}
    assert told == {"in.a": ["lib"], "own": [main.parent.name]}


def test_the_inner_environment_is_that_of_its_own_stages(run):
    result = run(
        "env: {A: outer, B: outer}\nstages: {in: {pipeline: in.yaml}, own: {call: 'deeds:env', with: {name: A}}}",
        **{
            "in": "env: {A: inner}\nstages: {a: {call: 'deeds:env', with: {name: A}}, b: {call: 'deeds:join', with: {x: '${env.A} ${env.B}'}}}"
        },
    )
    assert result["in"] == {"a": "inner", "b": {"x": "inner outer"}}
    assert result["own"] == "outer"


def test_a_profile_holds_for_the_inner_file_too_where_it_has_it(project):
    main = project(
        "profiles: {big: {params: {x: 2}}}\nparams: {x: 1}\nstages: {a: {pipeline: a.yaml}, b: {pipeline: b.yaml}}",
        a="profiles: {big: {defaults: {retry: 3}}}\nstages: {s: {call: 'deeds:same', over: [1]}}",
        b="stages: {s: {call: 'deeds:same', over: [1]}}",
    )
    spec = load(main, profile="big")
    assert [spec.stages[name].retry.limit for name in ("a.s", "b.s")] == [3, 0]


def test_workers_of_the_inner_file_bound_each_of_its_stages(project):
    main = project(
        "stages: {in: {pipeline: in.yaml}}",
        **{
            "in": "workers: 3\nstages: {a: {call: 'deeds:same', over: [1]}, b: {call: 'deeds:same', over: [1], workers: 2}}"
        },
    )
    assert [stage.workers for stage in load(main).stages.values()] == [3, 2]


def test_selection_takes_the_stage_or_one_within_it(project):
    main = project(
        "stages: {sums: {pipeline: sums.yaml}, other: {call: 'deeds:same', over: [1]}, z: {call: 'deeds:join', with: {x: '${stages.sums}'}}}",
        sums=SUMS,
    )
    pipeline = Pipeline.load(main)
    assert list(pipeline.only("sums").spec.stages) == ["sums.double", "sums.total"]
    assert list(pipeline.only("sums.double").spec.stages) == ["sums.double"]
    with pytest.raises(UsageError, match=r'did you mean "sums\.total"'):
        pipeline.only("sums.totl")


def test_an_inner_pipeline_may_hold_pipelines(run):
    result = run(
        "stages: {outer: {pipeline: middle.yaml}, z: {call: 'deeds:join', with: {x: '${stages.outer}'}}}",
        middle="stages: {sums: {pipeline: sums.yaml}, both: {pipeline: both.yaml, needs: sums}, more: {call: 'deeds:same', over: [1, 2]}}",
        sums=SUMS,
        both=TWO_ENDS,
    )
    assert list(result) == [
        "outer.sums.double",
        "outer.sums.total",
        "outer.both.one",
        "outer.both.two",
        "outer.more",
        "z",
    ]
    assert result["z"] == {"x": {"both": {"one": [1, 2], "two": [2, 4]}, "more": [1, 2]}}


def test_a_call_within_is_named_in_failures_and_replayed_by_its_full_name(project):
    main = project("stages: {in: {pipeline: in.yaml}}", **{"in": "stages: {a: {call: 'deeds:boom', over: [1, 2]}}"})
    pipeline = Pipeline.load(main)
    result = pipeline.run(workers=1)
    assert {(failed.stage, failed.index) for failed in result.failures} <= {("in.a", 0), ("in.a", 1)}
    with pytest.raises(ValueError, match="no 2"):
        pipeline.replay(result.id, "in.a", 1)


def test_resuming_after_the_stage_was_renamed_keeps_what_was_done(project):
    text = "stages: {%s: {pipeline: sums.yaml}}"
    pipeline = Pipeline.load(project(text % "sums", sums=SUMS))
    done = pipeline.run(workers=1)
    again = Pipeline.load(project(text % "renamed", sums=SUMS)).run(workers=1, resume=done.id)
    assert again["renamed"] == 6
    assert all(stage.reused for stage in again.state.stages.values())


def test_plan_and_pictures_show_the_stages_within(project):
    plan = make_plan(
        load(
            project(
                "stages: {sums: {pipeline: sums.yaml}, z: {call: 'deeds:join', with: {x: '${stages.sums}'}}}", sums=SUMS
            )
        ),
        workers=2,
    )
    lines = plan.explain().splitlines()
    assert lines[2].startswith("sums: 2 stages of ")
    assert "  sums.double" in lines
    assert plan.to_json()["pipelines"]["sums"]["stages"] == ["sums.double", "sums.total"]
    from pipeline_runner.plan.draw import draw

    assert 'subgraph p1["sums"]' in draw(plan, "mermaid")
    assert 'subgraph cluster_p1 { label="sums"' in draw(plan, "dot")
    assert "<title>sums</title>" in draw(plan, "svg")
    assert "sums.…  of" in draw(plan, "text")


def test_the_json_of_a_run_names_the_stages_within(run):
    told = run("stages: {sums: {pipeline: sums.yaml}}", sums=SUMS).to_json()
    assert json.loads(json.dumps(told))["stages"]["sums.total"]["value"] == 6


# Conditions.

AFTER_ALL = """
    params: {go: true}
    stages:
      work: {call: "deeds:same", over: [1]}
      last: {call: "deeds:same", over: [2], needs: work, if: always}
"""


@pytest.mark.parametrize("condition", ["false", "${params.on}", "${stages.size[0] > 5}"])
def test_a_false_condition_skips_all_within_also_what_always_runs(run, condition):
    result = run(
        f"""
        params: {{on: false}}
        stages:
          size: {{call: "deeds:same", over: [1]}}
          in: {{pipeline: in.yaml, if: "{condition}", needs: size}}
          z: {{call: "deeds:same", over: [1], needs: in}}
        """,
        **{"in": AFTER_ALL},
    )
    assert statuses(result) == {"size": "done", "in.work": "skipped", "in.last": "skipped", "z": "skipped"}


def statuses(result):
    return {name: str(stage.status) for name, stage in result.state.stages.items()}


@pytest.mark.parametrize("condition", ["true", "${stages.size[0] == 1}"])
def test_a_true_condition_lets_all_within_run_as_they_say_themselves(run, condition):
    result = run(
        f"stages: {{size: {{call: 'deeds:same', over: [1]}}, in: {{pipeline: in.yaml, if: '{condition}'}}}}",
        **{"in": AFTER_ALL.replace('deeds:same", over: [1]', 'deeds:boom", over: [1], on_error: finish')},
    )
    assert statuses(result) == {"size": "done", "in.work": "failed", "in.last": "done"}


def test_a_stage_that_always_runs_has_its_first_stages_run_however_its_sources_ended(run):
    result = run(
        "stages: {bad: {call: 'deeds:boom', over: [1]}, in: {pipeline: in.yaml, needs: bad, if: always}}",
        **{"in": AFTER_ALL},
    )
    assert statuses(result) == {"bad": "failed", "in.work": "done", "in.last": "done"}


def test_both_conditions_known_only_during_the_run_are_told(project):
    main = project(
        "stages: {s: {call: 'deeds:same', over: [1]}, in: {pipeline: in.yaml, if: '${stages.s}', params: {go: '${stages.s}'}}}",
        **{"in": "params: {go: true}\nstages: {a: {call: 'deeds:same', over: [1], if: '${params.go}'}}"},
    )
    (problem,) = problems(main)
    assert "both only known during the run" in problem.sentence()


def test_a_result_given_as_a_parameter_may_be_in_a_condition_and_in_a_command(run):
    result = run(
        "stages: {s: {call: 'deeds:total', with: {values: [1, 2]}}, in: {pipeline: in.yaml, params: {n: '${stages.s}'}}}",
        **{"in": "params: {n: 0}\nstages: {a: {run: 'echo n is ${params.n}', if: '${params.n}'}}"},
    )
    assert result["in"] == "n is 3"


def test_hooks_of_the_inner_file_are_left_out_and_that_is_said(project):
    main = project(
        "stages: {in: {pipeline: in.yaml}}",
        **{"in": "on_success: {call: 'deeds:join'}\nstages: {a: {call: 'deeds:same', over: [1]}}"},
    )
    spec = load(main)
    assert spec.hooks == {}
    assert '"on_success" is left out' in spec.warnings[0]


def test_hooks_of_an_included_file_count(run):
    result = run(
        "include: common.yaml\nstages: {a: {call: 'deeds:same', over: [1]}}",
        common="on_success: {call: 'deeds:join', with: {status: '${run.status}'}}",
    )
    assert str(result.status) == "done"
    assert any("on_success" in name for name in result.state.stages)


def test_a_workdir_within_is_found_from_the_inner_files_folder(run, project):
    main = project(
        "stages: {in: {pipeline: lib/in.yaml}}", lib__in="stages: {a: {call: 'deeds.py:where', workdir: sub}}"
    )
    (main.parent / "lib" / "sub").mkdir()
    assert Pipeline.load(main).run(workers=2, state=False)["in"] == "sub"


def test_calls_of_another_folder_cannot_be_in_the_runners_own_process(project):
    main = project(
        "stages: {in: {pipeline: lib/in.yaml}}",
        lib__in="stages: {a: {call: 'deeds.py:where', backend: serial}}",
    )
    (problem,) = problems(main)
    assert problem.code == "in-process-misfits"


def test_the_command_line_takes_the_names_of_both(project):
    main = project("stages: {sums: {pipeline: sums.yaml}, other: {call: 'deeds:boom', over: [1]}}", sums=SUMS)

    def prun(*words):
        done = subprocess.run(
            [sys.executable, "-m", "pipeline_runner", *words],
            cwd=main.parent,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = json.loads(prun("main.yaml", "sums", "--json", "--show", "sums"))
    assert {name: stage["value"] for name, stage in told["stages"].items()} == {"sums.double": [2, 4], "sums.total": 6}
    assert list(json.loads(prun("main.yaml", "--until", "sums.double", "--json"))["stages"]) == ["sums.double"]
    assert prun("replay", "last", "sums.double[1]") == "sums.double[1]: 4\n"
    nested = {"inner": "stages: {say: {run: 'echo said >&2'}, hush: {run: 'true'}}"}
    project("stages: {in: {pipeline: inner.yaml}, beside: {run: 'echo beside >&2'}}", **nested)
    prun("main.yaml")
    assert "said" in prun("logs", "last", "in") == prun("logs", "last", "in.say")
    assert "beside" in prun("logs", "last")
