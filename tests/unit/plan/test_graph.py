"""Who reads whom, and the names that are wrong."""

from __future__ import annotations

from pipeline_runner.axes import Returns
from pipeline_runner.marks import Mark
from pipeline_runner.plan.graph import draw, links, order
from pipeline_runner.plan.problems import CycleOfStages, ReadsNothing, UnknownStage
from pipeline_runner.spec.pipeline import Generate, Named
from pipeline_runner.syntax.expressions import Text


def test_a_stage_is_named_in_over_with_setup_and_needs(write, stage):
    keys = {
        "over": ("a", [1], Generate(Named("m", "f"), {"n": stage("b")})),
        "constants": {"x": [Text(("of ", stage("c")))], "y": stage("d", "key")},
        "setup_with": {"model": stage("e")},
        "needs": ["f"],
    }
    found = links(write({"work": keys}).stages["work"])
    assert [(link.source, link.key, link.items) for link in found] == [
        ("a", "over", True),
        ("b", "over", False),
        ("c", "with", False),
        ("d", "with", False),
        ("e", "setup_with", False),
        ("f", "needs", False),
    ]


def test_an_unknown_stage_is_told_with_the_nearest_name(check):
    (problem,) = check({"read": {"over": [1]}, "count": {"over": "raed"}})
    assert isinstance(problem, UnknownStage)
    assert str(problem) == 'stage "count" names an unknown stage "raed" in "over"; did you mean "read"?'


def test_a_circle_is_told_in_order_at_the_reference_that_closes_it(check):
    mark = Mark("p.yaml", 7, 3)
    found = check({"a": {"over": "c", "marks": {"over": mark}}, "b": {"over": "a"}, "c": {"needs": ["b"]}})
    (problem,) = found
    assert isinstance(problem, CycleOfStages)
    assert (problem.stages, problem.mark) == (("a", "b", "c", "a"), mark)
    assert '"a" → "b" → "c" → "a"' in str(problem)


def test_a_stage_that_reads_itself_is_a_circle_of_one(check, stage):
    (problem,) = check({"a": {"constants": {"x": stage("a")}}})
    assert problem.sentence() == 'stage "a" waits for itself'


def test_each_knot_is_told_once_and_the_rest_is_still_checked(check):
    stages = {"a": {"over": "b"}, "b": {"over": "a"}, "c": {"over": "d"}, "d": {"over": "c"}, "e": {"method": "no"}}
    assert [problem.code for problem in check(stages)] == ["cycle-of-stages", "cycle-of-stages", "unknown-method"]


def test_reading_a_stage_that_keeps_nothing_is_refused_and_needing_it_is_not(check):
    stages = {"a": {"returns": Returns.NONE}, "b": {"over": "a"}, "c": {"needs": ["a"]}}
    (problem,) = check(stages)
    assert isinstance(problem, ReadsNothing)
    assert (problem.stage, problem.source) == ("b", "a")


def test_stages_keep_the_order_of_the_file_where_they_can(write):
    graph, _ = draw(write({"c": {}, "a": {"needs": ["b"]}, "b": {}, "d": {}}).stages)
    assert order(graph) == ["c", "b", "a", "d"]
