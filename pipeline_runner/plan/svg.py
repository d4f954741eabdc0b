"""Draws stages as one SVG that needs nothing else: in columns from left to right, edges by their kind.

The layout is the classic layered one, kept simple: a stage's column is its distance from the start,
edges that pass over columns get a place of their own in each (so that no line runs through a box),
and each column is sorted by where its sources stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from html import escape

import networkx as nx

from pipeline_runner.classes import dataclass
from pipeline_runner.plan.plan import Edge, EdgeKind, Plan
from pipeline_runner.spec.pipeline import StageName

MARGIN = 24
HEIGHT = 46  # of a box
GAP = 18  # between boxes of a column
AISLE = 72  # between columns
LANE = 14  # height of a passing edge's place
MOST_PLACES = 20_000  # for passing edges; a graph beyond that is drawn with straight ones

Point = tuple[float, float]
Passing = tuple[Edge, int]  # an edge and a column that it passes over
Node = StageName | Passing


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        return self.x + self.width, self.y + self.height / 2


@dataclass(frozen=True)
class Shown:
    """What is written in a stage's box."""

    below: str  # its name
    about: str = ""  # told to whoever asks for more
    tone: str = ""  # a class of its box, for those who colour it


@dataclass(frozen=True)
class Drawing:
    """What is drawn: stages in an order in which they could run, and what joins them."""

    name: str
    stages: Mapping[StageName, Shown]
    edges: tuple[Edge, ...]
    frames: tuple[str, ...] = ()  # stages whose names begin with one of these and a dot belong together

    @classmethod
    def of(cls, plan: Plan) -> Drawing:
        stages = {n: Shown(s.choice.method.name, f"{n}: {s.choice.why}") for n, s in plan.stages.items()}
        return cls(plan.pipeline.name, stages, plan.edges, tuple(plan.pipeline.composed))

    def sources(self, stage: StageName) -> Sequence[Edge]:
        return self._by_target.get(stage, ())

    @cached_property
    def _by_target(self) -> Mapping[StageName, Sequence[Edge]]:
        found: dict[StageName, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.target, []).append(edge)
        return found


def svg(plan: Plan) -> str:
    """The whole picture of a plan, with a line end."""
    return picture(Drawing.of(plan))


def picture(drawing: Drawing, *, style: bool = True) -> str:
    """The whole picture, with a line end. `style`: with rules of its own; a page that shows it may have them."""
    columns = _columns(drawing)
    boxes = _place(drawing, columns)
    lanes: dict[Edge, list[Node]] = {}  # the places of passing edges, from left to right
    for node in boxes:
        if isinstance(node, tuple):
            lanes.setdefault(node[0], []).append(node)
    width = max([box.x + box.width for box in boxes.values()] + [LEGEND_WIDTH]) + MARGIN
    bottom = max((box.y + box.height for box in boxes.values()), default=MARGIN + TITLE)
    height = bottom + GAP + LEGEND_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(drawing.name)}" font-family="{FONT}">',
        f"<desc>{len(drawing.stages)} stages from left to right, joined by {len(drawing.edges)} edges</desc>",
        *([STYLE] if style else []),
        f'<rect class="page" width="{width:.0f}" height="{height:.0f}" fill="{PAGE}"/>',
        _name(drawing.name, MARGIN, MARGIN + 6, "start"),
        *(_frame(name, frame) for name, frame in _frames(drawing, boxes)),
        *(_edge(edge, lanes.get(edge, []), boxes) for edge in drawing.edges),
        *(_stage(name, shown, boxes[name]) for name, shown in drawing.stages.items()),
        *_legend(bottom + GAP),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


# Layout


def layers(stages: Iterable[StageName], edges: Iterable[Edge]) -> list[list[StageName]]:
    """The stages by how far each is from the start."""
    graph: nx.DiGraph[StageName] = nx.DiGraph()
    graph.add_nodes_from(stages)
    graph.add_edges_from((edge.source, edge.target) for edge in edges)
    return list(nx.topological_generations(graph))


def _columns(drawing: Drawing) -> list[list[Node]]:
    """What stands in each column, from top to bottom."""
    ranks = layers(drawing.stages, drawing.edges)
    column_of = {name: number for number, layer in enumerate(ranks) for name in layer}
    columns: list[list[Node]] = [[] for _ in ranks]
    for name in drawing.stages:
        columns[column_of[name]].append(name)
    spans = {edge: range(column_of[edge.source] + 1, column_of[edge.target]) for edge in drawing.edges}
    if sum(map(len, spans.values())) <= MOST_PLACES:
        for edge, span in spans.items():
            for number in span:
                columns[number].append((edge, number))
    return _sorted(drawing, columns)


def _sorted(drawing: Drawing, columns: Sequence[list[Node]]) -> list[list[Node]]:
    """Each column by the middle of where its nodes' sources stand in those before it."""
    height: dict[Node, float] = {}
    done: list[list[Node]] = []
    for number, column in enumerate(columns):
        at = {node: _middle(drawing, node, height, place, number) for place, node in enumerate(column)}
        ordered = sorted(column, key=at.__getitem__)
        height.update({node: (place + 0.5) / len(ordered) for place, node in enumerate(ordered)})
        done.append(ordered)
    return done


def _middle(drawing: Drawing, node: Node, height: Mapping[Node, float], place: int, number: int) -> float:
    if isinstance(node, tuple):
        edge, _ = node
        return _before(edge, number, height)
    sources = [_before(edge, number, height) for edge in drawing.sources(node)]
    return sum(sources) / len(sources) if sources else float(place)


def _before(edge: Edge, number: int, height: Mapping[Node, float]) -> float:
    """Where an edge comes from, seen from a column: its place in the one before, else its source."""
    passing: Node = (edge, number - 1)
    return height.get(passing, height[edge.source])


def _place(drawing: Drawing, columns: Sequence[Sequence[Node]]) -> dict[Node, Box]:
    tallest = max((_tall(column) for column in columns), default=0.0)
    boxes: dict[Node, Box] = {}
    x = float(MARGIN)
    for column in columns:
        width = max([_width(node, drawing.stages[node].below) for node in column if not isinstance(node, tuple)])
        y = MARGIN + TITLE + (tallest - _tall(column)) / 2
        for node in column:
            height = LANE if isinstance(node, tuple) else HEIGHT
            boxes[node] = Box(x, y, width, height)
            y += height + GAP
        x += width + AISLE
    return boxes


def _tall(column: Sequence[Node]) -> float:
    return sum(LANE if isinstance(node, tuple) else HEIGHT for node in column) + GAP * (len(column) - 1)


def _width(name: StageName, below: str) -> float:
    """Of a box, by the length of its two lines: fonts differ, so with some room."""
    return max(80.0, 8.6 * _cells(name) + 24, 6.6 * _cells(below) + 24)


def _cells(text: str) -> int:
    """How many narrow characters wide a text is: those of East Asia count twice."""
    return sum(2 if ord(c) > 0x2E7F else 1 for c in text)


# Drawing

TITLE = 28
LEGEND_HEIGHT = 40
LEGEND_WIDTH = 650
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
PAGE, PAPER, INK, PALE, LINE, BLUE = "#ffffff", "#f6f8fa", "#1f2328", "#57606a", "#8c959f", "#0969da"
# Colours stand in each element, for programs that know no CSS; those that do may show it dark.
STYLE = """<style>
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 } .box { fill: #161b22; stroke: #6e7681 } .name { fill: #e6edf3 } .small { fill: #9198a1 }
  .edge { stroke: #9198a1 } .stream { stroke: #4493f8 } .head { fill: #9198a1 } .stream-head { fill: #4493f8 }
}
</style>"""
EDGES = {
    EdgeKind.STREAM: f'stroke="{BLUE}" stroke-width="2.6"',
    EdgeKind.BARRIER: f'stroke="{PALE}" stroke-width="1.4"',
    EdgeKind.ORDER: f'stroke="{PALE}" stroke-width="1.4" stroke-dasharray="5 4"',
}


def _name(text: str, x: float, y: float, anchor: str) -> str:
    return (
        f'<text class="name" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
        f'font-size="14" font-weight="600" fill="{INK}">{escape(text)}</text>'
    )


def _small(text: str, x: float, y: float, anchor: str) -> str:
    return (
        f'<text class="small" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
        f'font-size="11" fill="{PALE}">{escape(text)}</text>'
    )


def _stage(name: StageName, shown: Shown, box: Box) -> str:
    middle = box.x + box.width / 2
    kind = f"box {shown.tone}".rstrip()
    return (
        f'<g data-stage="{escape(name)}"><title>{escape(shown.about or name)}</title>'
        f'<rect class="{kind}" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'rx="9" fill="{PAPER}" stroke="{LINE}" stroke-width="1.2"/>'
        f"{_name(name, middle, box.y + 20, 'middle')}"
        f"{_small(shown.below, middle, box.y + 36, 'middle')}</g>"
    )


def _frames(drawing: Drawing, boxes: Mapping[Node, Box]) -> Iterator[tuple[str, Box]]:
    """Around the stages of each pipeline within the pipeline; not where another stage stands among them."""
    for name in drawing.frames:
        own = [boxes[stage] for stage in drawing.stages if stage.startswith(f"{name}.")]
        others = [boxes[stage] for stage in drawing.stages if not stage.startswith(f"{name}.")]
        if not own:
            continue
        left, top = min(box.x for box in own) - 8, min(box.y for box in own) - 8
        right, bottom = max(box.x + box.width for box in own) + 8, max(box.y + box.height for box in own) + 8
        if not any(o.x < right and o.x + o.width > left and o.y < bottom and o.y + o.height > top for o in others):
            yield name, Box(left, top, right - left, bottom - top)


def _frame(name: str, box: Box) -> str:
    return (
        f"<g><title>{escape(name)}</title>"
        f'<rect class="edge" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'rx="12" fill="none" stroke="{LINE}" stroke-width="1" stroke-dasharray="2 3"/></g>'
    )


def _edge(edge: Edge, lanes: Sequence[Node], boxes: Mapping[Node, Box]) -> str:
    points = [boxes[edge.source].right]
    for lane in lanes:
        points += [boxes[lane].left, boxes[lane].right]
    points.append(boxes[edge.target].left)
    about = f"{edge.source} → {edge.target}, {edge.kind}" + (f": {edge.why}" if edge.why else "")
    return f"<g><title>{escape(about)}</title>{_line(points, edge.kind)}</g>"


def _line(points: Sequence[Point], kind: EdgeKind) -> str:
    """A line that leaves and enters level: curved across aisles, straight across columns."""
    (x, y), *rest = points
    path = f"M{x:.1f},{y:.1f}"
    for number, (to_x, to_y) in enumerate(rest):
        last = number == len(rest) - 1
        tip = to_x - 8 if last else to_x  # the head's point touches the box
        bend = (tip - x) / 2
        path += f" C{x + bend:.1f},{y:.1f} {tip - bend:.1f},{to_y:.1f} {tip:.1f},{to_y:.1f}"
        x, y = to_x, to_y
    head, fill = ("stream-head", BLUE) if kind is EdgeKind.STREAM else ("head", PALE)
    return (
        f'<path class="edge {kind}" d="{path}" fill="none" {EDGES[kind]}/>'
        f'<path class="{head}" d="M{x:.1f},{y:.1f} l-10,-5 v10 z" fill="{fill}"/>'
    )


def _legend(y: float) -> list[str]:
    told = [
        (EdgeKind.STREAM, "stream: begins while it runs"),
        (EdgeKind.BARRIER, "barrier: waits for all of it"),
        (EdgeKind.ORDER, "order: only comes after"),
    ]
    parts: list[str] = []
    x = float(MARGIN)
    for kind, text in told:
        parts.append(_line([(x, y), (x + 40, y)], kind))
        parts.append(_small(text, x + 48, y + 4, "start"))
        x += 48 + 6.2 * len(text) + 14
    return parts
