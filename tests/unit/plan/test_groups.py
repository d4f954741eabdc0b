"""Edges, groups, chains and waves."""

from __future__ import annotations

import pytest

from pipeline_runner.axes import OnError, Returns, Style
from pipeline_runner.plan.plan import Plan
from pipeline_runner.spec.pipeline import FromStage, Glob
from pipeline_runner.syntax.expressions import Reference

LIST, ITERATOR, UNORDERED = Returns.LIST, Returns.ITERATOR, Returns.UNORDERED
READ = {"over": [1, 2, 3]}


def kinds(plan: Plan) -> dict[tuple[str, str], str]:
    return {(edge.source, edge.target): str(edge.kind) for edge in plan.edges}


def chains(plan: Plan) -> list[list[str]]:
    return [["+".join(chain.stages) for chain in group.chains] for group in plan.groups]


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ({"over": "read"}, "stream"),
        ({"over": ("read", [1, 2, 3])}, "stream"),
        ({"over": ("read", "read")}, "stream"),
        ({"over": "read", "style": Style.SINGLE}, "stream"),
        ({"over": FromStage(Reference("stages", ("read", 0)))}, "barrier"),
        ({"over": "read", "constants": {"all": Reference("stages", ("read",))}}, "barrier"),
        ({"over": "read", "setup_with": {"all": Reference("stages", ("read",))}}, "barrier"),
        ({"over": "read", "needs": ["read"]}, "barrier"),
        ({"over": "read", "returns": LIST}, "barrier"),
        ({"constants": {"all": Reference("stages", ("read",))}}, "barrier"),
        ({"needs": ["read"]}, "order"),
    ],
)
def test_the_kind_of_an_edge(plan, target, kind):
    (edge,) = plan({"read": READ, "work": target}).edges
    assert edge.kind == kind
    assert edge.why


@pytest.mark.parametrize("source", [{}, {"over": [1], "returns": LIST}, {"over": [[1]], "style": Style.STAR}])
def test_a_source_whose_values_do_not_stream_is_a_barrier(plan, source):
    assert kinds(plan({"read": source, "work": {"over": "read"}})) == {("read", "work"): "barrier"}


def test_a_stage_that_also_waits_for_what_its_source_feeds_takes_no_stream(plan, stage):
    made = plan({"a": READ, "b": {"over": "a", "constants": {"n": stage("size")}}, "size": {"constants": [stage("a")]}})
    assert kinds(made) == {("a", "b"): "barrier", ("a", "size"): "barrier", ("size", "b"): "barrier"}
    assert made.waves == ((0,), (1,), (2,))


def test_inside_a_group_no_stage_waits_for_the_end_of_another(plan):
    made = plan({"a": READ, "b": {"over": "a"}, "c": {"over": "b", "needs": ["a"]}})
    assert kinds(made) == {("a", "b"): "stream", ("a", "c"): "order", ("b", "c"): "barrier"}


def test_a_stream_beside_a_barrier_from_elsewhere_stays_a_stream(plan, stage):
    made = plan({"a": READ, "config": {}, "b": {"over": "a", "constants": {"c": stage("config")}}})
    assert kinds(made)["a", "b"] == "stream"
    assert chains(made) == [["config"], ["a", "b"]]
    assert made.waves == ((0,), (1,))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"constants": {"n": Reference("item")}}),
        ({}, {"constants": {"n": Reference("index")}}),
        ({}, {"returns": UNORDERED}),
        ({}, {"workers": 2}),
        ({}, {"env": {"A": "b"}}),
        ({}, {"chunk": 3}),
        ({}, {"window": 3}),
        ({}, {"timeout_s": 3.0}),
        ({"timeout_s": 3.0}, {}),
        ({}, {"style": Style.SINGLE}),
        ({}, {"over": ("a", [1, 2, 3])}),
        ({}, {"needs": ["config"]}),
        ({}, {"max_calls_per_worker": 2}),
    ],
)
def test_stages_that_differ_in_what_a_trip_needs_are_not_fused(plan, first, second):
    made = plan({"config": {}, "a": READ | first, "b": {"over": "a"} | second})
    assert chains(made)[-1] == ["a", "b"]


def test_stages_that_agree_make_one_trip(plan, stage):
    made = plan(
        {"config": {}, "a": READ | {"needs": ["config"]}, "b": {"over": "a", "needs": ["config"]}, "c": {"over": "b"}}
    )
    assert chains(made) == [["config"], ["a+b+c"]]


def test_a_second_stream_reader_ends_a_chain_and_another_kind_of_reader_does_not(plan, stage):
    streams = plan({"a": READ, "b": {"over": "a"}, "c": {"over": "a"}})
    assert chains(streams) == [["a", "b", "c"]]
    barriers = plan({"a": READ, "b": {"over": "a"}, "c": {"constants": {"all": stage("a")}}})
    assert chains(barriers) == [["a+b"], ["c"]]


def test_groups_of_a_wave_do_not_wait_for_one_another(plan):
    stages = {"a": {}, "b": {}, "c": {"needs": ["a"]}, "d": {"needs": ["a", "b"]}, "e": {"needs": ["d"]}}
    assert plan(stages).waves == ((0, 1), (2, 3), (4,))


@pytest.mark.parametrize(
    ("keys", "calls"),
    [
        ({}, 1),
        ({"over": [1, 2]}, 2),
        ({"over": []}, 0),
        ({"over": "three"}, 3),
        ({"over": ("three", [1, 2, 3])}, 3),
        ({"over": ("three", [1]), "shortest": True}, 1),
        ({"over": ("three", "some")}, None),
        ({"over": "some"}, None),
        ({"over": "one"}, None),
        ({"over": iter([1, 2])}, None),
        ({"over": Glob("*.nothing")}, 0),
    ],
)
def test_calls_are_counted_where_they_are_known(plan, write, keys, calls):
    if hasattr(keys.get("over"), "__next__"):
        from pipeline_runner.spec.pipeline import Items

        keys = {"over": Items(keys["over"])}
    stages = {"one": {}, "three": READ, "some": READ | {"on_error": OnError.SKIP}, "work": keys}
    assert plan(stages).stages["work"].calls == calls


@pytest.mark.parametrize(
    ("keys", "workers"),
    [
        ({}, 1),
        ({"over": list(range(9))}, 4),
        ({"over": [1, 2]}, 2),
        ({"over": list(range(9)), "workers": 3}, 3),
        ({"over": list(range(9)), "workers": 64}, 4),
        ({"over": list(range(90)), "workers": 64, "backend": "threads"}, 64),
        ({"over": list(range(90)), "backend": "serial"}, 1),
        ({"over": list(range(9)), "method": "multiprocessing.Pool.apply", "workers": 3}, 1),
    ],
)
def test_no_more_workers_than_are_allowed_and_can_be_used(plan, keys, workers):
    assert plan({"work": keys}).stages["work"].workers == workers


def test_the_window_is_four_chunks_a_worker_unless_it_is_said(plan):
    stages = plan({"a": {"over": list(range(9))}, "b": {"over": list(range(9)), "window": 7}}).stages
    assert (stages["a"].window, stages["b"].window) == (16, 7)


def test_the_start_method_is_told_where_the_library_has_a_choice(plan):
    stages = plan({"a": {}, "b": {"backend": "ppft"}, "c": {"backend": "threads"}}).stages
    assert [stage.start_method for stage in stages.values()] == ["forkserver", None, None]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shape", ["a row", "a fan", "a ladder"])
def test_thousands_of_stages_are_planned_in_seconds_and_without_recursion(plan, shape):
    count = 3000
    stages = {"s0": dict(READ)}
    for number in range(1, count):
        source = {"a row": number - 1, "a fan": 0, "a ladder": max(0, number - 2)}[shape]
        stages[f"s{number}"] = {"over": f"s{source}"}
        if shape == "a ladder" and number % 3 == 0:
            stages[f"s{number}"]["needs"] = [f"s{number - 1}"]
    made = plan(stages)
    assert sum(len(group.stages) for group in made.groups) == count
