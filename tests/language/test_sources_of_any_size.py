"""Sources of no items, of very many, of a number that only the run knows, and fan-out within fan-out.

Nothing goes through every argument style and every kind of `returns`, on every method of the table, as scatter over an
empty list does in CWL: no calls, and an empty list.
"""

from __future__ import annotations

import json

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.axes import Returns, Style
from pipeline_runner.backends import table

pytestmark = pytest.mark.timeout(110)

FUNCTIONS = """
def pair(*given, **named): return [list(given), named]
def same(x): return x
def total(values): return sum(values)
def echo(x, y=None, first=None): return " ".join(["foo", *filter(None, (first, x, y))])
def echoes(rows, first=None): return [echo(**row, first=first) for row in rows]
def nothing(): return []
def none_of(x): return []
def count():
    n = 0
    while True:
        yield n
        n += 1
def upto(n): return list(range(n))
def size(values): return len(values)
"""
EMPTY = {
    "list": [],
    "param": "${params.none}",
    "range": {"range": 0},
    "backwards": {"range": [5, 0]},
    "glob": {"glob": "*.no"},
    "lines": {"lines": "empty.txt"},
    "csv": {"csv": "empty.txt"},
    "csv_of_a_head": {"csv": "head.csv"},
    "jsonl": {"jsonl": "empty.txt"},
    "matrix": {"matrix": {"a": [1, 2], "b": []}},
    "nested": {"matrix": {"a": {"matrix": {"b": []}}, "c": [1]}},
    "excluded": {"matrix": {"a": [1]}, "exclude": [{"a": 1}]},
    "batches": {"batches": [], "size": 3},
    "generate": {"generate": "work:nothing"},
    "take": {"generate": "work:count", "take": 0},
    "stage": "${stages.no_items}",
    "value": "${stages.no_value}",
    "computed": "${stages.no_items | sort}",
}
SOURCES = {"no_value": {"call": "work:nothing"}, "no_items": {"call": "work:same", "over": []}}


@pytest.fixture
def made(tmp_path):
    (tmp_path / "work.py").write_text(FUNCTIONS)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "head.csv").write_text("a,b\n")

    def made(stages, **top):
        text = json.dumps({"version": 1, "params": {"none": []}, "stages": stages, **top})
        return Pipeline.from_text(text, folder=tmp_path)

    return made


def test_every_empty_source_makes_no_calls_and_an_empty_list(made):
    stages = {name: {"call": "work:pair", "over": over} for name, over in EMPTY.items()}
    result = made({**SOURCES, **stages}).run(workers=2, keep="all")
    assert {name: result[name] for name in stages} == {name: [] for name in stages}
    assert {str(result.state.stages[name].status) for name in stages} == {"done"}
    assert {result.state.stages[name].calls for name in stages} == {0}


STYLES = {
    Style.MAP: {"matrix": {"a": [], "b": [1, 2]}},
    Style.STAR: {"matrix": {"a": [], "b": [1, 2]}},
    Style.SINGLE: {"matrix": {"a": [], "b": [1, 2]}},
    Style.ZIP: {"x": [], "y": {"range": 0}},
}


def test_nothing_goes_through_every_style_and_kind_of_returns_on_every_method(made):
    stages = {
        f"s{number}": {
            "call": "work:pair",
            "over": STYLES[style],
            "method": method.name,
            "args": style,
            "returns": returns,
        }
        for number, (method, style, returns) in enumerate(
            (method, style, returns)
            for method in table()
            if table().owners[method.name].local
            for style in sorted(method.styles)
            for returns in sorted(method.offers)
        )
    }
    assert {stage["args"] for stage in stages.values()} == set(Style)
    assert {stage["returns"] for stage in stages.values()} == set(Returns)
    result = made(stages).run(workers=2, keep="all")
    assert result.status == "done"
    got = {name: result[name] for name in stages}
    assert got == {name: None if stage["returns"] == "none" else [] for name, stage in stages.items()}


@pytest.mark.parametrize("returns", ["apply_result", "map_result", "iterator", "unordered"])
def test_what_a_live_run_hands_out_for_nothing_is_empty_too(made, returns):
    with made({"a": {"call": "work:same", "over": [], "returns": returns}}).start(workers=2) as run:
        found = run["a"]
        assert (found.get(10) if returns == "map_result" else list(found)) == []


# Scatter, by the labels of CWL's conformance tests (`common-workflow-language/common-workflow-language`,
# v1.0/conformance_test_v1.0.yaml): dotproduct is zip, flat_crossproduct is a matrix, and nested_crossproduct, which
# there is none of here, is a matrix in batches as long as the second axis.
FOUR = ["one", "two", "three", "four"]
CROSS = {"matrix": {"x": ["one", "two"], "y": ["three", "four"]}}
DOT = {"x": ["one", "two"], "y": ["three", "four"]}
NESTED = {"call": "work:echoes", "args": "map"}
SCATTER = {
    "wf_scatter_single_param": ({"over": FOUR}, ["foo one", "foo two", "foo three", "foo four"]),
    "wf_scatter_two_nested_crossproduct": (
        {**NESTED, "over": {"batches": CROSS, "size": 2}},
        [["foo one three", "foo one four"], ["foo two three", "foo two four"]],
    ),
    "wf_scatter_two_flat_crossproduct": (
        {"over": CROSS, "args": "star"},
        ["foo one three", "foo one four", "foo two three", "foo two four"],
    ),
    "wf_scatter_two_dotproduct": ({"over": DOT}, ["foo one three", "foo two four"]),
    "wf_scatter_emptylist": ({"over": []}, []),
    # [[], []] there: one empty list for each value of the first axis. A matrix has no rows then, so there are no batches.
    "wf_scatter_nested_crossproduct_secondempty": (
        {**NESTED, "over": {"batches": {"matrix": {"x": ["one", "two"], "y": []}}, "size": 1}},
        [],
    ),
    "wf_scatter_nested_crossproduct_firstempty": (
        {**NESTED, "over": {"batches": {"matrix": {"x": [], "y": ["three", "four"]}}, "size": 2}},
        [],
    ),
    "wf_scatter_flat_crossproduct_oneempty": (
        {"over": {"matrix": {"x": ["one", "two"], "y": []}}, "args": "star"},
        [],
    ),
    "wf_scatter_dotproduct_twoempty": ({"over": {"x": [], "y": []}}, []),
    # The workflows scatter-valuefrom-wf1.cwl to scatter-valuefrom-wf5.cwl, which have no labels in v1.0.
    "scatter-valuefrom-wf1": (
        {"over": {"matrix": {"x": ["one"], "y": FOUR}}, "args": "star"},
        ["foo one one", "foo one two", "foo one three", "foo one four"],
    ),
    "scatter-valuefrom-wf2": (
        {**NESTED, "over": {"batches": CROSS, "size": 2}, "with": {"first": "one"}},
        [["foo one one three", "foo one one four"], ["foo one two three", "foo one two four"]],
    ),
    "scatter-valuefrom-wf3": (
        {"over": CROSS, "args": "star", "with": {"first": "one"}},
        ["foo one one three", "foo one one four", "foo one two three", "foo one two four"],
    ),
    "scatter-valuefrom-wf4": (
        {"over": DOT, "with": {"first": "one"}},
        ["foo one one three", "foo one two four"],
    ),
    "scatter-valuefrom-wf5": (
        {"over": FOUR, "with": {"y": "${item}"}},
        ["foo one one", "foo two two", "foo three three", "foo four four"],
    ),
}


@pytest.mark.parametrize("case", SCATTER)
def test_scatter_gives_what_cwl_gives(made, case):
    keys, expected = SCATTER[case]
    assert made({"a": {"call": "work:echo", "returns": "list", **keys}}).run(workers=2)["a"] == expected


def test_a_fan_out_of_nothing_is_read_as_an_empty_list(made):
    # Airflow (tests/ti_deps/deps/test_trigger_rule_dep.py, test_upstream_in_mapped_group_when_mapped_tasks_list_is_empty)
    # has nothing to run then, also not what reads it. Here all is done, and an empty list is read.
    stages = {
        "t1": {"call": "work:same", "over": []},
        "t2": {"call": "work:same", "over": "${stages.t1}"},
        "t3": {"call": "work:same", "with": {"x": "${stages.t2}"}},
    }
    result = made(stages).run(workers=2)
    assert (result["t3"], {str(stage.status) for stage in result.state.stages.values()}) == ([], {"done"})


def test_dot_of_unequal_columns_is_refused_even_when_one_is_empty(made):
    from pipeline_runner import Problems

    with pytest.raises(Problems, match="x has 0, y has 2"):
        made({"a": {"call": "work:pair", "over": {"x": [], "y": [1, 2]}}})


def test_a_stage_that_reads_nothing_reads_an_empty_list(made):
    stages = {
        "none": {"call": "work:same", "over": [], "returns": "iterator"},
        "then": {"call": "work:same", "over": "${stages.none}"},
        "batched": {"call": "work:same", "over": {"batches": "${stages.then}", "size": 2}},
        "sum": {"call": "work:total", "with": {"values": "${stages.batched}"}},
    }
    assert made(stages).run(workers=2)["sum"] == 0


def test_what_was_skipped_has_no_items_for_a_stage_that_always_runs(made):
    always = {"call": "work:pair", "if": "always"}
    stages = {
        "one": {"call": "work:same", "with": {"x": [1]}, "if": False},
        "many": {"call": "work:same", "over": [1, 2], "if": False},
        "batched": {**always, "over": {"batches": "${stages.many}", "size": 2}},
        "batched_one": {**always, "over": {"batches": "${stages.one}", "size": 2}},
        "matrix": {**always, "over": {"matrix": {"x": "${stages.many}", "y": [1]}}},
        "matrix_one": {**always, "over": {"matrix": {"x": "${stages.one}", "y": [1]}}},
        "beside": {**always, "over": {"x": {"batches": "${stages.many}", "size": 1}, "y": [1, 2]}},
    }
    result = made(stages).run(workers=2, keep="all")
    assert {name: result[name] for name in list(stages)[2:]} == {name: [] for name in list(stages)[2:]}


def test_how_many_items_there_are_may_be_known_only_in_the_run(made):
    stages = {
        "many": {"call": "work:upto", "with": {"n": "${params.n}"}},
        "each": {"call": "work:same", "over": "${stages.many}", "returns": "iterator"},
        "sum": {"call": "work:total", "with": {"values": "${stages.each}"}},
    }
    for n in (0, 1, 50):
        result = made(stages, params={"n": n}).run(workers=2)
        assert (result["sum"], result.state.stages["each"].calls) == (sum(range(n)), n)


def test_a_fan_out_within_a_fan_out(made):
    stages = {
        "outer": {"call": "work:upto", "over": [3, 0, 2], "returns": "list"},
        "inner": {"call": "work:same", "over": "${stages.outer | sum(start=[])}", "returns": "list"},
        "deeper": {"call": "work:upto", "over": "${stages.inner}", "returns": "list"},
        "all": {"call": "work:same", "over": "${stages.deeper[2]}", "returns": "list"},
    }
    result = made(stages).run(workers=2, keep="all")
    assert result["inner"] == [0, 1, 2, 0, 1]
    assert result["deeper"] == [[], [0], [0, 1], [], [0]]
    assert result["all"] == [0, 1]


@pytest.mark.parametrize("returns", ["list", "iterator", "unordered"])
def test_a_fan_in_of_ten_thousand(made, returns):
    stages = {
        "each": {"call": "work:same", "over": {"range": 10_000}, "returns": returns},
        "sum": {"call": "work:total", "with": {"values": "${stages.each}"}},
        "batched": {"call": "work:size", "over": {"batches": "${stages.each}", "size": 1000}, "returns": "list"},
    }
    result = made(stages).run(workers=2)
    assert result["sum"] == sum(range(10_000))
    assert result["batched"] == [1000] * 10


def test_an_endless_generator_is_bounded_by_take(made):
    stage = {"call": "work:same", "over": {"generate": "work:count", "take": 5}, "returns": "list"}
    assert made({"a": stage}).run(workers=2)["a"] == [0, 1, 2, 3, 4]


def test_a_method_that_reads_all_of_an_endless_source_first_is_warned_of(made):
    from pipeline_runner.plan.check import cautions

    stage = {
        "call": "work:size",
        "over": {"batches": {"generate": "work:count"}, "size": 2},
        "method": "multiprocessing.Pool.map",
    }
    (said,) = cautions(made({"a": stage}).plan())
    assert "bound it with `take`" in said
