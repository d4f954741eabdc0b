"""What is made again after which edit: a row for each edit.

Where a comment names a peer's test, that test makes the same edit and has the same answer: dvc is `iterative/dvc`,
tests/func/repro/test_repro.py; doit is `pydoit/doit`, tests/test_dependency.py and tests/test_runner.py. What they do with
commands that make files of files is in test_cache_reruns_commands.py. Snakemake (`--rerun-triggers`) runs a job again for
its code, params, input and software, which are rows here, and for a file's newer time, which makes nothing here.

Every stage is cached. A row says what is edited, which calls are made then, and what `prun plan` gives as the reason;
it foretells the run exactly, and a second run makes nothing.
"""

from __future__ import annotations

import os
import shutil

import pytest

from pipeline_runner.plan.forecast import Action

pytestmark = pytest.mark.timeout(120)

WORK = """
import tools
from notes import HERE, note

UNUSED = 1

def count(path, unit="words"):
    '''How many words.'''
    note("count", path)
    return tools.amount((HERE / path).read_text())

def total(counts, plus=0):
    note("total", *counts)
    return sum(counts) + plus

def paint(name, to):
    note("paint", name)
    (HERE / to).write_text(name * 3)
    return to

def frame(size):
    note("frame", size)
    return (HERE / "conf.txt").read_text() * size

def nothing_of_this():
    return UNUSED
"""
TOOLS = """
from deeper import SCALE, deepest

def amount(text):  # of words
    return len(text.split()) * deepest()
"""
DEEPER = """
SCALE = 1

def deepest():
    return SCALE

def elsewhere():
    return 5
"""


def stages(**changes):
    usual = {
        "count": {"call": "work:count", "over": {"glob": "texts/*.txt"}, "cache": True},
        "total": {"call": "work:total", "with": {"counts": "${stages.count}", "plus": "${params.plus}"}, "cache": True},
        "paint": {
            "call": "work:paint",
            "over": ["red", "blue"],
            "with": {"to": "${out}"},
            "outs": ["out/${item}.txt"],
            "cache": True,
        },
        "frame": {"call": "work:frame", "with": {"size": 2}, "deps": ["conf.txt", "parts/"], "cache": True},
    }
    return {name: {**stage, **changes.get(name, {})} for name, stage in usual.items()}


@pytest.fixture
def project(made):
    made.module("work", WORK)
    made.module("tools", TOOLS)
    made.module("deeper", DEEPER)
    for name in "abc":
        made.write(f"texts/{name}.txt", name * 3 + " " + name)
    made.write("conf.txt", "conf")
    made.write("parts/one.txt", "one")
    made.stages(stages(), params={"plus": 0, "spare": 1})
    assert made.run()["total"] == 6
    made.made()
    return made


def replaced(file, old, new):
    def edit(project):
        path = project.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


def written(file, text):
    return lambda project: project.write(file, text)


def changed(top=None, **changes):
    return lambda project: project.stages(stages(**changes), params={"plus": 0, "spare": 1, **(top or {})})


def renamed(project):
    told = {name.replace("count", "number"): stage for name, stage in stages().items()}
    told["total"]["with"]["counts"] = "${stages.number}"
    project.stages(told, params={"plus": 0})


def reordered(project):
    project.stages(dict(reversed(stages().items())), params={"plus": 0})


def touched(project):
    for file in (*project.folder.glob("*/*.txt"), project.folder / "conf.txt"):
        os.utime(file)


def deleted(path):
    def delete(project):
        shutil.rmtree(project.folder / path) if (project.folder / path).is_dir() else (project.folder / path).unlink()

    return delete


ALL = ["count texts/a.txt", "count texts/b.txt", "count texts/c.txt"]
TOTAL = ["total 2 2 2"]
PAINT = ["paint blue", "paint red"]
FRAME = ["frame 2"]
NEW_ITEM = "an item, or a file that one names, is new or has changed"
# edit → (how, what is made, {stage: why})
EDITS = {
    "nothing": (lambda project: None, [], {}),  # dvc test_repro_up_to_date
    "a comment": (replaced("tools.py", "of words", "of all words"), [], {}),
    "a docstring": (replaced("work.py", "How many words.", "As many as there are."), [], {}),
    "formatting": (replaced("tools.py", "text.split()", "( text . split() )"), [], {}),
    "a function that nobody calls": (replaced("work.py", "return UNUSED", "return UNUSED + 1"), [], {}),
    "another function of a helper's module": (replaced("deeper.py", "return 5", "return 6"), [], {}),
    # dvc test_repro_changed_code
    "the function": (
        replaced("work.py", "sum(counts) + plus", "plus + sum(counts)"),
        TOTAL,
        {"total": "function work:total has changed"},
    ),
    # The counts are the same, and yet total is made again: it knows count by its key, not by what it gives. DVC, which knows
    # only files, would leave it (as it is for files here: test_cache_reruns_commands.py).
    "a helper": (
        replaced("tools.py", "len(text.split())", "text.count(' ') + 1"),
        [*ALL, *TOTAL],
        {"count": "function tools:amount has changed", "total": 'source "count" has changed'},
    ),
    "a helper two modules away": (
        replaced("deeper.py", "return SCALE", "return SCALE + 0"),
        [*ALL, *TOTAL],
        {"count": "function deeper:deepest has changed", "total": 'source "count" has changed'},
    ),
    "a constant two modules away": (
        replaced("deeper.py", "SCALE = 1", "SCALE = 2"),
        [*ALL, "total 4 4 4"],
        {"count": "deeper", "total": 'source "count" has changed'},
    ),
    # dvc test_repro_changed_data and test_repro_changed_deep_data, doit test_fileDependencies and test_resultDependencies
    "an input": (
        written("texts/b.txt", "b b b"),
        ["count texts/b.txt", "total 2 3 2"],
        {"count": NEW_ITEM, "total": "what it reads of count has changed"},
    ),
    "an input of the same size": (written("texts/b.txt", "b bbb"), ["count texts/b.txt", *TOTAL], {"count": NEW_ITEM}),
    "an item more": (
        written("texts/aa.txt", "new"),
        ["count texts/aa.txt", "total 2 1 2 2"],
        {"count": NEW_ITEM, "total": "what it reads of count has changed"},
    ),
    "an item less": (deleted("texts/a.txt"), ["total 2 2"], {"total": "what it reads of count has changed"}),
    "touched and not changed": (touched, [], {}),  # doit test_size_md5
    "a stage renamed": (renamed, [], {}),
    "stages in another order": (reordered, [], {}),
    # dvc test_repro_multiple_params
    "a parameter that is used": (changed(top={"plus": 4}), TOTAL, {"total": "argument plus has changed"}),
    "a parameter that nobody uses": (changed(top={"spare": 2}), [], {}),
    "salt": (changed(frame={"salt": "2"}), FRAME, {"frame": "salt is new"}),
    "its environment": (changed(frame={"env": {"LANG": "C"}}), FRAME, {"frame": "env LANG is new"}),
    "how it is run": (changed(count={"chunk": 1, "workers": 1, "retry": 2}, total={"timeout": "60s"}), [], {}),
    "another method": (changed(count={"backend": "futures"}), [], {}),
    "a file of deps": (written("conf.txt", "other"), FRAME, {"frame": "file conf.txt has changed"}),
    # dvc test_repro_when_new_deps_is_added_in_dvcfile
    "a dep more": (changed(frame={"deps": ["conf.txt", "parts/", "work.py"]}), FRAME, {"frame": "file work.py is new"}),
    # doit test_fileDependencies_changed
    "a dep less": (changed(frame={"deps": ["conf.txt"]}), FRAME, {"frame": "file parts/"}),
    # doit test_fileDependencies_changed_get_log
    "another dep": (changed(frame={"deps": ["conf.txt", "texts/"]}), FRAME, {"frame": "file texts/ is new"}),
    # dvc test_repro_changed_dir_data, as the two rows after it
    "a file more in a folder of deps": (written("parts/two.txt", "two"), FRAME, {"frame": "file parts/ has changed"}),
    "a file less in a folder of deps": (deleted("parts/one.txt"), FRAME, {"frame": "file parts/ has changed"}),
    "a file of a folder of deps by another name": (
        lambda project: (project.folder / "parts/one.txt").rename(project.folder / "parts/1.txt"),
        FRAME,
        {"frame": "file parts/ has changed"},
    ),
    # doit test_targets_notThere
    "an out deleted": (deleted("out/red.txt"), ["paint red"], {"paint": "out/red.txt is not there any more"}),
    "an out changed": (written("out/red.txt", "blue"), ["paint red"], {"paint": "out/red.txt is not as it was written"}),
    "all outs deleted": (deleted("out"), PAINT, {"paint": "out/red.txt is not there any more"}),
    # dvc test_repro_when_lockfile_gets_deleted
    "all that was kept": (deleted(".prun"), [*ALL, *TOTAL, *PAINT, *FRAME], {}),
    # dvc test_repro_when_new_outs_is_added_in_dvcfile
    "outs elsewhere": (
        changed(paint={"outs": ["drawn/${item}.txt"]}),
        PAINT,
        {"paint": "outs has changed"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_made_again_after_an_edit(project, edit):
    how, expected, why = EDITS[edit]
    how(project)

    told = project.forecast()
    result = project.run()

    assert result.exit_code == 0, result.failures
    assert project.made() == sorted(expected)
    for name, outlook in told.items():
        calls = result.state.stages[name].calls
        assert (outlook.calls, outlook.reused) == (calls, result.state.stages[name].reused), name
        assert outlook.action is (Action.REUSE if outlook.reused == calls else Action.RUN)
        assert (result.state.stages[name].status == "reused") == (outlook.action is Action.REUSE)
        if name in why:
            assert any(why[name] in because for because in outlook.because), outlook.because
        elif outlook.action is Action.REUSE:
            assert not outlook.because

    assert project.run().status == "done"
    assert project.made() == []


@pytest.mark.parametrize("edit", [edit for edit, (_, calls, _) in EDITS.items() if calls])
def test_what_was_before_an_edit_is_still_there_when_it_is_taken_back(project, edit, tmp_path):
    how, _, _ = EDITS[edit]
    if "out" in edit:
        return  # what is in an out now was not written by the call of then
    shutil.copytree(project.folder, tmp_path / "before", ignore=shutil.ignore_patterns(".prun", "out", "made"))
    how(project)
    project.run()
    project.made()
    for path in list(project.folder.glob("*")):
        if path.name in ("texts", "parts"):
            shutil.rmtree(path)
    shutil.copytree(tmp_path / "before", project.folder, dirs_exist_ok=True)

    project.run()

    assert project.made() == []
