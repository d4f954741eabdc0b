"""What a resumed run keeps after its pipeline was edited: a row for each edit, and what is made again after it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from pipeline_runner.events import CallsOutdated, StageRenamed

pytestmark = pytest.mark.timeout(90)

FUNCTIONS = """
import os

def double(x, plus=0):
    note("double", x)
    return 2 * x + plus

def inc(x):
    note("inc", x)
    return x + 1

def less(x, y):
    note("less", x, y)
    return [x, y]

def draw(x):
    note("draw", x)
    return os.urandom(4)

def size(x):
    note("size", x)
    return len((HERE / "data").read_text())
"""
THREE = {"over": {"range": 3}}


@pytest.fixture
def project(project):
    project.functions(FUNCTIONS)
    return project


def stages(**changes):
    """Three stages that read each other, with some of them changed; None: not there."""
    usual = {
        "a": {"call": "work:double", "over": [1, 2, 3], "backend": "multiprocessing"},
        "b": {"call": "work:inc", "over": "${stages.a}", "backend": "futures"},
        "t": {"call": "work:less", "with": {"x": "${stages.a}", "y": "${stages.b}"}},
    }
    return {name: stage for name, stage in {**usual, **changes}.items() if stage is not None}


USUAL = stages()
AGAIN_T = ["less [2, 4, 6] [3, 5, 7]"]
EDITS = {
    "nothing": (USUAL, []),
    "the stages in another order": (dict(reversed(USUAL.items())), []),
    "the first stage is renamed": (
        {
            "first": USUAL["a"],
            "b": {**USUAL["b"], "over": "${stages.first}"},
            "t": {"call": "work:less", "with": {"x": "${stages.first}", "y": "${stages.b}"}},
        },
        [],
    ),
    "the middle stage is renamed": (
        stages(b=None, z=USUAL["b"], t={"call": "work:less", "with": {"x": "${stages.a}", "y": "${stages.z}"}}), [],
    ),
    "all are renamed, so that their names have another order": (
        {
            "z": USUAL["a"],
            "y": {**USUAL["b"], "over": "${stages.z}"},
            "x": {"call": "work:less", "with": {"y": "${stages.y}", "x": "${stages.z}"}},
        },
        [],
    ),
    "two names are exchanged": (
        {
            "b": USUAL["a"],
            "a": {**USUAL["b"], "over": "${stages.b}"},
            "t": {"call": "work:less", "with": {"x": "${stages.b}", "y": "${stages.a}"}},
        },
        ["double 1", "double 2", "double 3", "inc 2", "inc 4", "inc 6"],
    ),
    "arguments in another order": (stages(t={"call": "work:less", "with": {"y": "${stages.b}", "x": "${stages.a}"}}), []),
    "arguments exchanged": (
        stages(t={"call": "work:less", "with": {"x": "${stages.b}", "y": "${stages.a}"}}), ["less [3, 5, 7] [2, 4, 6]"],
    ),
    "workers": (stages(a={**USUAL["a"], "workers": 1}), []),
    "method": (stages(a={**USUAL["a"], "method": "multiprocessing.Pool.imap_unordered"}), []),
    "chunk": (stages(a={**USUAL["a"], "chunk": 1}), []),
    "timeout, retry and on_error": (stages(a={**USUAL["a"], "timeout": "9s", "retry": 2, "on_error": "finish"}), []),
    "window, memory and priority": (stages(a={**USUAL["a"], "window": 9, "memory": "2GiB", "priority": 5}), []),
    "a description": (stages(a={**USUAL["a"], "description": "doubles"}), []),
    "an item more": (stages(a={**USUAL["a"], "over": [1, 2, 3, 4]}), ["double 4", "inc 8", "less [2, 4, 6, 8] [3, 5, 7, 9]"]),
    "an item less": (stages(a={**USUAL["a"], "over": [1, 3]}), ["less [2, 6] [3, 7]"]),
    "items in another order": (stages(a={**USUAL["a"], "over": [3, 2, 1]}), ["less [6, 4, 2] [7, 5, 3]"]),
    "with": (
        stages(a={**USUAL["a"], "with": {"plus": 1}}),
        ["double 1", "double 2", "double 3", "inc 3", "inc 5", "inc 7", "less [3, 5, 7] [4, 6, 8]"],
    ),
    "a salt": (stages(t={**USUAL["t"], "salt": 2}), AGAIN_T),
    "env": (stages(t={**USUAL["t"], "env": {"A": "b"}}), AGAIN_T),
    "another function": (stages(t={"call": "work:less", "with": {"x": "${stages.a}", "y": 5}}), ["less [2, 4, 6] 5"]),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_after_an_edit_exactly_the_calls_are_made_again_that_compute_something_else(project, edit):
    edited, owed = EDITS[edit]
    project.stages(USUAL)
    project.run()
    project.made()
    project.stages(edited)
    project.run(resume=True)
    assert sorted(project.made().elements()) == owed
    project.run(resume=True)
    assert sorted(project.made().elements()) == []


def test_a_renamed_stage_is_told_and_has_its_values(project):
    project.stages({"a": {"call": "work:draw", **THREE}})
    first = project.run()["a"]
    project.stages({"b": {"call": "work:draw", **THREE}})
    assert project.run(resume=True)["b"] == first
    (told,) = [event for event in project.events if isinstance(event, StageRenamed)]
    assert (told.stage, told.was, told.calls) == ("b", "a", 3)
    assert str(told) == 'stage "b" was called "a": its 3 finished calls are kept'
    project.stages({"a": {"call": "work:draw", **THREE}})
    assert project.run(resume=True)["a"] == first


def test_of_several_stages_that_compute_the_same_each_keeps_its_own(project):
    project.stages({name: {"call": "work:draw", "over": [1, 2]} for name in ("a", "b", "c")})
    first = project.run()
    project.stages({name: {"call": "work:draw", "over": [1, 2]} for name in ("x", "b", "z", "more")})
    project.made()
    second = project.run(resume=True)
    assert [second[name] for name in ("x", "b", "z")] == [first[name] for name in ("a", "b", "c")]
    assert sorted(project.made().elements()) == ["draw 1", "draw 2"]


def test_a_renamed_stage_that_was_edited_too_is_another(project):
    project.stages({"a": {"call": "work:double", **THREE}})
    project.run()
    project.stages({"b": {"call": "work:double", **THREE, "with": {"plus": 1}}})
    assert project.run(resume=True)["b"] == [1, 3, 5]


def test_a_row_that_was_touched_is_not_sealed_anew_under_another_name(project):
    project.stages({"a": {"call": "work:draw", "over": [1, 2, 3], "chunk": 1}})
    first = project.run()["a"]
    with closing(sqlite3.connect(project.state / "journal.db")) as connection, connection:
        (data,) = connection.execute("SELECT data FROM done WHERE first = 0").fetchone()
        connection.execute("UPDATE done SET data = ? WHERE first = 1", (data,))
    project.stages({"b": {"call": "work:draw", "over": [1, 2, 3], "chunk": 1}})
    project.made()
    second = project.run(resume=True)["b"]
    assert sorted(project.made().elements()) == ["draw 2"]
    assert [second[0], second[2]] == [first[0], first[2]]
    assert second[1] not in first


@pytest.mark.parametrize(
    ("stage", "functions", "why"),
    [
        ({"with": {"plus": 2}}, ("", ""), "argument plus has changed"),
        ({"with": {}}, ("", ""), "argument plus is gone"),
        ({"call": "work:inc", "with": {}}, ("", ""), "function work:double is gone, function work:inc is new, argument plus"
         " is gone and 1 more"),
        ({}, ("2 * x", "3 * x"), "function work:double has changed"),
        ({"salt": "s"}, ("", ""), "salt is new"),
        ({"env": {"A": "1"}}, ("", ""), "env A is new"),
        ({"deps": ["data"]}, ("", ""), "file data is new"),
    ],
)  # fmt: skip
def test_what_has_changed_is_told(project, stage, functions, why):
    before = {"call": "work:double", "over": [1], "with": {"plus": 1}}
    (project.folder / "data").write_text("so")
    project.stages({"a": before})
    project.run()
    project.functions(FUNCTIONS.replace(*functions))
    project.stages({"a": {**before, **stage}})
    project.run(resume=True)
    (told,) = [event for event in project.events if isinstance(event, CallsOutdated)]
    assert str(told) == f'stage "a": {why}; of its 1 finished call none is kept'


def test_a_stage_that_another_reads_is_told_by_the_name_it_has_now(project):
    project.stages(USUAL)
    project.run()
    project.functions(FUNCTIONS.replace("2 * x", "3 * x"))
    project.run(resume=True)
    told = {event.stage: event.why for event in project.events if isinstance(event, CallsOutdated)}
    assert told == {
        "a": ("function work:double has changed",),
        "b": ('source "a" has changed',),
        "t": ('source "a" has changed', 'source "b" has changed'),
    }


def test_the_contents_of_deps_are_part_of_what_a_call_depends_on(project):
    project.stages({"a": {"call": "work:size", "over": [1], "deps": ["data", "folder"]}})
    (project.folder / "data").write_text("so")
    (project.folder / "folder").mkdir()
    project.run()
    project.made()
    owed = []
    for name, text in (("data", "so"), ("data", "so much"), ("folder/more", "x"), ("folder/more", "y")):
        (project.folder / name).write_text(text)
        project.run(resume=True)
        owed.append(len(project.made()))
    assert owed == [0, 1, 1, 1]


def test_values_that_were_passed_on_in_one_trip_and_not_kept_are_told_when_they_are_made_again(project):
    stages = {"a": {"call": "work:double", "over": [1, 2]}, "b": {"call": "work:double", "over": "${stages.a}"}}
    project.stages(stages)
    project.run(keep=["b"])
    project.made()
    project.stages({**stages, "b": {**stages["b"], "salt": "s"}})
    project.run(resume=True, keep=["b"])
    told = {event.stage: event.why for event in project.events if isinstance(event, CallsOutdated)}
    assert told == {"b": ("salt is new",), "a": ('its values went to "b" and were not kept',)}
