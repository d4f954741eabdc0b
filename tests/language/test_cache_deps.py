"""`deps`: what is in the files that calls read counts as what they are given."""

from __future__ import annotations

import os
import time

import pytest

from pipeline_runner.plan.forecast import Action
from pipeline_runner.record.files import SETTLED_NS, Files
from pipeline_runner.record.store import Store

pytestmark = pytest.mark.timeout(120)

WORK = """
from notes import HERE, note

def read(name):
    note("read", name)
    return (HERE / f"conf/{name}.txt").read_text()

def write(text):
    note("write", text)
    (HERE / "made.txt").write_text(text)

def use(x=1):
    note("use", x)
    return (HERE / "made.txt").read_text()
"""


@pytest.fixture
def project(made):
    made.module("work", WORK)
    for name in ("a", "b"):
        made.write(f"conf/{name}.txt", name)
    return made


OWN = {"read": {"call": "work:read", "over": ["a", "b"], "deps": ["conf/${item}.txt"], "cache": True}}


def test_each_call_may_have_files_of_its_own(project):
    project.stages(OWN)
    project.run()
    project.made()
    project.write("conf/b.txt", "other")

    told = project.forecast()["read"]
    assert (told.action, told.calls, told.reused) == (Action.RUN, 2, 1)
    assert project.run()["read"] == ["a", "other"]
    assert project.made() == ["read b"]


def test_the_items_of_another_stage_name_files_too(project):
    project.stages(
        {
            "names": {"call": "work:use", "over": [1], "cache": True, "deps": "made.txt"},
            "read": {"call": "work:read", "over": "${stages.names}", "deps": ["conf/${item}.txt"], "cache": True},
        }
    )
    project.write("made.txt", "a")
    assert project.run()["read"] == ["a"]
    project.made()
    assert project.forecast()["read"].action is Action.REUSE
    project.write("conf/a.txt", "new")
    told = project.forecast()["read"]
    assert (told.action, told.calls, told.reused) == (Action.RUN, 1, 0)
    project.write("made.txt", "a ")
    told = project.forecast()["read"]
    assert (told.action, told.because) == (
        Action.DEFERRED,
        ('which files it reads is known only when "names" has run',),
    )
    project.write("made.txt", "a")
    assert project.run()["read"] == ["new"]
    assert project.made() == ["read a"]


@pytest.mark.parametrize("state", [False, None], ids=["nowhere kept", "kept"])
@pytest.mark.parametrize(
    ("deps", "named"),
    [
        (["conf/a.txt", "conf/none.txt"], '"conf/none.txt", which is not in'),
        (["conf/*.yaml"], '"conf/*.yaml", and no file in'),
    ],
)
def test_a_file_that_no_stage_before_has_made_is_named(project, deps, named, state):
    read = {"call": "work:read", "over": ["a"], "deps": deps, "needs": ["before"]}
    project.stages({"before": {"run": "true"}, "read": read})
    (failed,) = project.run(state=state).failures
    assert f'stage "read" depends on {named}' in failed.failure.message
    assert project.made() == []


def test_a_file_of_one_call_that_is_not_there_is_named(project):
    project.stages(OWN | {"read": OWN["read"] | {"over": ["a", "x"]}})
    (failed,) = project.run().failures
    assert '"conf/x.txt", which is not in' in failed.failure.message
    assert '"conf/x.txt", which is not in' in project.forecast()["read"].because[0]


def test_a_pattern_means_the_files_that_it_finds_when_the_stage_begins(project):
    project.stages({"read": {"call": "work:read", "over": ["a"], "deps": ["conf/*.txt"], "cache": True}})
    project.run()
    project.made()
    project.write("conf/c.txt", "c")
    assert project.forecast()["read"].because == ("file conf/c.txt is new",)
    project.run()
    assert project.made() == ["read a"]
    (project.folder / "conf/c.txt").unlink()
    project.run()
    assert project.made() == []


def test_a_file_that_another_stage_writes_is_looked_at_after_that(project):
    def stages(text):
        return {
            "write": {"call": "work:write", "with": {"text": text}},
            "use": {"call": "work:use", "needs": ["write"], "deps": ["made.txt"], "cache": True},
        }

    project.stages(stages("one"))
    assert project.run()["use"] == "one"
    project.made()
    project.run()
    assert project.made() == ["write one"]

    project.stages(stages("two"))
    assert project.forecast()["use"].action is Action.DEFERRED
    assert project.run()["use"] == "two"


@pytest.mark.parametrize(("deps", "again"), [(["made.txt"], []), ([], ["use 1"])], ids=["deps", "none"])
def test_where_deps_say_what_is_read_only_what_is_in_it_counts_of_stages_before(project, deps, again):
    def stages(more):
        use = {"call": "work:use", "needs": ["write"], "deps": deps, "cache": True}
        return {
            "write": {"call": "work:write", "with": {"text": "one"}, "env": {"MORE": more}, "cache": True},
            "use": use,
        }

    project.stages(stages("a"))
    project.run()
    project.made()
    project.stages(stages("b"))
    project.run()
    assert project.made() == sorted(["write one", *again])
    project.stages(stages("b"))
    project.run()
    assert project.made() == []


def test_what_a_resumed_run_makes_again_is_told_with_the_file(project):
    project.stages({"read": {"call": "work:read", "over": ["a", "b"], "deps": ["conf"]}})
    events: list[object] = []
    run = project.run()
    project.write("conf/a.txt", "new")
    project.run(resume=run.id, on_event=events.append)
    told = [str(event) for event in events if type(event).__name__ == "CallsOutdated"]
    assert told == ['stage "read": file conf has changed; of its 2 finished calls none is kept']


# What is remembered of files.


def test_a_file_that_was_written_a_moment_ago_is_read_at_each_look(tmp_path):
    files, file = Files(), tmp_path / "file"
    seen = set()
    for number in range(200):
        file.write_text(f"{number:03}")  # the same size, perhaps in the same tick
        seen.add(files.digest(file))
    assert len(seen) == 200


def test_a_file_whose_time_was_set_back_is_read_again(tmp_path):
    files, file = Files(), tmp_path / "file"
    file.write_text("one")
    os.utime(file, (1, 1))
    first = files.digest(file)
    file.write_text("two")
    os.utime(file, (1, 1))
    assert files.digest(file) != first


def test_a_file_that_is_left_alone_is_remembered_in_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    store = Store(tmp_path / "state")
    python = os.path.realpath(os.__file__)  # nobody has written it for a while
    assert time.time_ns() - os.stat(python).st_ctime_ns > SETTLED_NS
    files = Files(store)
    digest = files.digest(python)
    (row,) = files.fresh()
    assert files.fresh() == []
    with store.connect() as connection:
        connection.execute("INSERT INTO file VALUES (?, ?, ?, ?)", row)

    again = Files(store)
    assert again.digest(python) == digest
    assert again.fresh() == []  # it was not read

    with store.connect() as connection:
        connection.execute("UPDATE file SET digest = 'forged'")
    assert Files(store).digest(python) == digest


def test_a_folder_is_its_names_and_files(tmp_path):
    files, folder = Files(), tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "one").write_text("1")
    told = [files.digest(folder)]
    (folder / "a" / "two").write_text("")
    told.append(files.digest(folder))
    (folder / "a" / "two").rename(folder / "two")
    told.append(files.digest(folder))
    (folder / "link").symlink_to("nowhere")
    told.append(files.digest(folder))
    os.mkfifo(folder / "pipe")
    told.append(files.digest(folder))
    assert len(set(told)) == 5
    (folder / "__pycache__").mkdir()
    (folder / ".prun-1234").mkdir()
    (folder / ".prun-1234" / "x").write_text("x")
    (folder / "__pycache__" / "x").write_text("x")
    assert files.digest(folder) == told[-1]
