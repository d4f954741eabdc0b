"""Whoever resumes makes exactly the calls that are owed, whatever the shape of the stage is."""

from __future__ import annotations

import os

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.record.errors import StoreError
from pipeline_runner.record.looking import Looking
from pipeline_runner.record.record import Record
from pipeline_runner.record.store import Store

pytestmark = pytest.mark.timeout(90)

FUNCTIONS = """
def double(x):
    note("double", x)
    if (HERE / f"fail-{x}").exists():
        raise ValueError(f"no {x}")
    return 2 * x

def inc(x):
    note("inc", x)
    if (HERE / f"fail-inc-{x}").exists():
        raise ValueError(f"no {x}")
    return x + 1

def pair(x, y):
    note("pair", x, y)
    return [x, y]

def total(values, plus=0):
    note("total")
    return sum(values) + plus

def fan():
    note("fan")
    return (HERE / "fan").read_text().split()

def word(x, y=""):
    note("word", x, y)
    return x + y

def size(path):
    note("size", path)
    return len((HERE / path).read_text())

def row(row):
    note("row", *row.values())
    return row

def count(n):
    return iter(range(n))

def twice(x):
    note("twice", x)
    return os.urandom(4)

def nothing(x):
    note("nothing", x)
"""


@pytest.fixture
def project(project):
    project.functions(FUNCTIONS)
    return project


def again(project, **more):
    """Resume, and give what was made."""
    project.made()
    result = project.run(resume=True, **more)
    return result, sorted(project.made().elements())


SHAPES = {
    "single over items": {"a": {"call": "work:pair", "over": [[1, 2], [3, 4]], "args": "single"}},
    "single over mappings": {"a": {"call": "work:pair", "over": [{"x": 1, "y": 2}], "args": "single"}},
    "one call": {"a": {"call": "work:total", "with": {"values": [1, 2]}}},
    "map": {"a": {"call": "work:double", "over": [1, 2, 3]}},
    "map in the runner": {"a": {"call": "work:double", "over": [1, 2, 3], "backend": "serial"}},
    "threads": {"a": {"call": "work:double", "over": [1, 2, 3], "backend": "threads"}},
    "star": {"a": {"call": "work:pair", "over": [[1, 2], [3, 4]], "args": "star"}},
    "zip": {"a": {"call": "work:pair", "over": [[1, 2], [3, 4]], "args": "zip"}},
    "zip by names": {"a": {"call": "work:pair", "over": {"x": [1, 2], "y": {"range": 2}}}},
    "range": {"a": {"call": "work:double", "over": {"range": [2, 9, 3]}}},
    "generate": {"a": {"call": "work:double", "over": {"generate": "work:count", "with": {"n": 4}}}},
    "with item": {"a": {"call": "work:word", "over": ["p", "q"], "with": {"y": "${item}-${index}"}}},
    "nothing returned": {"a": {"call": "work:nothing", "over": [1, 2], "returns": "none"}},
    "unordered": {"a": {"call": "work:double", "over": [1, 2, 3], "returns": "unordered"}},
    "handles": {"a": {"call": "work:double", "over": [1, 2, 3], "returns": "apply_result"}},
    "fused": {
        "a": {"call": "work:double", "over": [1, 2, 3]},
        "b": {"call": "work:inc", "over": "${stages.a}"},
        "c": {"call": "work:double", "over": "${stages.b}"},
    },
    "streams of two libraries": {
        "a": {"call": "work:double", "over": [1, 2, 3], "backend": "multiprocessing"},
        "b": {"call": "work:inc", "over": "${stages.a}", "backend": "futures"},
    },
    "barrier": {
        "a": {"call": "work:double", "over": [1, 2, 3], "returns": "list"},
        "b": {"call": "work:inc", "over": "${stages.a}"},
        "t": {"call": "work:total", "with": {"values": "${stages.b}"}},
    },
    "fan out": {
        "a": {"call": "work:fan"},
        "b": {"call": "work:word", "over": "${stages.a}"},
    },
    "zip of a stage and a list": {
        "a": {"call": "work:double", "over": [1, 2, 3]},
        "b": {"call": "work:pair", "over": ["${stages.a}", [4, 5, 6]], "args": "zip"},
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_that_has_ended_owes_nothing(project, shape):
    (project.folder / "fan").write_text("u v w")
    project.stages(SHAPES[shape])
    first = project.run()
    assert first.status == "done"
    second, made = again(project)
    assert made == []
    assert dict(second) == dict(first) or "unordered" in shape
    assert {str(stage.status) for stage in second.state.stages.values()} == {"reused"}
    assert again(project)[1] == []


def of_list(items):
    return {"a": {"call": "work:double", "over": items}}


@pytest.mark.parametrize(
    ("items", "owed"),
    [
        ([1, 2, 9, 4], ["double 9"]),
        ([0, 1, 2, 3, 4], ["double 0"]),
        ([1, 2, 3, 4, 5], ["double 5"]),
        ([1, 2, 7, 3, 4], ["double 7"]),
        ([2, 3], []),
        ([4, 3, 2, 1], []),
        ([1, 1, 2], ["double 1"]),
        ([1.0, True, 2], ["double 1.0", "double True"]),
    ],
)
def test_of_a_list_that_was_edited_only_new_items_are_owed(project, items, owed):
    project.stages(of_list([1, 2, 3, 4]))
    project.run()
    project.stages(of_list(items))
    result, made = again(project)
    assert made == owed
    assert result["a"] == [2 * item for item in items]
    assert again(project)[1] == []


def test_two_calls_of_equal_arguments_are_two_calls(project):
    project.stages({"a": {"call": "work:twice", "over": [7, 7]}})
    first = project.run()["a"]
    project.stages({"a": {"call": "work:twice", "over": [7, 7, 7]}})
    result, made = again(project)
    assert made == ["twice 7"]
    assert result["a"][:2] == first
    assert len(set(result["a"])) == 3


def test_what_was_made_of_an_edited_item_is_owed_even_if_the_edit_was_interrupted(project):
    """The item's own call ended in the run between, the one made of it did not."""
    stages = {
        "a": {"call": "work:double", "over": [1, 2], "backend": "multiprocessing"},
        "b": {"call": "work:inc", "over": "${stages.a}", "backend": "futures"},
        "t": {"call": "work:total", "with": {"values": "${stages.b}"}},
    }
    project.stages(stages)
    project.run()
    stages["a"]["over"] = [1, 5]
    project.stages(stages)
    (project.folder / "fail-inc-10").touch()
    assert again(project)[1] == ["double 5", "inc 10"]
    (project.folder / "fail-inc-10").unlink()
    result, made = again(project)
    assert made == ["inc 10", "total"]
    assert result["t"] == 3 + 11
    stages["a"]["over"] = [1, 2]
    project.stages(stages)
    result, made = again(project)
    assert (result["t"], made) == (8, [])


def test_a_whole_result_that_has_lost_an_item_is_another(project):
    stages = of_list([1, 2, 3])
    stages["t"] = {"call": "work:total", "with": {"values": "${stages.a}"}}
    project.stages(stages)
    project.run()
    for items in ([1, 2], [1, 2, 3], [3, 2, 1]):
        stages["a"]["over"] = items
        project.stages(stages)
        result, made = again(project)
        assert result["t"] == 2 * sum(items)
        assert again(project)[1] == []
    assert made == ["total"]


def test_files_of_a_glob_are_owed_when_they_are_new_or_changed(project):
    for name in ("b", "c", "d"):
        (project.folder / f"{name}.txt").write_text(name)
    project.stages({"a": {"call": "work:size", "over": {"glob": "*.txt"}}})
    project.run()
    (project.folder / "a.txt").write_text("first of all")
    (project.folder / "c.txt").write_text("changed")
    (project.folder / "d.txt").unlink()
    result, made = again(project)
    assert made == ["size a.txt", "size c.txt"]
    assert result["a"] == [12, 1, 7]
    os.utime(project.folder / "b.txt", (1, 1))
    assert again(project)[1] == []  # only what is in a file counts


@pytest.mark.parametrize(
    ("source", "before", "after", "owed"),
    [
        ("lines", "1\n2\n", "0\n1\n2\n", ["word 0"]),
        ("csv", "k\n1\n2\n", "k\n1\n3\n2\n", ["row 3"]),
        ("jsonl", '{"k": 1}\n{"k": 2}\n', '{"k": 2}\n{"k": 4}\n', ["row 4"]),
    ],
)
def test_rows_of_a_file_are_owed_when_they_are_new(project, source, before, after, owed):
    (project.folder / "data").write_text(before)
    project.stages({"a": {"call": f"work:{'word' if source == 'lines' else 'row'}", "over": {source: "data"}}})
    project.run()
    (project.folder / "data").write_text(after)
    assert [line.strip() for line in again(project)[1]] == owed


def test_items_that_a_single_call_fans_out_to_are_told_apart_by_what_they_are(project):
    stages = {
        "a": {"call": "work:fan", "with": {}},
        "b": {"call": "work:word", "over": "${stages.a}"},
    }
    (project.folder / "fan").write_text("u v w")
    project.stages(stages)
    project.run()
    (project.folder / "fan").write_text("t u w")
    project.functions(FUNCTIONS.replace('note("fan")', 'note("fan again")'))
    result, made = again(project)
    assert made == ["fan again", "word t ", "word u ", "word w "]  # its recipe has that of its source
    assert result["b"] == ["t", "u", "w"]


def test_calls_that_failed_are_owed_again(project):
    project.stages(
        {
            "a": {"call": "work:double", "over": [1, 2, 3], "on_error": "skip"},
            "t": {"call": "work:total", "with": {"values": "${stages.a}"}},
        }
    )
    (project.folder / "fail-2").touch()
    assert project.run()["t"] == 8
    assert again(project)[1] == ["double 2"]
    (project.folder / "fail-2").unlink()
    result, made = again(project)
    assert made == ["double 2", "total"]
    assert result["t"] == 12


@pytest.mark.parametrize("chain", [2, 3])
def test_of_a_chain_only_the_step_that_failed_is_owed(project, chain):
    stages = {
        "a": {"call": "work:double", "over": [1, 2, 3], "on_error": "finish"},
        "b": {"call": "work:inc", "over": "${stages.a}", "on_error": "finish"},
        "c": {"call": "work:double", "over": "${stages.b}", "on_error": "finish"},
    }
    project.stages(dict(list(stages.items())[:chain]))
    (project.folder / "fail-inc-4").touch()
    assert project.run(keep=()).status == "failed"
    assert again(project, keep=())[1] == ["inc 4"]
    (project.folder / "fail-inc-4").unlink()
    result, made = again(project, keep=())
    assert made == ["double 5", "inc 4"][3 - chain :]
    assert result[["b", "c"][chain - 2]] == ([3, 5, 7] if chain == 2 else [6, 10, 14])
    assert again(project, keep=())[1] == []


def test_what_only_came_before_it_is_part_of_what_a_call_depends_on(project):
    stages = of_list([1, 2])
    stages["b"] = {"call": "work:nothing", "over": [1], "needs": ["a"]}
    project.stages(stages)
    project.run()
    stages["a"]["over"] = [1, 3]
    project.stages(stages)
    assert again(project)[1] == ["double 3", "nothing 1"]


def test_a_parameter_that_is_given_anew_makes_owed_what_it_reaches(project):
    project.stages(
        {
            "a": {"call": "work:double", "over": [1, 2]},
            "t": {"call": "work:total", "with": {"values": "${stages.a}", "plus": "${params.plus}"}},
        },
        params={"plus": 1},
    )
    project.run()
    result, made = again(project, params={"plus": 5})
    assert made == ["total"]
    assert result["t"] == 11


def test_a_function_that_was_edited_owes_its_calls_and_those_made_of_them(project):
    project.stages(SHAPES["fused"])
    project.run()
    project.functions(FUNCTIONS.replace("x + 1", "x + 10"))
    result, made = again(project)
    assert [line.split()[0] for line in made] == ["double"] * 3 + ["inc"] * 3
    assert result["c"] == [24, 28, 32]


def test_stages_that_come_go_or_change_their_name_leave_the_others(project):
    project.stages(SHAPES["barrier"])
    project.run()
    stages = dict(SHAPES["barrier"])
    stages["new"] = {"call": "work:total", "with": {"values": "${stages.b}", "plus": 1}}
    del stages["t"]
    project.stages(stages)
    assert again(project)[1] == ["total"]
    project.stages(SHAPES["barrier"])
    assert again(project)[1] == []


@pytest.mark.parametrize(
    "change",
    [
        {"method": "multiprocessing.Pool.imap"},
        {"method": "multiprocessing.Pool.map"},
        {"backend": "pathos"},
        {"backend": "serial"},
        {"chunk": 1},
        {"workers": 1},
        {"retry": 3},
        {"timeout": "10s"},
    ],
)
def test_how_calls_are_run_is_no_part_of_what_they_are(project, change):
    project.stages(SHAPES["fused"])
    project.run()
    stages = {name: dict(stage) for name, stage in SHAPES["fused"].items()}
    stages["b"].update(change)
    project.stages(stages)
    assert again(project)[1] == []


def test_a_run_whose_journal_cannot_be_opened_is_told_so_and_does_not_keep_others_out(project):
    project.functions("def same(x): return x")
    project.stages({"a": {"call": "work:same", "over": [1, 2]}})
    assert project.run()["a"] == [1, 2]
    plan = Pipeline.load(project.file).plan()
    store = Store(project.state)
    project.state.joinpath("journal.db").rename(project.state / "elsewhere.db")
    project.state.joinpath("journal.db").mkdir()
    with pytest.raises(StoreError, match=r"journal\.db: the run store cannot be used"):
        Record(store, "r", plan, looking=Looking(), about={})
    project.state.joinpath("journal.db").rmdir()
    project.state.joinpath("elsewhere.db").rename(project.state / "journal.db")
    assert project.run()["a"] == [1, 2]
