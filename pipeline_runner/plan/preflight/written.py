"""From a place in a stage to the mark of it, and through a source to those that it is made of."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_runner.marks import Mark
from pipeline_runner.plan.preflight.signatures import Path
from pipeline_runner.spec.pipeline import Batches, Matrix, Source, StageSpec, Zip
from pipeline_runner.syntax.reader import ListNode, MapNode, Node, Scalar, plain


def place_of(stage: StageSpec, path: Path, *, value: bool = False) -> Mark | None:
    """The mark of a key or an item, or of as much of the path as was written; `value`: of a key's scalar value."""
    best = stage.mark(str(path[0]))
    node: Node | None = None if stage.node is None else stage.node.get(path[0])
    for step in path[1:]:
        if isinstance(node, MapNode) and step in node.entries:
            entry = node.entries[step]
            node = entry.value
            best = node.mark if value and isinstance(node, Scalar) else entry.key.mark
        elif isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            best = node.mark
        else:
            break
    return best


def lost(stage: StageSpec, *keys: str) -> bool:
    """Whether one of these keys was written and has no value: something in it is wrong, and was told."""
    values = {"over": stage.over, "with": stage.constants, "setup_with": stage.setup_with}
    nodes = {key: stage.node.get(key) for key in keys} if stage.node else {}
    return any(not values[key] and node is not None and plain(node) for key, node in nodes.items())


def sources(over: Source | None, path: Path = ("over",)) -> Iterator[tuple[Source, Path]]:
    """A source, and those that it takes from, each with where it is written."""
    if over is None:
        return
    yield over, path
    match over:
        case Zip(columns, names):
            for number, column in enumerate(columns):
                yield from sources(column, (*path, names[number] if names else number))
        case Matrix(axes):
            for name, axis in axes.items():
                yield from sources(axis, (*path, "matrix", name))
        case Batches(inner):
            yield from sources(inner, (*path, "batches"))
