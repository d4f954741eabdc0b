"""The items of a stage that can be seen before the run, without opening or calling anything but a file's first row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from pipeline_runner.errors import PipelineError
from pipeline_runner.plan.links import Link
from pipeline_runner.spec.opening import is_url
from pipeline_runner.spec.pipeline import Batches, Csv, Items, Matrix, Range, Source, Zip
from pipeline_runner.spec.sources import items
from pipeline_runner.syntax.expressions import references
from pipeline_runner.typed import Any
from pipeline_runner.witness import saw, status

MOST = 10_000  # what is wrong with a row beyond is told when it is called


def rows(over: Source, folder: Path, before: Callable[[], Iterator[Link]]) -> Iterator[Any] | None:
    """Rows in their order, as far as there is no more to them than is written; None: nothing is known of them.

    `before` gives the stages that are read: one of them may write a file anew, which is then not looked at.
    """
    match over:
        case Zip(columns, names):
            sides = [rows(column, folder, before) for column in columns]
            known = [side for side in sides if side is not None]
            if len(known) < len(sides):
                return None
            together = zip(*known, strict=False)
            return (dict(zip(names, row, strict=True)) for row in together) if names else together
        case Range() | Items(list() | tuple()) | Batches(Items() | Range()) | Matrix() if _written(over):
            return islice(items(over, folder), MOST)
        # Not of a pipe: what is read of it now, the run would lack.
        case Csv(path) if not is_url(path) and (folder / path).is_file() and not any(before()):
            return _first_of(over, folder, path)
    return None


def _written(over: Source) -> bool:
    """Whether all of it stands in the pipeline, with nothing that only the run will tell."""
    match over:
        case Items(list() | tuple() as values):
            return not any(references(values))
        case Range():
            return True
        case Batches(inner):
            return _written(inner)
        case Matrix(axes, include, exclude):
            return all(map(_written, axes.values())) and not any(references([include, exclude]))
    return False


def _first_of(over: Csv, folder: Path, path: str) -> Iterator[Any]:
    saw("status", str(folder / path), answer=status(str(folder / path)))
    with suppress(PipelineError):  # what is wrong with the file is told as such
        yield from islice(items(over, folder), 1)
