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
import sys
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pipeline_runner.plan.plan import Plan, StagePlan
from pipeline_runner.record.source import source_recipe, whole_recipe
from pipeline_runner.spec.pipeline import (
    Computed,
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
from pipeline_runner.syntax.expressions import Expression, Text, references

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
    if kind is str:
        text = value.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=DIGEST, person=b"str").digest()
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
            known = _given(given, folder)
    if known is None:
        raise _Unknowable
    return known


def _given(function: Any, folder: Path) -> bytes | None:
    """A function that exists only in Python: by its code, its defaults, what it closes over, and what of its module's
    names it uses; None where something of that has no lasting description."""
    try:
        return hashlib.sha256(_stable(_described(function, folder, {}))).digest()
    except Exception:  # whatever a class raises when it is pickled
        return None


def _described(value: Any, folder: Path, seen: dict[int, int]) -> Any:
    """What a value is, so that a later process says the same: functions and classes by what they do."""
    if id(value) in seen:
        return "again", seen[id(value)]
    if isinstance(value, ModuleType):
        ours = _is_ours(value, folder) and getattr(value, "__file__", None)
        return "module", value.__name__, whole_recipe(Path(ours), folder) if ours else None
    if not callable(value):
        return value
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    name = (getattr(value, "__module__", ""), getattr(value, "__qualname__", ""))
    if module is not None and not _is_ours(module, folder) and _found(module, name[1]) is value:
        return "installed", name
    seen[id(value)] = len(seen)
    if isinstance(value, type):
        members = sorted((key, member) for key, member in vars(value).items() if key not in _OF_A_CLASS)
        bases = [_described(base, folder, seen) for base in value.__bases__]
        return "class", name, bases, [(key, _described(_bare(member), folder, seen)) for key, member in members]
    code = getattr(value, "__code__", None)
    if code is None:
        return value
    cells = [_described(cell.cell_contents, folder, seen) for cell in value.__closure__ or ()]
    names = value.__globals__
    used = [(word, _described(names[word], folder, seen)) for word in _words(code) if word in names]
    defaults = [_described(default, folder, seen) for default in value.__defaults__ or ()]
    keywords = sorted((key, _described(given, folder, seen)) for key, given in (value.__kwdefaults__ or {}).items())
    return "function", _code(code), defaults, keywords, cells, used


_OF_A_CLASS = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__"}
)


def _is_ours(module: ModuleType, folder: Path) -> bool:
    """Whether a module is the project's, or a notebook's: not one that was installed."""
    file = getattr(module, "__file__", None)
    if module.__name__ == "__main__" or (file and Path(file).is_relative_to(folder)):
        return True
    return file is None and module.__name__.partition(".")[0] not in sys.stdlib_module_names


def _found(module: Any, name: str) -> Any:
    """What a module has under a dotted name, or None."""
    for part in name.split("."):
        module = getattr(module, part, None)
    return module


def _bare(member: Any) -> Any:
    """The function in a static or class method, or in a property."""
    return getattr(member, "__func__", None) or getattr(member, "fget", None) or member


def _words(code: CodeType) -> list[str]:
    """Names that a function's code, and that of functions within it, may look up in its module."""
    inner = [word for constant in code.co_consts if isinstance(constant, CodeType) for word in _words(constant)]
    return sorted({*code.co_names, *inner})


def _code(code: CodeType) -> Any:
    """Bytecode and constants, without names of files and numbers of lines."""
    inner = tuple(_code(constant) if isinstance(constant, CodeType) else constant for constant in code.co_consts)
    return code.co_code, inner, code.co_names, code.co_varnames, code.co_freevars


def _source(source: Source | None) -> Any:
    """What of a source says which call is which. Items are told by their digests, or are the number itself."""
    match source:
        case None:
            return None
        case FromStage(reference):
            return "stage", reference.path
        case Computed(template):
            return "items", _plain(template)
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
        case Computed(template):
            return {r.path[0] for r in references(template) if r.root == "stages"}
        case Generate(keywords=keywords):
            return {r.path[0] for r in references(keywords) if r.root == "stages"}
    return set()


def _plain(template: Any) -> Any:
    """A `with` in which references are their text."""
    if isinstance(template, Mapping):
        return {key: _plain(value) for key, value in template.items()}
    if isinstance(template, list):
        return [_plain(value) for value in template]
    if isinstance(template, Text):
        return [_plain(part) for part in template.parts]
    if isinstance(template, Expression):
        return "expression", template.source, template.given
    return ("reference", str(template)) if next(references(template), None) is not None else template


def _stable(value: Any) -> bytes:
    """Equal values give equal bytes: without a memo, text that happens to be one object is not told from equal text;
    sets, which come in an order of their own in every process, go sorted."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, 5)
    pickler.fast = True
    pickler.dump(_sorted(value))
    return buffer.getvalue()


def _sorted(value: Any) -> Any:
    """The same nesting, with what stands for a set in the place of each."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list or kind is tuple:
        return kind(map(_sorted, value))
    if kind is dict:
        return {key: _sorted(inner) for key, inner in value.items()}
    if kind is set or kind is frozenset:
        return _a_set, kind.__name__, sorted(map(_stable, value))
    return value


def _a_set() -> None:
    """Only its name is ever used: no value of a user's is taken for what stands for a set."""


def by_path(source: Source | None) -> bool:
    """Whether the items are files' names."""
    return isinstance(source, Glob)


def by_number(source: Source | None) -> bool:
    """Whether a call's number alone says what it is given."""
    return source is None or isinstance(source, Range | FromStage)
