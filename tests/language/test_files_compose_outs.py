"""`deps`, `outs` and `cache` of a pipeline that is a stage: its files are those of its own folder."""

from __future__ import annotations

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.errors import Problems

pytestmark = pytest.mark.timeout(100)

WORK = """
from pathlib import Path

from notes import note

def make(name, to):
    note("make", name)
    Path(to).write_text(name + Path("conf.txt").read_text())
    return to

def gather(paths):
    note("gather", *paths)
    return "".join(Path(path).read_text() for path in paths)

def names(): return ["a", "b"]
def last(text): return text.upper()
"""
INNER = """
params: {names: [a, b]}
defaults: {cache: true}
stages:
  make:
    call: work:make
    over: ${params.names}
    with: {to: "${out}"}
    deps: [conf.txt, "in/${item}.txt"]
    outs: ["out/${item}.txt"]
  gather: {call: "work:gather", with: {paths: "${stages.make}"}}
"""
MAKE_ALL = ["make a", "make b"]
GATHER = ["gather out/a.txt out/b.txt"]


@pytest.fixture
def project(made):
    made.write("lib/inner.yaml", INNER)
    for module in ("work", "lib/work"):
        made.module(module, WORK)
    made.module("lib/notes", (made.folder / "notes.py").read_text().replace(".parent", ".parent.parent"))
    for path in ("conf.txt", "lib/conf.txt"):
        made.write(path, "!")
    for name in "ab":
        made.write(f"lib/in/{name}.txt", name)
    made.stages(outer())
    assert made.run()["last"] == "A!B!"
    assert made.made() == sorted([*MAKE_ALL, *GATHER])
    return made


def outer(name="in", **params):
    return {
        name: {"pipeline": "lib/inner.yaml", **({"params": params} if params else {})},
        "last": {"call": "work:last", "with": {"text": f"${{stages.{name}}}"}},
    }


def test_outs_are_in_the_inner_files_folder_and_nothing_is_made_twice(project):
    assert sorted(path.relative_to(project.folder).as_posix() for path in project.folder.rglob("out/*")) == [
        "lib/out/a.txt",
        "lib/out/b.txt",
    ]
    result = project.run()
    assert {name: str(stage.status) for name, stage in result.state.stages.items()} == {
        "in.make": "reused",
        "in.gather": "reused",
        "last": "done",
    }
    assert project.made() == []


@pytest.mark.parametrize(
    ("edit", "made_again"),
    [
        (lambda project: project.write("lib/conf.txt", "?"), [*MAKE_ALL, *GATHER]),
        (lambda project: project.write("lib/in/b.txt", "new"), ["make b", *GATHER]),
        (lambda project: (project.folder / "lib/out/a.txt").unlink(), ["make a"]),
        (lambda project: project.write("lib/out/a.txt", "by hand"), ["make a"]),
        (lambda project: project.write("conf.txt", "of the outer folder"), []),
        (lambda project: project.stages(outer("renamed")), []),
        (lambda project: project.stages(outer(names=["a"])), ["gather out/a.txt"]),
    ],
    ids=[
        "a dep",
        "a dep of one call",
        "an out is gone",
        "an out was changed",
        "not its file",
        "its name",
        "a parameter",
    ],
)
def test_what_is_made_again_in_a_pipeline_that_is_a_stage(project, edit, made_again):
    edit(project)
    told = {name: outlook.reused for name, outlook in project.forecast().items() if outlook.reused is not None}
    result = project.run()
    assert result.exit_code == 0, result.failures
    assert project.made() == sorted(made_again)
    assert {name: result.state.stages[name].reused for name in told} == told
    project.run()
    assert project.made() == []


def test_its_outs_are_known_to_the_file_by_itself_where_they_share_a_state_folder(project):
    result = Pipeline.load(project.folder / "lib" / "inner.yaml").run(workers=2, state=project.state)
    assert result["gather"] == "a!b!"
    assert project.made() == []


def test_names_of_outs_may_come_from_a_stage_around_it(project):
    stages = {"names": {"call": "work:names"}, **outer(names="${stages.names}")}
    project.stages(stages)
    assert project.run()["last"] == "A!B!"
    assert (project.folder / "lib/out/b.txt").read_text() == "b!"


def test_no_file_of_the_pipeline_is_an_out(tmp_path):
    (tmp_path / "more.yaml").write_text("stages: {}\n")
    (tmp_path / "inner.yaml").write_text("stages: {x: {run: 'echo x > ${out}', outs: [more.yaml]}}\n")
    (tmp_path / "outer.yaml").write_text(
        "include: [more.yaml]\n"
        "stages:\n"
        "  a: {run: 'echo x > ${out}', outs: [inner.yaml]}\n"
        "  b: {pipeline: inner.yaml}\n"
        "  c: {run: 'echo x > ${out}', over: [outer.yaml], outs: ['${item}']}\n"
    )
    with pytest.raises(Problems) as refused:
        Pipeline.load(tmp_path / "outer.yaml").plan()
    assert [problem.sentence().partition(":")[0] for problem in refused.value.problems] == [
        '"inner.yaml" of stage "a" cannot be an out',
        '"more.yaml" of stage "b.x" cannot be an out',
    ]
    (tmp_path / "outer.yaml").write_text(
        "include: [more.yaml]\nstages: {c: {run: 'echo x > ${out}', over: [more.yaml], outs: ['${item}']}}\n"
    )
    (failed,) = Pipeline.load(tmp_path / "outer.yaml").run(state=False).failures
    assert failed.failure.type == "OutOfOurs"
