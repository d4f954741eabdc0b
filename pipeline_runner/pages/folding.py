"""A graph of thousands of stages, folded until a person can look at it: what stands alike is one box."""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx

from pipeline_runner.plan.plan import Edge
from pipeline_runner.plan.svg import Drawing, Shown, layers
from pipeline_runner.spec.pipeline import StageName

MOST = 120  # boxes that are drawn one by one
COLUMNS = 30  # of a folded graph
NAMED = 12  # stages of a box that are named


def folded(drawing: Drawing) -> Drawing:
    """The same where it is small. Else the stages of a few neighbouring columns that have one tone, since they ended
    alike, are one box. Edges still lead from left to right: no box has stages of two places."""
    if len(drawing.stages) <= MOST:
        return drawing
    columns = layers(drawing.stages, drawing.edges)
    wide = max(1, -(-len(columns) // COLUMNS))
    boxes: dict[tuple[int, str], list[StageName]] = {}
    for number, column in enumerate(columns):
        for name in column:
            boxes.setdefault((number // wide, drawing.stages[name].tone), []).append(name)
    told: dict[StageName, Shown] = {}
    box_of: dict[StageName, tuple[int, StageName]] = {}
    for (part, _), names in boxes.items():
        box = _name(names, told)
        told[box] = drawing.stages[names[0]] if len(names) == 1 else _shown(names, drawing.stages)
        box_of |= dict.fromkeys(names, (part, box))
    return Drawing(drawing.name, told, _between(drawing.edges, box_of))


def _between(edges: tuple[Edge, ...], box_of: Mapping[StageName, tuple[int, StageName]]) -> tuple[Edge, ...]:
    """What leads from box to box; not what a way over other boxes tells too, of which there would be hundreds."""
    many: dict[tuple[StageName, StageName], list[Edge]] = {}
    for edge in edges:
        (left, source), (right, target) = box_of[edge.source], box_of[edge.target]
        if left < right:  # boxes of the same columns may lead to each other
            many.setdefault((source, target), []).append(edge)
    graph: nx.DiGraph[StageName] = nx.DiGraph(list(many))
    kept = nx.transitive_reduction(graph).edges
    return tuple(
        Edge(*ends, found[0].kind, f"{len(found)} edges" if len(found) > 1 else found[0].why)
        for ends, found in many.items()
        if ends in kept
    )


def _name(names: list[StageName], taken: Mapping[StageName, Shown]) -> StageName:
    """Of one stage its own. A stage's name has no blanks, so that no box is called like a stage."""
    if len(names) == 1:
        return names[0]
    name = f"{names[0][:24]} and {len(names) - 1} more"
    while name in taken:
        name += " "
    return StageName(name)


def _shown(names: list[StageName], stages: Mapping[StageName, Shown]) -> Shown:
    tone = stages[names[0]].tone
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return Shown(f"{len(names)} stages {tone}".rstrip(), ", ".join(names[:NAMED]) + more, tone)
