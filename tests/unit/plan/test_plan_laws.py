"""Laws that hold for the plan of any pipeline."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.errors import Problems
from pipeline_runner.syntax.expressions import Reference


@st.composite
def pipelines(draw):
    """Up to twelve stages, each naming stages before it in every way that there is."""
    stages = {}
    for number in range(draw(st.integers(1, 12))):
        before = st.sampled_from([f"s{one}" for one in range(number)]) if number else st.nothing()
        sources = [st.none(), st.just([1, 2, 3])] + ([before, st.tuples(before, before)] if number else [])
        keys = {"over": draw(st.one_of(sources)), "needs": draw(st.lists(before, max_size=1)) if number else []}
        if number and draw(st.booleans()):
            keys["constants"] = {"x": Reference("stages", (draw(before),))}
        if isinstance(keys["over"], str | list):
            keys["style"] = draw(st.sampled_from([None, None, None, Style.SINGLE, Style.STAR]))
            if keys["style"] is None:
                keys["returns"] = draw(st.sampled_from([None, None, Returns.LIST, Returns.UNORDERED]))
                keys["dispatch"] = draw(st.sampled_from([None, None, Dispatch.ASYNC]))
        stages[f"s{number}"] = keys
    names = draw(st.permutations(list(stages)))
    return {name: stages[name] for name in names}


@pytest.mark.timeout(120)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stages=pipelines())
def test_the_laws_of_a_plan(plan, stages):
    try:
        made = plan(stages)
    except Problems as problems:
        raise AssertionError(str(problems)) from problems

    # Every stage is in one chain of one group, and every group in one wave.
    assert sorted(stage for group in made.groups for stage in group.stages) == sorted(stages)
    assert sorted(group for wave in made.waves for group in wave) == list(range(len(made.groups)))

    # Every pair of stages has one edge at most, and there is one wherever a stage names another.
    pairs = [(edge.source, edge.target) for edge in made.edges]
    assert len(pairs) == len(set(pairs))
    for name, keys in stages.items():
        over = keys["over"]
        named = set(over) if isinstance(over, tuple) else {over} if isinstance(over, str) else set()
        named |= set(keys["needs"]) | {one.path[0] for one in keys.get("constants", {}).values()}
        assert {edge.source for edge in made.sources(name)} == named

    # No group begins before its sources, and nothing in a group waits for the end of another in it.
    group_of = {stage: number for number, group in enumerate(made.groups) for stage in group.stages}
    wave_of = {group: number for number, wave in enumerate(made.waves) for group in wave}
    between = nx.DiGraph()
    for edge in made.edges:
        source, target = group_of[edge.source], group_of[edge.target]
        if edge.kind == "stream":
            assert source == target
        else:
            assert source < target
            assert wave_of[source] < wave_of[target]
            between.add_edge(source, target)
    assert nx.is_directed_acyclic_graph(between)

    # Stages stand in an order in which they could run one by one, and a chain has nothing but its streams between.
    place = {name: number for number, name in enumerate(made.stages)}
    assert all(place[edge.source] < place[edge.target] for edge in made.edges)
    for group in made.groups:
        for chain in group.chains:
            for first, second in zip(chain.stages, chain.stages[1:], strict=False):
                assert [e.target for e in made.readers(first) if e.kind == "stream"] == [second]
                assert [e.source for e in made.sources(second) if e.kind == "stream"] == [first]

    # The same plan again, whatever was asked of the first.
    assert plan(stages).to_json() == made.to_json()
    assert len(made.explain().splitlines()) >= 2 * len(stages)
