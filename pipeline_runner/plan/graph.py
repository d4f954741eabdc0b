"""The graph of stages: who reads or waits for whom, and where in the pipeline that is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import networkx as nx

from pipeline_runner.axes import Returns
from pipeline_runner.errors import Problem
from pipeline_runner.plan.links import Link, links
from pipeline_runner.plan.problems import CycleOfStages, ReadsNothing, UnknownStage
from pipeline_runner.spec.pipeline import StageName, StageSpec

Graph: TypeAlias = "nx.DiGraph[StageName]"  # an edge source → target has "links"


def draw(stages: Mapping[StageName, StageSpec]) -> tuple[Graph, list[Problem]]:
    """The graph, and every name in it that is wrong: unknown, circular, or of a stage that keeps nothing.

    The graph has no circles: edges that would make one are left out, and told, so that what is
    wrong with the rest can be told too.
    """
    graph: Graph = nx.DiGraph()
    graph.add_nodes_from(stages)
    problems: list[Problem] = []
    for stage in stages.values():
        for link in dict.fromkeys(links(stage)):
            if link.source not in stages:
                problems.append(_unknown(stage, link, stages))
                continue
            if link.reads and stages[link.source].returns is Returns.NONE:
                problems.append(
                    ReadsNothing(mark=stage.mark(link.key), stage=stage.name, source=link.source, key=link.key)
                )
            if not graph.has_edge(link.source, stage.name):
                graph.add_edge(link.source, stage.name, links=[])
            graph.edges[link.source, stage.name]["links"].append(link)
    knots = _knots(graph, stages)
    problems += [_cycle(graph, stages, knot) for knot in knots]
    graph.remove_edges_from([edge for knot in knots for edge in tuple(graph.subgraph(knot).edges)])
    return graph, problems


def _unknown(stage: StageSpec, link: Link, stages: Mapping[StageName, StageSpec]) -> Problem:
    return UnknownStage(
        mark=stage.mark(link.key), stage=stage.name, key=link.key, unknown=link.source, known=tuple(stages)
    )


def _knots(graph: Graph, stages: Mapping[StageName, StageSpec]) -> list[list[StageName]]:
    """Sets of stages that all wait for one another, each in the order of the file."""
    place = {name: number for number, name in enumerate(stages)}
    knots = [
        sorted(knot, key=place.__getitem__)
        for knot in nx.strongly_connected_components(graph)
        if len(knot) > 1 or any(graph.has_edge(name, name) for name in knot)
    ]
    return sorted(knots, key=lambda knot: place[knot[0]])


def _cycle(graph: Graph, stages: Mapping[StageName, StageSpec], knot: list[StageName]) -> Problem:
    """One circle of a knot, from the stage that the file has first; the rest shows when that one is cut."""
    place = {name: number for number, name in enumerate(knot)}
    found = [source for source, _ in nx.find_cycle(graph.subgraph(knot), knot[0])]
    start = min(range(len(found)), key=lambda at: place[found[at]])
    circle = [*found[start:], *found[:start]]
    link: Link = graph.edges[circle[-1], circle[0]]["links"][0]
    return CycleOfStages(mark=stages[circle[0]].mark(link.key), stages=(*circle, circle[0]), key=link.key)


def order(graph: Graph) -> list[StageName]:
    """The stages in an order in which they could run one by one: that of the file, where it can be."""
    place = {name: number for number, name in enumerate(graph)}
    return list(nx.lexicographical_topological_sort(graph, key=place.__getitem__))
