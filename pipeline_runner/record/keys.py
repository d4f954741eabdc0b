"""Recipes: what a stage's values depend on, as a hash. Never what they are, nor which method made them.

A recipe has the function's source with what it uses of its own module and of the project's modules,
the constants, the argument style, and the recipes of the stages it reads. Comments, docstrings and
formatting are not in it. The items of static sources are told apart call by call, by their digests.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline_runner.plan.plan import Plan, StagePlan
from pipeline_runner.record.source import source_recipe
from pipeline_runner.spec.pipeline import (
    FromStage,
    Function,
    Generate,
    Given,
    Glob,
    InFile,
    Named,
    Range,
    Source,
    StageName,
    Zip,
)
from pipeline_runner.syntax.expressions import references

_PLAIN = frozenset({str, int, float, bool, type(None)})
DIGEST = 8  # bytes


def recipes(plan: Plan) -> dict[StageName, bytes | None]:
    """Each stage's recipe; None where something in it has no lasting description, so that nothing of it is reused."""
    found: dict[StageName, bytes | None] = {}
    for name, stage in plan.stages.items():
        try:
            found[name] = _recipe(plan, stage, found)
        except _Unknowable:
            found[name] = None
    return found


def digest(value: Any) -> bytes:
    """8 bytes that tell one argument from another. Errors: what pickle raises for an argument it cannot take."""
    kind = type(value)
    if kind in _PLAIN:  # most of all items, and a pickler of their own would cost three times the hash
        text = f"{kind.__name__} {value!r}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=DIGEST).digest()
    return hashlib.blake2b(_stable(value), digest_size=DIGEST).digest()


def path_digest(folder: Path, path: Any) -> bytes:
    """The same for a file's name: with the file's size and time, since the call will read what is in it."""
    try:
        status = os.stat(folder / path)
    except (OSError, TypeError, ValueError):
        return digest(path)
    return digest((path, status.st_size, status.st_mtime_ns))


class _Unknowable(Exception):
    """Something has no description that the next process would give again."""


def _recipe(plan: Plan, stage: StagePlan, found: Mapping[StageName, bytes | None]) -> bytes:
    spec, folder = stage.spec, plan.pipeline.folder
    reads = {r.path[0] for r in references([spec.constants, spec.setup_with]) if r.root == "stages"}
    reads |= _stages_of(spec.over) | set(spec.needs)  # what it needs may have written what it reads
    parts: list[Any] = [
        _function(spec.function, folder),
        None if spec.setup is None else (_function(spec.setup, folder), _plain(spec.setup_with)),
        stage.choice.style if spec.over is not None else None,
        _source(spec.over),
        spec.shortest,
        _plain(spec.constants),
        sorted({**plan.pipeline.env, **spec.env}.items()),
        [(name, found[StageName(str(name))]) for name in sorted(map(str, reads))],
    ]
    if any(found[StageName(str(name))] is None for name in reads):
        raise _Unknowable
    try:
        return hashlib.sha256(_stable(parts)).digest()
    except Exception as error:  # a constant that cannot be pickled: whatever its class raises
        raise _Unknowable from error


def _function(function: Function, folder: Path) -> bytes:
    match function:
        case Named(module, attribute):
            known = source_recipe("module", module, attribute, folder)
        case InFile(path, attribute):
            known = source_recipe("file", path, attribute, folder)
        case Given(given):
            known = _given(given)
    if known is None:
        raise _Unknowable
    return known


def _given(function: Any) -> bytes | None:
    """A function that exists only in Python: by its code, its defaults and what it closes over."""
    code = getattr(function, "__code__", None)
    if code is None:
        try:
            return hashlib.sha256(pickle.dumps(function, 5)).digest()
        except Exception:
            return None
    cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    try:
        return hashlib.sha256(_stable((_code(code), function.__defaults__, function.__kwdefaults__, cells))).digest()
    except Exception:
        return None


def _code(code: Any) -> Any:
    """Bytecode and constants, without names of files and numbers of lines."""
    inner = tuple(_code(constant) if hasattr(constant, "co_code") else constant for constant in code.co_consts)
    return code.co_code, inner, code.co_names, code.co_varnames, code.co_freevars


def _source(source: Source | None) -> Any:
    """What of a source says which call is which. Items are told by their digests, or are the number itself."""
    match source:
        case None:
            return None
        case FromStage(reference):
            return "stage", reference.path
        case Range(start, _, step):
            return "range", start, step
        case Zip(columns, names):
            return "zip", [_source(column) for column in columns], names
        case Generate() | _:
            return "items"


def _stages_of(source: Source | None) -> set[str | int]:
    match source:
        case FromStage(reference):
            return {reference.path[0]}
        case Zip(columns):
            return {name for column in columns for name in _stages_of(column)}
        case Generate(keywords=keywords):
            return {r.path[0] for r in references(keywords) if r.root == "stages"}
    return set()


def _plain(template: Any) -> Any:
    """A `with` in which references are their text."""
    if isinstance(template, Mapping):
        return {key: _plain(value) for key, value in template.items()}
    if isinstance(template, list):
        return [_plain(value) for value in template]
    return ("reference", str(template)) if next(references(template), None) is not None else template


class _Stable(pickle.Pickler):
    """Equal values give equal bytes: without a memo, text that happens to be one object is not told from equal text;
    sets come in an order of their own in every process, so they go sorted."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, set | frozenset):
            return (_unordered, (type(value).__name__, tuple(sorted(map(_bytes, value)))))
        return NotImplemented


def _unordered(*_: Any) -> None:
    """Only its name is ever used: what stands for a set in a description."""


def _bytes(value: Any) -> bytes:
    return _stable(value)


def _stable(value: Any) -> bytes:
    buffer = io.BytesIO()
    pickler = _Stable(buffer, 5)
    pickler.fast = True
    pickler.dump(value)
    return buffer.getvalue()


def by_path(source: Source | None) -> bool:
    """Whether the items are files' names."""
    return isinstance(source, Glob)


def by_number(source: Source | None) -> bool:
    """Whether a call's number alone says what it is given."""
    return source is None or isinstance(source, Range | FromStage)
