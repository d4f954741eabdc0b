"""Opens the sources that need no stage: items from lists, numbers, files and generators, as lazily as can be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from itertools import islice
from pathlib import Path

from pipeline_runner.errors import kind_of
from pipeline_runner.spec import matrix
from pipeline_runner.spec.opening import SourceError, is_url, matches, opened
from pipeline_runner.spec.pipeline import (
    Batches,
    Computed,
    Csv,
    FromStage,
    Function,
    Generate,
    Given,
    Glob,
    InFile,
    Items,
    Jsonl,
    Lines,
    Matrix,
    Named,
    Range,
    Source,
    Zip,
)
from pipeline_runner.typed import Any, TypeGuard
from pipeline_runner.worker.functions import resolve

Opened = Items | Range | Glob | Lines | Csv | Jsonl | Generate | Matrix | Batches

__all__ = ["Opened", "SourceError", "at_hand", "endless", "function", "is_open", "items", "matches", "size"]


def is_open(source: Source | None) -> TypeGuard[Opened]:
    """Whether `items` can open it: it needs no stage, and is no set of columns."""
    match source:
        case Matrix(axes):
            return all(map(is_open, axes.values()))
        case Batches(inner):
            return is_open(inner)
    return source is not None and not isinstance(source, FromStage | Computed | Zip)


def endless(source: Source | None) -> bool:
    """Whether it may have no end, as far as can be known."""
    match source:
        case Generate(take=take):
            return take is None
        case Batches(inner):
            return endless(inner)
    return False


def items(source: Opened, folder: Path) -> Iterator[Any]:
    """The source's items, one by one. Errors: SourceError, at the item; what a user's generator raises."""
    match source:
        case Items(values):
            return iter(values)
        case Range(start, stop, step):
            return iter(range(start, stop, step))
        case Glob(pattern):
            return iter(matches(pattern, folder))
        case Lines(path):
            return _lines(path, folder)
        case Csv(path):
            return _csv(path, folder)
        case Jsonl(path):
            return _jsonl(path, folder)
        case Generate():
            return _generated(source, folder)
        case Matrix():
            return _combined(source, folder)
        case Batches(inner, most):
            return _in_lists(items(_open(inner), folder), most)


def at_hand(source: Opened) -> list[Any] | range | None:
    """The source's items where all of them are there without reading anything; None where they are not."""
    match source:
        case Range(start, stop, step):
            return range(start, stop, step)
        case Items(list() as values):
            return values
    return None


def size(source: Opened, folder: Path) -> int | None:
    """How many items there will be, where that is known without reading them."""
    match source:
        case Items(values):
            return len(values) if isinstance(values, Sized) else None
        case Range(start, stop, step):
            return len(range(start, stop, step))
        case Glob(pattern) if not is_url(pattern):
            return len(matches(pattern, folder))
        case Matrix():
            return _number_of_combinations(source, folder)
        case Batches(inner, most):
            known = size(_open(inner), folder)
            return None if known is None else -(-known // most)
    return None


def function(of: Function, folder: Path) -> Any:
    """The callable that a spec names. Errors: FunctionNotFound."""
    match of:
        case Named(module, attribute):
            return resolve("module", module, attribute, folder)
        case InFile(path, attribute):
            return resolve("file", path, attribute, folder)
        case Given(given):
            return given


def _open(source: Source) -> Opened:
    if not is_open(source):
        raise AssertionError("a source within another that waits for a stage was not filled in: this is our bug")
    return source


def _combined(source: Matrix, folder: Path) -> Iterator[dict[str, Any]]:
    axes = {name: _sequence(_open(axis), folder) for name, axis in source.axes.items()}
    yield from matrix.combinations(axes, source.include, source.exclude)


def _sequence(axis: Opened, folder: Path) -> Sequence[Any]:
    known = at_hand(axis)
    return list(items(axis, folder)) if known is None else known


def _number_of_combinations(source: Matrix, folder: Path) -> int | None:
    sizes = [size(_open(axis), folder) for axis in source.axes.values()]
    lengths = [length for length in sizes if length is not None]
    if len(lengths) < len(sizes):
        return None
    entries = len(source.include) + len(source.exclude)
    known = matrix.count(lengths, entries)
    if known is None and matrix.soon_counted(lengths, entries):
        return sum(1 for _ in _combined(source, folder))
    return known


def _in_lists(given: Iterator[Any], most: int) -> Iterator[list[Any]]:
    while batch := list(islice(given, most)):
        yield batch


def _text_lines(path: str, folder: Path) -> Iterator[str]:
    """A file's lines with their ends, without the mark that spreadsheets write before the first."""
    # As bytes: a text file decodes ahead, and could not say which line is the bad one.
    with opened(path, folder) as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise SourceError(path, number, f"not UTF-8: {error.reason}") from error
            yield text


def _lines(path: str, folder: Path) -> Iterator[str]:
    return (line.removesuffix("\n").removesuffix("\r") for line in _text_lines(path, folder))


def _jsonl(path: str, folder: Path) -> Iterator[Any]:
    for number, line in enumerate(_text_lines(path, folder), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SourceError(path, number, f"not JSON: {error}") from error
        yield value


def _csv(path: str, folder: Path) -> Iterator[dict[str, str]]:
    import csv

    reader = csv.reader(_text_lines(path, folder), strict=True)  # else a quote that is open takes all rows after it
    try:
        head = next(reader, [])
        if twice := sorted({name for name in head if head.count(name) > 1}):
            raise SourceError(path, 1, f"the column {', '.join(twice)} is there twice")
        for row in reader:
            if row and len(row) != len(head):
                raise SourceError(path, reader.line_num, f"{len(row)} values for {len(head)} columns")
            if row:
                yield dict(zip(head, row, strict=True))
    except csv.Error as error:
        why = "a quote is opened, and never closed" if str(error) == "unexpected end of data" else str(error)
        raise SourceError(path, reader.line_num, why) from error


def _generated(source: Generate, folder: Path) -> Iterator[Any]:
    generator = function(source.function, folder)
    given = source.keywords
    made = generator(**given) if isinstance(given, Mapping) else generator(*given)
    if not isinstance(made, Iterable):
        raise SourceError(str(source.function), None, f"gave {kind_of(made)}, from which no items can be taken")
    return iter(made) if source.take is None else islice(made, source.take)
