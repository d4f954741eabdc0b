"""How the items of a source are told from those of an earlier run: files by what is in them, all else by what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline_runner.record.keys import by_number, by_path, digests, path_digests, with_status
from pipeline_runner.spec.pipeline import Batches, Glob, Matrix, Source

Described = Callable[[Any], Any]  # an item → the same, with what tells its files from what they were


def telling_apart(source: Source, folder: Path) -> Callable[[Sequence[Any]], bytes] | None:
    """Gives 8 bytes for each item; None: its number says all that is to be said."""
    if by_number(source):
        return None
    if by_path(source):
        return partial(path_digests, folder)
    described = _described(source, folder)
    return digests if described is None else lambda items: digests(list(map(described, items)))


def _described(source: Source, folder: Path) -> Described | None:
    """None: there are no files in it."""
    match source:
        case Glob():
            return partial(with_status, folder)
        case Batches(inner) if (one := _described(inner, folder)) is not None:
            return lambda batch: list(map(one, batch))
        case Matrix(axes):
            found = {name: _described(axis, folder) for name, axis in axes.items()}
            files = {name: one for name, one in found.items() if one is not None}
            return partial(_row, files) if files else None
    return None


def _row(files: Mapping[str, Described], row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: files[key](value) if key in files else value for key, value in row.items()}
