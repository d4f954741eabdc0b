"""`include`: what other files say is laid under what this one says, and every problem is told in its own file."""

from __future__ import annotations

import textwrap

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.errors import Problems
from pipeline_runner.spec.build import load

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def project(tmp_path):
    """A folder of files, and the pipeline of its main.yaml."""
    folder = tmp_path / "project"
    folder.mkdir()

    def write(main, **files):
        for name, text in {"main": main, **files}.items():
            path = folder / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(textwrap.dedent(text))
        return folder / "main.yaml"

    return write


def problems(path, **how):
    with pytest.raises(Problems) as found:
        load(path, **how)
    return found.value.problems


MAIN = """
    include: [common.yaml]
    stages:
      own: {call: "deeds:same", over: [1]}
"""


def test_stages_and_params_of_an_included_file_are_there(project):
    spec = load(
        project(MAIN, common="params: {top: 3}\nstages: {theirs: {call: 'deeds:same', with: {n: '${params.top}'}}}")
    )
    assert list(spec.stages) == ["theirs", "own"]
    assert spec.params == {"top": 3}
    assert spec.stages["theirs"].constants == {"n": 3}


def test_one_file_may_be_written_without_a_list(project):
    assert load(project("include: common.yaml\nstages: {a: {call: 'm:f'}}", common="params: {x: 1}")).params == {"x": 1}


@pytest.mark.parametrize(
    ("section", "theirs", "own", "together"),
    [
        ("params", {"a": 1, "b": 1}, {"b": 2, "c": 2}, {"a": 1, "b": 2, "c": 2}),
        ("env", {"A": "1", "B": "1"}, {"B": "2", "C": "2"}, {"A": "1", "B": "2", "C": "2"}),
        ("limits", {"a": 1, "b": 1}, {"b": 2, "c": 2}, {"a": 1, "b": 2, "c": 2}),
    ],
)
def test_the_own_word_goes_before_that_of_an_included_file(project, section, theirs, own, together):
    main = f"include: common.yaml\n{section}: {own}\nstages: {{a: {{call: 'm:f'}}}}"
    spec = load(project(main, common=f"{section}: {theirs}"))
    assert getattr(spec, section) == together


def test_a_stage_that_both_files_have_is_the_included_one_changed_key_by_key(project):
    spec = load(
        project(
            "include: common.yaml\nstages: {read: {retry: 5}}",
            common="stages: {read: {call: 'm:f', retry: 1, timeout: 3}}",
        )
    )
    read = spec.stages["read"]
    assert (str(read.function), read.retry.limit, read.timeout_s) == ("m:f", 5, 3)


def test_a_stage_that_says_what_it_does_no_longer_does_what_the_included_one_did(project):
    spec = load(
        project("include: common.yaml\nstages: {read: {call: 'm:g'}}", common="stages: {read: {run: 'echo', retry: 1}}")
    )
    assert str(spec.stages["read"].function) == "m:g"
    assert spec.stages["read"].retry.limit == 1


def test_included_defaults_hold_for_all_stages(project):
    spec = load(project(MAIN, common="defaults: {retry: 2}\nstages: {theirs: {call: 'm:f'}}"))
    assert {name: stage.retry.limit for name, stage in spec.stages.items()} == {"theirs": 2, "own": 2}


def test_a_profile_of_an_included_file_can_be_chosen(project):
    path = project(
        "include: common.yaml\nprofiles: {big: {params: {y: 20}}}\nparams: {x: 1, y: 2}\nstages: {a: {call: 'm:f'}}",
        common="profiles: {big: {params: {x: 10, y: 10}}}",
    )
    assert load(path, profile="big").params == {"x": 10, "y": 20}


def test_workers_and_secrets_of_an_included_file_count_too(project):
    spec = load(project("include: c.yaml\nsecrets: [A]\nstages: {a: {call: 'm:f'}}", c="workers: 3\nsecrets: [B]"))
    assert spec.workers == 3
    assert [secret.name for secret in spec.secrets] == ["B", "A"]


def test_a_files_name_and_description_are_its_own(project):
    spec = load(project(MAIN, common="version: 1\nname: other\ndescription: other"))
    assert (spec.name, spec.description) == ("main", "")


def test_an_included_file_includes_others_from_its_own_folder(project):
    spec = load(
        project(
            "include: lib/one.yaml\nstages: {a: {call: 'm:f'}}", lib__one="include: two.yaml", lib__two="params: {x: 1}"
        )
    )
    assert spec.params == {"x": 1}


def test_a_file_that_two_others_include_is_no_contradiction(project):
    spec = load(
        project(
            "include: [a.yaml, b.yaml]\nstages: {own: {call: 'm:f'}}",
            a="include: base.yaml",
            b="include: base.yaml",
            base="stages: {theirs: {call: 'm:f'}}\nparams: {x: 1}",
        )
    )
    assert list(spec.stages) == ["theirs", "own"]


def test_many_files_that_include_many_are_each_read_once(project):
    """Twenty files, each of which includes the next one twice: a million readings if nobody remembered."""
    files = {f"f{n}": f"include: [f{n + 1}.yaml, f{n + 1}.yaml]" for n in range(20)}
    spec = load(project("include: f0.yaml\nstages: {a: {call: 'm:f'}}", **files, f20="params: {x: 1}"))
    assert spec.params == {"x": 1}


def test_files_that_include_one_another_without_end_but_never_in_a_circle_are_told(project):
    files = {f"f{n}": f"include: f{n + 1}.yaml" for n in range(200)}
    (problem,) = problems(project("include: f0.yaml\nstages: {a: {call: 'm:f'}}", **files))
    assert problem.code == "too-deep"


def test_a_stage_in_two_included_files_is_told_with_both_places(project):
    path = project(
        "include: [a.yaml, b.yaml]\nstages: {own: {call: 'm:f'}}",
        a="stages:\n  read: {call: 'm:f'}",
        b="stages:\n  read: {call: 'm:g'}",
    )
    (problem,) = problems(path)
    assert problem.code == "said-twice"
    assert str(problem.mark).endswith("b.yaml:2:3")
    assert "a.yaml:2:3" in problem.sentence()


def test_two_included_files_may_give_a_parameter_the_same_value_and_no_other(project):
    files = {"a": "params: {x: 1, y: 1}", "b": "params: {x: 1, y: 2}"}
    (problem,) = problems(project("include: [a.yaml, b.yaml]\nstages: {own: {call: 'm:f'}}", **files))
    assert 'parameter "y"' in problem.sentence()
    own = "include: [a.yaml, b.yaml]\nparams: {y: 3}\nstages: {own: {call: 'm:f'}}"
    assert load(project(own, **files)).params == {"x": 1, "y": 3}


def test_a_circle_is_told_with_its_files(project):
    path = project("include: a.yaml\nstages: {own: {call: 'm:f'}}", a="include: b.yaml", b="include: a.yaml")
    (problem,) = problems(path)
    assert problem.code == "circle-of-files"
    assert [name.rpartition("/")[2] for name in problem.files] == ["a.yaml", "b.yaml", "a.yaml"]


def test_a_file_that_includes_itself_is_a_circle(project):
    (problem,) = problems(project("include: main.yaml\nstages: {own: {call: 'm:f'}}"))
    assert problem.code == "circle-of-files"


@pytest.mark.parametrize("path", ["../outside.yaml", "link.yaml", "lib/../../outside.yaml"])
def test_a_file_outside_the_project_is_refused(project, tmp_path, path):
    main = project(f"include: {path}\nstages: {{a: {{call: 'm:f'}}}}", lib__x="params: {}")
    (tmp_path / "outside.yaml").write_text("params: {x: 1}")
    (main.parent / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (problem,) = problems(main)
    assert problem.code == "outside-project"


def test_a_file_outside_the_project_is_read_when_that_is_said(project, tmp_path):
    (tmp_path / "outside.yaml").write_text("params: {x: 1}")
    main = project("include: [{file: ../outside.yaml, allow_outside: true}]\nstages: {a: {call: 'm:f'}}")
    assert load(main).params == {"x": 1}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("missing.yaml", "there is no such file"),
        (".", "it is a folder"),
        ('"https://example.org/common.yaml"', "only local files"),
        ('"a\\u0007b"', "there is no such file"),
        ('"${params.x}.yaml"', "before any value is known"),
        ("3", '"include" takes a file'),
        ("[{path: x.yaml}]", 'unknown key "path"'),
        ("[{file: common.yaml, allow_outside: maybe}]", "true or false"),
        ("[{file: [common.yaml]}]", "a file's name"),
        ("list.yaml", "an included file is a mapping"),
        ("v2.yaml", "version 1"),
    ],
)
def test_what_cannot_be_included_is_told(project, written, said):
    main = project(
        f"include: {written}\nstages: {{a: {{call: 'm:f'}}}}", list="[1]", v2="version: 2", common="params: {}"
    )
    assert any(said in problem.sentence() for problem in problems(main))


def test_a_pipe_is_refused_and_not_waited_for(project):
    import os

    main = project("include: pipe.yaml\nstages: {a: {call: 'm:f'}}")
    os.mkfifo(main.parent / "pipe.yaml")
    (problem,) = problems(main)
    assert "no regular file" in problem.sentence()


def test_a_problem_in_an_included_file_is_told_at_its_place_in_that_file(project):
    main = project(
        MAIN,
        common="""\
        stages:
          theirs:
            call: m:f
            timeout: never
            with: {x: "${params.nowhere}"}
            dispach: async
        """,
    )
    places = [(problem.mark.file.rpartition("/")[2], problem.mark.line, problem.code) for problem in problems(main)]
    assert places == [
        ("common.yaml", 4, "bad-duration"),
        ("common.yaml", 5, "unknown-name"),
        ("common.yaml", 6, "unknown-key"),
    ]


def test_problems_of_several_files_are_told_file_by_file(project):
    main = project(
        "include: common.yaml\nstages:\n  own:\n    call: 'm:f'\n    timeout: never",
        common="stages:\n  theirs:\n    call: 'm:f'\n    timeout: never\n    retry: -1",
    )
    files = [problem.mark.file.rpartition("/")[2] for problem in problems(main)]
    assert sorted(files) == ["common.yaml", "common.yaml", "main.yaml"]
    assert files in (["common.yaml"] * 2 + ["main.yaml"], ["main.yaml"] + ["common.yaml"] * 2)


def test_anchors_do_not_cross_files(project):
    (problem,) = problems(project("include: c.yaml\nstages: {a: *common}", c="x-common: &common {call: 'm:f'}"))
    assert problem.code == "unknown-anchor"


def test_functions_and_paths_of_an_included_file_are_found_from_the_main_folder(project):
    main = project(
        "include: lib/common.yaml\nstages: {own: {call: 'here.py:f', over: '${stages.theirs}'}}",
        lib__common="stages: {theirs: {call: 'here.py:f', over: {glob: '*.txt'}}}",
    )
    (main.parent / "here.py").write_text("def f(x): return x + '!'")
    (main.parent / "a.txt").write_text("")
    (main.parent / "lib" / "b.txt").write_text("")
    assert Pipeline.load(main).run(workers=1, state=False)["own"] == ["a.txt!!"]
