"""The names of stages in what a pipeline says, made into others: those of a file within a file are `outer.inner`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from pipeline_runner.spec.command import CommandLine
from pipeline_runner.spec.pipeline import Computed, FromStage, Given, Items, StageSpec
from pipeline_runner.syntax.expressions import Ends, Expression, ExpressionError, Reference, Text

Rename = Callable[[str], Ends]  # what a stage's name stands for

_OURS = (StageSpec.__module__, CommandLine.__module__)  # of values that hold references
_UP = "^"  # before a name: a stage of the file around; no stage's own name can have it


def outward(template: Any) -> Any:
    """What a file says, as the value of a parameter of a file within it: its stages are not that file's own."""
    return rewired(template, lambda name: f"{_UP}{name}")


def inward(names: Mapping[str, Ends]) -> Rename:
    """The stages of a file under these names; those of the file around it under their own."""
    return lambda name: name[1:] if name.startswith(_UP) else names.get(name, name)


def rewired(value: Any, to: Rename) -> Any:
    """The same value, sources and commands included, with other stages in its references.

    Errors: ExpressionError for a path that leads to none of several stages.
    """
    match value:
        case Reference("stages", (str(), *_)):
            return _reference(value, to)
        case Expression():
            return _expression(value, to)
        case Text(parts):
            return Text(tuple(rewired(part, to) for part in parts))
        case FromStage(reference):
            made = rewired(reference, to)
            return FromStage(made) if isinstance(made, Reference) else Computed(made)
        case Items(list() as values):
            return Items(rewired(values, to))
        case Items() | Given():  # of Python
            return value
        case Mapping():
            return {key: rewired(inner, to) for key, inner in value.items()}
        case list():
            return [rewired(inner, to) for inner in value]
        case tuple():
            return tuple(rewired(inner, to) for inner in value)
    if is_dataclass(value) and not isinstance(value, type) and type(value).__module__ in _OURS:
        told = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        return replace(value, **{name: rewired(inner, to) for name, inner in told.items()})
    return value


def ends_of(ends: Ends) -> Iterator[str]:
    """The stages themselves."""
    if isinstance(ends, str):
        yield ends
        return
    for end in ends.values():
        yield from ends_of(end)


def _reference(reference: Reference, to: Rename) -> Reference | Expression:
    name, *path = reference.path
    ends = to(str(name))
    while not isinstance(ends, str) and path:
        if str(path[0]) not in ends:
            known = ", ".join(ends)
            raise ExpressionError(f'{reference} leads nowhere: there is no "{path[0]}"; there is {known}')
        ends = ends[str(path.pop(0))]
    if isinstance(ends, str):
        return replace(reference, path=(ends, *path))
    reads = tuple(Reference("stages", (end,)) for end in ends_of(ends))
    return Expression(f"stages[{name!r}]", reads, stands={str(name): ends})


def _expression(template: Expression, to: Rename) -> Expression:
    named = {str(read.path[0]) for read in template.reads if read.root == "stages" and read.path}
    stands = template.stands or {name: name for name in named}
    reads: list[Reference] = []
    for read in template.reads:
        made = rewired(read, to)
        reads += made.reads if isinstance(made, Expression) else (made,)
    return replace(template, reads=tuple(reads), stands={name: _renamed(ends, to) for name, ends in stands.items()})


def _renamed(ends: Ends, to: Rename) -> Ends:
    return to(ends) if isinstance(ends, str) else {name: _renamed(end, to) for name, end in ends.items()}
