"""A graph of thousands of stages, folded until a person can look at it: what stands alike is one box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping

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
    boxes: dict[Hashable, list[StageName]] = {}
    for number, column in enumerate(columns):
        for name in column:
            boxes.setdefault((number // wide, drawing.stages[name].tone), []).append(name)
    told: dict[StageName, Shown] = {}
    box_of: dict[StageName, StageName] = {}
    for names in boxes.values():
        box = _name(names, told)
        told[box] = drawing.stages[names[0]] if len(names) == 1 else _shown(names, drawing.stages)
        box_of |= dict.fromkeys(names, box)
    return Drawing(drawing.name, told, _between(drawing.edges, box_of))


def _between(edges: tuple[Edge, ...], box_of: Mapping[StageName, StageName]) -> tuple[Edge, ...]:
    """The edges that lead from box to box, those of one kind as one."""
    many = Counter((box_of[edge.source], box_of[edge.target], edge.kind) for edge in edges)
    return tuple(
        Edge(source, target, kind, f"{count} edges" if count > 1 else "")
        for (source, target, kind), count in many.items()
        if source != target
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
