"""The graph of stages: who reads or waits for whom, and where in the pipeline that is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import networkx as nx

from pipeline_runner.axes import Returns
from pipeline_runner.errors import Problem
from pipeline_runner.plan.problems import CycleOfStages, ReadsNothing, UnknownStage
from pipeline_runner.spec.pipeline import (
    Batches,
    Command,
    Computed,
    FromStage,
    Generate,
    Items,
    Matrix,
    Source,
    StageName,
    StageSpec,
    Zip,
)
from pipeline_runner.syntax.expressions import references

Graph: TypeAlias = "nx.DiGraph[StageName]"  # an edge source → target has "links"


@dataclass(frozen=True)
class Link:
    """One place in which a stage names another."""

    source: StageName
    target: StageName
    key: str  # of the target: over, with, run, setup_with, if, needs
    items: bool = False  # its items are what the target's calls are made of, one by one

    @property
    def reads(self) -> bool:
        return self.key != "needs"


def links(stage: StageSpec) -> Iterator[Link]:
    """Every place in which this stage names another, in reading order."""
    if stage.over is not None:
        yield from _links_of_source(stage.name, stage.over)
    given = "run" if isinstance(stage.function, Command) else "with"
    for key, template in ((given, stage.constants), ("setup_with", stage.setup_with)):
        yield from _links_of_template(stage.name, key, template)
    if stage.condition is not None:
        yield from _links_of_template(stage.name, "if", stage.condition.value)
    for source in stage.needs:
        yield Link(source, stage.name, "needs")


def _links_of_source(target: StageName, source: Source) -> Iterator[Link]:
    match source:
        case FromStage():
            yield Link(source.stage, target, "over", items=len(source.reference.path) == 1)
        case Zip(columns):
            for column in columns:
                yield from _links_of_source(target, column)
        case Batches(inner):
            yield from _links_of_source(target, inner)
        case Matrix(axes):  # each value of an axis is wanted again and again: it is no stream
            for axis in axes.values():
                yield from (replace(link, items=False) for link in _links_of_source(target, axis))
        case Computed(template):
            yield from _links_of_template(target, "over", template)
        case Generate(keywords=keywords):
            yield from _links_of_template(target, "over", keywords)
        case Items(list() | tuple() as values):
            yield from _links_of_template(target, "over", values)


def _links_of_template(target: StageName, key: str, template: object) -> Iterator[Link]:
    for reference in references(template):
        if reference.root == "stages" and reference.path:
            yield Link(StageName(str(reference.path[0])), target, key)


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
