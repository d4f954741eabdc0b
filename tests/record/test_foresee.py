"""Keys of calls that are told before a run are those under which the run keeps them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.record.foresee import foresee
from pipeline_runner.record.keys import recipes
from pipeline_runner.record.recipe import call_key

pytestmark = pytest.mark.timeout(90)

FUNCTIONS = """
def double(x, **more):
    return 2 * x

def both(x, y):
    return [x, y]

def whole(values, plus=0):
    return len(values)

def count(n):
    return iter(range(n))
"""
SHAPES = {
    "one call": {"a": {"call": "work:whole", "with": {"values": [1, 2]}}},
    "a list": {"a": {"call": "work:double", "over": [1, "x", 2.5]}},
    "a range": {"a": {"call": "work:double", "over": {"range": [2, 9, 3]}}},
    "lines": {"a": {"call": "work:double", "over": {"lines": "data"}}},
    "files": {"a": {"call": "work:double", "over": {"glob": "*.py"}}},
    "rows": {"a": {"call": "work:both", "over": [[1, 2], [3, 4]], "args": "star"}},
    "columns": {"a": {"call": "work:both", "over": {"x": [1, 2], "y": {"range": 2}}}},
    "columns of unequal length": {"a": {"call": "work:both", "over": [[1, 2], [1, 2, 3]], "args": "zip", "shortest": True}},
    "its own number": {"a": {"call": "work:double", "over": [4, 5], "with": {"n": "${index}"}}},
    "fused": {"a": {"call": "work:double", "over": [1, 2]}, "b": {"call": "work:double", "over": "${stages.a}"}},
    "streams": {
        "a": {"call": "work:double", "over": [1, 2], "backend": "multiprocessing"},
        "b": {"call": "work:double", "over": "${stages.a}", "backend": "futures"},
    },
    "whole results": {
        "a": {"call": "work:double", "over": [1, 2]},
        "b": {"call": "work:double", "over": {"range": 3}},
        "t": {"call": "work:both", "with": {"y": "${stages.b}", "x": "${stages.a}"}},
        "u": {"call": "work:double", "over": "${stages.a}", "with": {"plus": "${stages.t}"}},
    },
    "a matrix": {"a": {"call": "work:both", "args": "star", "over": {"matrix": {"x": [1, 2], "y": {"glob": "*.py"}}}}},
    "batches": {"a": {"call": "work:whole", "over": {"batches": [1, 2, 3], "size": 2}}},
    "batches of numbers": {"a": {"call": "work:whole", "over": {"batches": {"range": [2, 9, 3]}, "size": 2}}},
    "batches of files": {"a": {"call": "work:whole", "over": {"batches": {"glob": "*.py"}, "size": 1}}},
    "batches of batches": {"a": {"call": "work:whole", "over": {"batches": {"batches": [1, 2, 3], "size": 1}, "size": 2}}},
    "batches of a stream": {
        "a": {"call": "work:double", "over": [1, 2, 3], "returns": "iterator"},
        "b": {"call": "work:whole", "over": {"batches": "${stages.a}", "size": 2}},
    },
    "needs": {"b": {"call": "work:double", "over": [1]}, "a": {"call": "work:double", "over": [1], "needs": ["b"]}},
}  # fmt: skip
ONLY_A_RUN_CAN_TELL = {
    "a generator": {"a": {"call": "work:double", "over": {"generate": "work:count", "with": {"n": 2}}}},
    "batches of a generator": {
        "a": {"call": "work:whole", "over": {"batches": {"generate": "work:count", "with": {"n": 2}}, "size": 2}}
    },
    "batches of what comes as it ends": {
        "b": {"call": "work:double", "over": [1, 2, 3], "returns": "unordered"},
        "a": {"call": "work:whole", "over": {"batches": "${stages.b}", "size": 2}},
    },
    "a matrix over a stage": {
        "b": {"call": "work:double", "over": [1, 2, 3]},
        "a": {"call": "work:whole", "over": {"matrix": {"x": "${stages.b}"}}},
    },
    "items of one value": {
        "one": {"call": "work:both", "with": {"x": 1, "y": 2}},
        "a": {"call": "work:double", "over": "${stages.one}"},
    },
}


def kept(project):
    """The keys of all calls that the store has, by stage."""
    found = {}
    with closing(sqlite3.connect(project.state / "journal.db")) as connection:
        rows = connection.execute("SELECT stage, recipe, first, calls, digests FROM done").fetchall()
    for stage, recipe, first, calls, digests in rows:
        for at in range(calls):
            digest = None if digests is None else digests[8 * at : 8 * (at + 1)]
            found.setdefault(stage, set()).add(call_key(recipe, first + at, digest))
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_keys_that_are_foreseen_are_those_that_a_run_keeps(project, shape):
    project.functions(FUNCTIONS)
    (project.folder / "data").write_text("1\n2\n3\n")
    project.stages(SHAPES[shape])
    plan = Pipeline.load(project.file).plan(workers=2)
    told, known = recipes(plan), foresee(plan)
    before = {name: set(known[name].keys(recipe)) for name, recipe in told.items()}
    assert not project.made()
    assert project.run().status == "done"
    assert kept(project) == before


@pytest.mark.parametrize("shape", ONLY_A_RUN_CAN_TELL)
def test_what_only_a_run_can_tell_is_not_foreseen(project, shape):
    project.functions(FUNCTIONS)
    project.stages(ONLY_A_RUN_CAN_TELL[shape])
    assert foresee(Pipeline.load(project.file).plan())["a"] is None


def test_a_lazy_source_is_not_drawn_from(project):
    from pipeline_runner import Stage

    drawn = iter([1, 2, 3])
    pipeline = Pipeline("p", [Stage("a", call=len, over=drawn)], folder=project.folder)
    assert foresee(pipeline.plan())["a"] is None
    assert list(drawn) == [1, 2, 3]
