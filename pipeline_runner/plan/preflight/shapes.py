"""What each call of a stage is given, as far as that is written: how many positions, and which keywords."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from pipeline_runner.axes import Style
from pipeline_runner.plan.links import Link, links
from pipeline_runner.plan.preflight import signatures
from pipeline_runner.plan.preflight.rows import rows
from pipeline_runner.plan.preflight.signatures import Shape
from pipeline_runner.spec.pipeline import Glob, Items, Lines, Range, Source, StageSpec, Zip
from pipeline_runner.typed import Any


def shapes(stage: StageSpec, style: Style, folder: Path) -> Iterator[Shape]:
    """The different shapes that the stage's calls have, in the order in which they come."""
    if stage.over is None:
        yield given(stage.constants, ("with",))
        return
    fixed = _keywords(stage.constants, ("with",))
    if style is Style.MAP:
        yield Shape(("item",), fixed, written=("over",))
        return
    if isinstance(stage.over, Zip):
        yield _columns(stage.over, fixed)
        return
    seen = set()
    for number, row in _rows(stage.over, folder, partial(links, stage)):
        shape = _row(row, style, fixed, ("over",) if number is None else ("over", number))
        kind = (shape.positions, frozenset(shape.keywords), shape.whole)
        if kind not in seen:
            seen.add(kind)
            yield shape


def given(template: Any, written: signatures.Path) -> Shape:
    """The shape of one call from a `with` alone: a list of positions, or keywords."""
    if isinstance(template, list | tuple):
        positions = tuple(f"{written[-1]}[{number}]" for number in range(len(template)))
        return Shape(positions, written=written)
    return Shape((), _keywords(template, written), isinstance(template, Mapping), written)


def _keywords(template: Any, written: signatures.Path) -> dict[str, signatures.Path]:
    return {str(name): (*written, str(name)) for name in template} if isinstance(template, Mapping) else {}


def _columns(over: Zip, fixed: Mapping[str, signatures.Path]) -> Shape:
    if over.names:
        return Shape((), {**fixed, **{name: ("over", name) for name in over.names}}, written=("over",))
    return Shape(tuple(f"column {number + 1}" for number in range(len(over.columns))), fixed, written=("over",))


_UNKNOWN = object()  # a row of which nothing is known before the run


def _rows(over: Source, folder: Path, before: Callable[[], Iterator[Link]]) -> Iterator[tuple[int | None, Any]]:
    """Rows that are there to be looked at, numbered where they are written one by one; else one that stands for all."""
    if isinstance(over, Range | Glob | Lines):
        yield None, ""
        return
    known = rows(over, folder, before)
    if known is None:
        yield None, _UNKNOWN
    elif isinstance(over, Items):
        yield from enumerate(known)
    else:
        yield from ((None, row) for row in known)


def _row(row: Any, style: Style, fixed: Mapping[str, signatures.Path], written: signatures.Path) -> Shape:
    match row:
        case Mapping():
            return Shape((), {**fixed, **{str(name): (*written, str(name)) for name in row}}, written=written)
        case list() | tuple():
            return Shape(tuple(f"item[{number}]" for number in range(len(row))), fixed, written=written)
        case _ if row is _UNKNOWN or style is Style.STAR:
            return Shape((), fixed, whole=False, written=written)
    return Shape(("item",), fixed, written=written)
