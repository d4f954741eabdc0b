"""How the items of a source are told from those of an earlier run: files by what is in them, all else by what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from pipeline_runner.record.digests import digests, path_digests, with_contents
from pipeline_runner.record.files import Files
from pipeline_runner.record.inputs import by_number, by_path
from pipeline_runner.spec.pipeline import Batches, Glob, Matrix, Source
from pipeline_runner.typed import Any

Described = Callable[[Any], Any]  # an item → the same, with what tells its files from what they were


def telling_apart(source: Source, folder: Path, files: Files) -> Callable[[Sequence[Any]], bytes] | None:
    """Gives 8 bytes for each item; None: its number says all that is to be said."""
    if by_number(source):
        return None
    if by_path(source):
        return partial(path_digests, folder, files)
    described = _described(source, folder, files)
    return digests if described is None else lambda items: digests(list(map(described, items)))


def _described(source: Source, folder: Path, files: Files) -> Described | None:
    """None: there are no files in it."""
    match source:
        case Glob():
            return partial(with_contents, folder, files)
        case Batches(inner) if (one := _described(inner, folder, files)) is not None:
            return lambda batch: list(map(one, batch))
        case Matrix(axes):
            found = {name: _described(axis, folder, files) for name, axis in axes.items()}
            known = {name: one for name, one in found.items() if one is not None}
            return partial(_row, known) if known else None
    return None


def _row(known: Mapping[str, Described], row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: known[key](value) if key in known else value for key, value in row.items()}
