"""The graph of stages: who reads or waits for whom, and where in the pipeline that is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline_runner.axes import Returns
from pipeline_runner.classes import dataclass
from pipeline_runner.errors import Problem
from pipeline_runner.plan.links import Link, links
from pipeline_runner.plan.problems import CycleOfStages, ReadsNothing, UnknownStage
from pipeline_runner.plan.sorting import arranged, circles, one_circle
from pipeline_runner.spec.pipeline import StageName, StageSpec

Sources = Mapping[StageName, Mapping[StageName, Sequence[Link]]]  # of every stage, with where it names each


@dataclass(frozen=True)
class Graph:
    """Who reads or waits for whom, seen from both sides; stages are in the order of the file."""

    sources: Sources
    targets: Mapping[StageName, Sequence[StageName]]  # of every stage

    @classmethod
    def of(cls, sources: Sources) -> Graph:
        targets: dict[StageName, list[StageName]] = {name: [] for name in sources}
        for source, target in _edges(sources):
            targets[source].append(target)
        return cls(sources, targets)


def draw(stages: Mapping[StageName, StageSpec]) -> tuple[Graph, list[Problem]]:
    """The graph, and every name in it that is wrong: unknown, circular, or of a stage that keeps nothing.

    The graph has no circles: edges that would make one are left out, and told, so that what is
    wrong with the rest can be told too.
    """
    sources: dict[StageName, dict[StageName, list[Link]]] = {name: {} for name in stages}
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
            sources[stage.name].setdefault(link.source, []).append(link)
    knots = circles(sources, _edges(sources))
    problems += [_cycle(sources, stages, knot) for knot in knots]
    for knot in map(frozenset, knots):
        for name in knot:
            sources[name] = {source: found for source, found in sources[name].items() if source not in knot}
    return Graph.of(sources), problems


def _edges(sources: Sources) -> list[tuple[StageName, StageName]]:
    return [(source, target) for target, found in sources.items() for source in found]


def _unknown(stage: StageSpec, link: Link, stages: Mapping[StageName, StageSpec]) -> Problem:
    return UnknownStage(
        mark=stage.mark(link.key), stage=stage.name, key=link.key, unknown=link.source, known=tuple(stages)
    )


def _cycle(sources: Sources, stages: Mapping[StageName, StageSpec], knot: Sequence[StageName]) -> Problem:
    """One circle of a knot, from the stage that the file has first; the rest shows when that one is cut."""
    among = set(knot)
    circle = one_circle(knot, [(source, target) for target in knot for source in sources[target] if source in among])
    link = sources[circle[0]][circle[-1]][0]
    where = (f"needs.{link.source}", "needs") if link.key == "needs" else (link.key,)
    return CycleOfStages(mark=stages[circle[0]].mark(*where), stages=(*circle, circle[0]), key=link.key)


def order(graph: Graph) -> list[StageName]:
    """The stages in an order in which they could run one by one: that of the file, where it can be."""
    return arranged(graph.sources, _edges(graph.sources))
