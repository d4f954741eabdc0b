"""What each call of a stage is given, as far as that is written: how many positions, and which keywords."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline_runner.axes import Style
from pipeline_runner.errors import PipelineError
from pipeline_runner.plan.links import Link, links
from pipeline_runner.plan.preflight import signatures
from pipeline_runner.plan.preflight.signatures import Shape
from pipeline_runner.spec.opening import is_url
from pipeline_runner.spec.pipeline import Batches, Csv, Glob, Items, Lines, Matrix, Range, Source, StageSpec, Zip
from pipeline_runner.spec.sources import items
from pipeline_runner.witness import saw, status

MOST_ROWS = 10_000  # what is wrong with a row beyond is told when it is called


def shapes(stage: StageSpec, style: Style, folder: Path) -> Iterator[Shape]:
    """The different shapes that the stage's calls have, in the order in which they come."""
    fixed = _keywords(stage.constants, ("with",))
    if stage.over is None:
        yield given(stage.constants, ("with",))
        return
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
    """Rows that are there to be looked at, with their numbers; else one that stands for all.

    Not of a file that a stage before may write anew.
    """
    match over:
        case Items(list() | tuple() as values):
            yield from islice(enumerate(values), MOST_ROWS)
        case Range() | Glob() | Lines():
            yield None, ""
        case Batches(Items() | Range()) | Matrix() if _at_hand(over):
            yield from ((None, row) for row in islice(items(over, folder), MOST_ROWS))
        case Csv(path) if not is_url(path) and not any(before()):
            saw("status", str(folder / path), answer=status(str(folder / path)))
            with suppress(PipelineError):  # what is wrong with the file is told as such
                yield from ((None, row) for row in islice(items(over, folder), 1))
        case _:
            yield None, _UNKNOWN


def _at_hand(over: Source) -> bool:
    """Whether its rows can be had without opening or calling anything."""
    axes = over.axes.values() if isinstance(over, Matrix) else ()
    return all(isinstance(axis, Items | Range) for axis in axes)


def _row(row: Any, style: Style, fixed: Mapping[str, signatures.Path], written: signatures.Path) -> Shape:
    match row:
        case Mapping():
            return Shape((), {**fixed, **{str(name): (*written, str(name)) for name in row}}, written=written)
        case list() | tuple():
            return Shape(tuple(f"item[{number}]" for number in range(len(row))), fixed, written=written)
        case _ if row is _UNKNOWN or style is Style.STAR:
            return Shape((), fixed, whole=False, written=written)
    return Shape(("item",), fixed, written=written)
