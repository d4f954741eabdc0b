"""Pictures of a plan: a tree in text, and the sources of mermaid and graphviz. The SVG is drawn in `svg`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline_runner.plan.plan import Edge, EdgeKind, Plan
from pipeline_runner.plan.svg import svg
from pipeline_runner.spec.pipeline import StageName

FORMATS = ("text", "mermaid", "dot", "svg")

ARROWS = {EdgeKind.STREAM: "⇣", EdgeKind.BARRIER: "↓", EdgeKind.ORDER: "·"}
LEGEND = "⇣ begins while the stage above it runs   ↓ waits for all of it   · only comes after it"


def draw(plan: Plan, format: str) -> str:
    """The plan's graph as text in one of FORMATS, with a line end."""
    match format:
        case "mermaid":
            return mermaid(plan)
        case "dot":
            return dot(plan)
        case "svg":
            return svg(plan)
    return tree(plan)


# Text


def tree(plan: Plan) -> str:
    """The stages as a tree: a stage stands below the last source that it reads, and names the others.

    A stage with one stage below it does not indent that one, so that long pipelines stay narrow.
    """
    above = {name: max(edges, key=_reads) for name in plan.stages if (edges := plan.sources(name)[::-1])}
    below: dict[StageName, list[StageName]] = {}
    for name, edge in above.items():
        below.setdefault(edge.source, []).append(name)
    lines = [plan.pipeline.name]
    # A stack of (stage, what stands before its line, what stands before the lines below it).
    waiting = [(name, "", "") for name in reversed(tuple(plan.stages)) if name not in above]
    while waiting:
        name, first, rest = waiting.pop()
        lines.append(first + _line(plan, name, above.get(name)))
        waiting.extend(reversed(list(_children(below.get(name, []), rest))))
    inner = [f"{name}.…  of {one.file}" for name, one in plan.pipeline.composed.items()]
    return "\n".join([*lines, "", *inner, LEGEND]) + "\n"


def _reads(edge: Edge) -> bool:
    return edge.kind is not EdgeKind.ORDER


def _children(names: list[StageName], before: str) -> Iterator[tuple[StageName, str, str]]:
    if len(names) == 1:
        yield names[0], before, before
        return
    for name in names:
        last = name is names[-1]
        yield name, before + ("└─" if last else "├─"), before + ("  " if last else "│ ")


def _line(plan: Plan, name: StageName, above: Edge | None) -> str:
    arrow = f"{ARROWS[above.kind]} " if above else ""
    others = ", ".join(f"{ARROWS[edge.kind]} {edge.source}" for edge in plan.sources(name) if edge != above)
    how = "skipped" if name in plan.skipped else plan.stages[name].choice.method.name
    return f"{arrow}{name}  [{how}]" + (f"  also from {others}" if others else "")


# Mermaid


LINKS = {EdgeKind.STREAM: "==>|stream|", EdgeKind.BARRIER: "-->", EdgeKind.ORDER: "-.->"}


def mermaid(plan: Plan) -> str:
    ids = _ids(plan)
    lines = ["flowchart LR", *_mermaid_inside(plan, ids, "", "  ")]
    lines += [f"  {ids[edge.source]} {LINKS[edge.kind]} {ids[edge.target]}" for edge in plan.edges]
    return "\n".join(lines) + "\n"


def _mermaid_inside(plan: Plan, ids: Mapping[StageName, str], outer: str, pad: str) -> Iterator[str]:
    for number, names in _groups_in(plan, outer):
        together = len(names) > 1
        if together:
            yield f'{pad}subgraph {_frame("g", number, outer)}["group {number}"]'
        for name in names:
            method = plan.stages[name].choice.method.name
            more = "  " if together else ""
            yield f'{pad}{more}{ids[name]}("{_mermaid_text(name)}<br/><small>{_mermaid_text(method)}</small>")'
        if together:
            yield f"{pad}end"
    for number, inner in _pipelines_in(plan, outer):
        yield f'{pad}subgraph p{number}["{_mermaid_text(inner)}"]'
        yield from _mermaid_inside(plan, ids, inner, pad + "  ")
        yield f"{pad}end"


# Frames: groups, and pipelines within the pipeline


def _groups_in(plan: Plan, outer: str) -> Iterator[tuple[int, list[StageName]]]:
    """The stages that stand directly in a pipeline ("": the whole), group by group."""
    for number, group in enumerate(plan.groups, 1):
        names = [name for name in group.stages if name.rpartition(".")[0] == outer]
        if names:
            yield number, names


def _pipelines_in(plan: Plan, outer: str) -> Iterator[tuple[int, str]]:
    """The pipelines directly in a pipeline, with numbers that no other has."""
    for number, name in enumerate(plan.pipeline.composed, 1):
        inside = any(stage.startswith(f"{name}.") for stage in plan.stages)
        if name.rpartition(".")[0] == outer and inside:
            yield number, name


def _frame(kind: str, number: int, outer: str) -> str:
    """A name for the part of a group that stands in one pipeline: the rest of it may be in another."""
    return f"{kind}{number}" + (f"_{outer.encode().hex()}" if outer else "")


def _ids(plan: Plan) -> Mapping[StageName, str]:
    """Names that every language of pictures takes: a stage's own may be a keyword there, such as `end`."""
    return {name: f"s{number}" for number, name in enumerate(plan.stages, 1)}


def _mermaid_text(text: str) -> str:
    """Text in mermaid's quotes: everything that could mean something as a numbered entity."""
    return "".join(c if c.isalnum() or c in " ._-" else f"#{ord(c)};" for c in text)


# Graphviz


STYLES = {
    EdgeKind.STREAM: 'color="#0969da" penwidth=2 label="stream"',
    EdgeKind.BARRIER: 'color="#57606a"',
    EdgeKind.ORDER: 'color="#57606a" style=dashed',
}


def dot(plan: Plan) -> str:
    ids = _ids(plan)
    lines = [
        f"digraph {_dot_text(plan.pipeline.name)} {{",
        "  rankdir=LR;",
        '  node [shape=box style=rounded fontname="sans-serif"];',
        '  edge [fontname="sans-serif" fontsize=10];',
    ]
    lines += _dot_inside(plan, ids, "")
    lines += [f"  {ids[edge.source]} -> {ids[edge.target]} [{STYLES[edge.kind]}];" for edge in plan.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_inside(plan: Plan, ids: Mapping[StageName, str], outer: str) -> Iterator[str]:
    for number, names in _groups_in(plan, outer):
        together = len(names) > 1
        if together:
            frame = _frame("cluster_", number, outer)
            yield f'  subgraph {frame} {{ label="group {number}"; style="rounded,dashed"; color="#8c959f";'
        for name in names:
            yield f"  {ids[name]} [label={_dot_text(name, plan.stages[name].choice.method.name)}];"
        if together:
            yield "  }"
    for number, inner in _pipelines_in(plan, outer):
        yield f'  subgraph cluster_p{number} {{ label={_dot_text(inner)}; style="rounded"; color="#57606a";'
        yield from _dot_inside(plan, ids, inner)
        yield "  }"


def _dot_text(*lines: str) -> str:
    """Lines of text in graphviz's quotes."""
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for line in lines)
    return '"' + "\\n".join(escaped) + '"'
