"""`{matrix: …}` in a pipeline: what its axes may be, how a row becomes a call, and what is known before the run."""

from __future__ import annotations

import json

import pytest

from pipeline_runner import Pipeline, Problems, Stage
from pipeline_runner.plan.plan import EdgeKind

pytestmark = pytest.mark.timeout(60)

FUNCTIONS = """
def row(row): return row
def spread(**row): return dict(row)
def named(a, b, extra=None): return [a, b, extra]
def beside(x, row): return [x, row]
def double(x): return x * 2
def grid(): return [10, 20]
"""
TWO = {"matrix": {"a": [1, 2], "b": ["x", "y"]}}
ROWS = [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]


@pytest.fixture
def made(tmp_path):
    (tmp_path / "work.py").write_text(FUNCTIONS)

    def made(stages, **top):
        return Pipeline.from_text(json.dumps({"version": 1, "stages": stages, **top}), folder=tmp_path)

    return made


@pytest.fixture
def given(made):
    """The rows that a stage over this gets, without a pool."""

    def given(over, **top):
        stage = {"call": "work:row", "over": over, "backend": "serial", "returns": "list"}
        return made({"a": stage}, **top).run(workers=1)["a"]

    return given


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ({"call": "work:row", "args": "map"}, ROWS),
        ({"call": "work:row"}, ROWS),
        ({"call": "work:spread", "args": "star"}, ROWS),
        ({"call": "work:spread", "args": "single"}, ROWS),
        ({"call": "work:named", "args": "star", "with": {"extra": 7}}, [[r["a"], r["b"], 7] for r in ROWS]),
        ({"call": "work:named", "args": "single", "with": {"extra": "${item.b}"}}, [[r["a"], r["b"], r["b"]] for r in ROWS]),
    ],
)  # fmt: skip
def test_a_row_is_one_argument_or_spread_as_keywords(made, keys, values):
    assert made({"a": {"over": TWO, "returns": "list", **keys}}).run(workers=2)["a"] == values


def test_a_matrix_may_be_a_column(made):
    stage = {"call": "work:beside", "over": {"x": {"range": 4}, "row": TWO}, "returns": "list"}
    assert made({"a": stage}).run(workers=2)["a"] == [[n, row] for n, row in enumerate(ROWS)]


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ({"range": [0, 30, 10]}, [0, 10, 20]),
        ("${params.sizes}", [3, 4]),
        ("${params.sizes | sort(reverse=true)}", [4, 3]),
        ({"glob": "*.txt"}, ["a.txt", "b.txt"]),
        ({"lines": "a.txt"}, ["one", "two"]),
        ({"csv": "a.csv"}, [{"n": "1"}]),
        ({"generate": "work:grid", "take": 9}, [10, 20]),
        ({"batches": {"range": 3}, "size": 2}, [[0, 1], [2]]),
        ({"matrix": {"x": [1, 2]}}, [{"x": 1}, {"x": 2}]),
        ([[1, 2], {"deep": [3]}, None], [[1, 2], {"deep": [3]}, None]),
        ([], []),
    ],
)
def test_an_axis_is_any_source_that_ends(given, tmp_path, axis, values):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "a.csv").write_text("n\n1\n")
    rows = given({"matrix": {"v": axis, "w": [0]}}, params={"sizes": [3, 4]})
    assert rows == [{"v": value, "w": 0} for value in values]


def test_an_axis_may_be_what_another_stage_gives(made):
    stages = {
        "grid": {"call": "work:grid"},
        "numbers": {"call": "work:double", "over": [1, 2, 3], "returns": "iterator"},
        "a": {
            "call": "work:row",
            "over": {"matrix": {"g": "${stages.grid}", "n": "${[stages.numbers | max]}", "m": "${stages.numbers}"}},
            "returns": "list",
        },
    }
    pipeline = made(stages)
    assert pipeline.run(workers=2)["a"] == [{"g": g, "n": 6, "m": m} for g in (10, 20) for m in (2, 4, 6)]
    edges = {edge.source: edge for edge in pipeline.plan().edges}
    assert edges["numbers"].kind is EdgeKind.BARRIER
    assert edges["numbers"].why == '"over" of a is made of the whole list of numbers'


@pytest.mark.parametrize(
    "over",
    [
        {"matrix": {"a": [1, 2], "b": [3]}, "include": [{"a": 1, "c": 5}, {"a": 9}], "exclude": [{"a": 2}]},
        {"matrix": {"a": [1, 2], "b": [3], "include": [{"a": 1, "c": 5}, {"a": 9}], "exclude": [{"a": 2}]}},
        {"matrix": "${params.grid}"},
        {"matrix": {"a": [1, 2], "b": [3]}, "include": "${params.more}", "exclude": [{"a": "${params.less}"}]},
    ],
)
def test_include_and_exclude_stand_beside_the_axes_or_as_on_github_among_them(given, over):
    more = [{"a": 1, "c": 5}, {"a": 9}]
    grid = {"a": [1, 2], "b": [3], "include": more, "exclude": [{"a": 2}]}
    rows = given(over, params={"grid": grid, "more": more, "less": 2})
    assert rows == [{"a": 1, "b": 3, "c": 5}, {"a": 9}]


# `github/docs`, data/reusables/actions/jobs/matrix-from-context.md, matrix-used-twice.md, and the example of fromJSON in
# content/actions/learn-github-actions/expressions.md.


def test_githubs_matrix_from_context(given):
    rows = given({"matrix": {"version": "${params.versions}"}}, params={"versions": [12, 14, 16]})
    assert rows == [{"version": 12}, {"version": 14}, {"version": 16}]


def test_githubs_matrix_used_twice(made):
    each = {"call": "work:row", "over": {"matrix": {"color": "${stages.define}"}}, "returns": "list"}
    stages = {
        "define": {"run": """echo '["red", "green", "blue"]'""", "stdout": "json"},
        "produce": each,
        "consume": {**each, "needs": ["produce"]},
    }
    result = made(stages).run(workers=2, keep="all")
    assert result["produce"] == result["consume"] == [{"color": color} for color in ("red", "green", "blue")]


def test_githubs_matrix_that_is_a_jobs_output_is_its_rows_here(made):
    # There the output is all of the matrix, with its `include`. Here only axes are: rows come from `over` itself.
    told = '[{"project": "foo", "config": "Debug"}, {"project": "bar", "config": "Release"}]'
    stages = {
        "job1": {"run": f"echo '{told}'", "stdout": "json"},
        "job2": {"call": "work:row", "over": "${stages.job1}", "returns": "list"},
    }
    assert made(stages).run(workers=2)["job2"] == json.loads(told)
    with pytest.raises(Problems, match='"matrix" takes a mapping of axes, not'):
        made({**stages, "job2": {"call": "work:row", "over": {"matrix": "${stages.job1}"}}})


# What Actions' builder says no to (`actions/runner`, src/Sdk/WorkflowParser/Conversion/MatrixBuilder.cs).
@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"exclude": [{"c": 1}]}, '"exclude" names no axis with "c"'),
        ({"exclude": [{}]}, '"exclude" takes a list of mappings; this is an empty mapping'),
        ({"include": [{}]}, '"include" takes a list of mappings; this is an empty mapping'),
    ],
    ids=str,
)
def test_entries_that_github_refuses_are_refused(made, entries, said):
    with pytest.raises(Problems, match=said):
        made({"a": {"call": "work:row", "over": {**TWO, **entries}}})


def test_include_alone_gives_the_rows(given):
    rows = [{"site": "production"}, {"site": "staging", "small": True}]
    assert given({"matrix": {}, "include": rows}) == rows
    assert given({"matrix": {"include": rows}}) == rows
    assert given({"matrix": {}, "include": []}) == []


@pytest.mark.parametrize(
    ("over", "calls"),
    [
        (TWO, 4),
        ({"matrix": {"a": [1, 2], "b": []}}, 0),
        ({"matrix": {"a": {"range": 1000}, "b": {"range": 1000}}}, 1_000_000),
        ({**TWO, "include": [{"c": 1}], "exclude": [{"a": 1, "b": "x"}]}, 3),
        ({**TWO, "include": [{"a": 3}]}, 5),
        ({"matrix": {}, "include": [{"a": 1}, {"a": 1}]}, 2),
        ({"matrix": {"a": [1], "b": {"generate": "work:grid", "take": 9}}}, None),
        ({"batches": TWO, "size": 3}, 2),
    ],
)
def test_the_plan_knows_how_many_combinations_there_are(made, over, calls):
    assert made({"a": {"call": "work:row", "over": over}}).plan().stages["a"].calls == calls


def test_a_matrix_of_a_million_rows_is_drawn_lazily(made):
    over = {"matrix": {"a": {"range": 10_000}, "b": {"range": 10_000}}, "exclude": [{"a": 0, "b": 0}]}
    pipeline = made({"a": {"call": "work:row", "over": over, "returns": "iterator", "chunk": 1}})
    with pipeline.start(workers=1) as run:
        assert next(run["a"]) == {"a": 0, "b": 1}
        run.cancel()


def test_axes_in_python_may_be_anything_that_ends():
    over = {"matrix": {"a": (1, 2), "b": range(2), "c": (n for n in [5])}}
    result = Pipeline("p", [Stage("a", call=dict, over=over, args="map", backend="serial")]).run(workers=1, keep="all")
    assert result["a"] == [{"a": a, "b": b, "c": 5} for a in (1, 2) for b in (0, 1)]
