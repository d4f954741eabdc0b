"""Opens the sources that need no stage: items from lists, numbers, files and generators, as lazily as can be."""

from __future__ import annotations

import csv
import glob
import json
from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import islice
from pathlib import Path
from typing import Any, TypeGuard

from pipeline_runner.errors import PipelineError
from pipeline_runner.spec.pipeline import (
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
    Named,
    Range,
    Source,
    Zip,
)
from pipeline_runner.worker.functions import resolve

Opened = Items | Range | Glob | Lines | Csv | Jsonl | Generate


class SourceError(PipelineError):
    """A source whose items cannot be had."""

    def __init__(self, path: str, line: int | None, why: str) -> None:
        super().__init__(path, line, why)
        self.path = path  # of the file, or the name of the generator
        self.line = line  # from 1; None: the whole
        self.why = why

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.why}" if self.line else f"{self.path}: {self.why}"


def is_open(source: Source | None) -> TypeGuard[Opened]:
    """Whether `items` can open it: it needs no stage, and is no set of columns."""
    return source is not None and not isinstance(source, FromStage | Computed | Zip)


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


def size(source: Opened, folder: Path) -> int | None:
    """How many items there will be, where that is known without reading them."""
    match source:
        case Items(values):
            return len(values) if isinstance(values, Sized) else None
        case Range(start, stop, step):
            return len(range(start, stop, step))
        case Glob(pattern):
            return len(matches(pattern, folder))
    return None


def matches(pattern: str, folder: Path) -> list[str]:
    """The paths that a pattern finds, sorted; relative ones stay relative to the folder, as the pattern is."""
    return sorted(glob.glob(pattern, root_dir=folder, recursive=True))


def function(of: Function, folder: Path) -> Any:
    """The callable that a spec names. Errors: FunctionNotFound."""
    match of:
        case Named(module, attribute):
            return resolve("module", module, attribute, folder)
        case InFile(path, attribute):
            return resolve("file", path, attribute, folder)
        case Given(given):
            return given


def _text_lines(path: str, folder: Path) -> Iterator[str]:
    """A file's lines with their ends, without the mark that spreadsheets write before the first."""
    try:
        # As bytes: a text file decodes ahead, and could not say which line is the bad one.
        with (folder / path).open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise SourceError(path, number, f"not UTF-8: {error.reason}") from error
                yield text
    except (OSError, ValueError) as error:
        raise SourceError(path, None, _why(error, folder)) from error


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
    reader = csv.reader(_text_lines(path, folder))
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
        raise SourceError(path, reader.line_num, str(error)) from error


def _generated(source: Generate, folder: Path) -> Iterator[Any]:
    generator = function(source.function, folder)
    given = source.keywords
    made = generator(**given) if isinstance(given, Mapping) else generator(*given)
    if not isinstance(made, Iterable):
        raise SourceError(str(source.function), None, f"gave a {type(made).__name__}, from which no items can be taken")
    return iter(made) if source.take is None else islice(made, source.take)


def _why(error: OSError | ValueError, folder: Path) -> str:
    match error:
        case FileNotFoundError():
            return f"there is no such file in {folder}"
        case IsADirectoryError():
            return "it is a folder"
        case OSError():
            return (error.strerror or str(error)).lower()
    return str(error)
