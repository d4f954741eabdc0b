"""The names of stages in what a pipeline says, made into others: those of a file within a file are `outer.inner`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipeline_runner.classes import dataclass, given, replace
from pipeline_runner.errors import did_you_mean
from pipeline_runner.spec.command import CommandLine
from pipeline_runner.spec.pipeline import Computed, FromStage, Given, Items, StageSpec
from pipeline_runner.syntax.expressions import Ends, Expression, ExpressionError, Reference, Text, ends_of
from pipeline_runner.typed import Any

Steps = Sequence[str | int]


@dataclass(frozen=True)
class Within:
    """What the name of a stage that is another file's pipeline stands for."""

    value: Ends  # where nothing follows the name, or what is no stage of that file
    stages: Mapping[str, Ends | Within]  # of that file, which may follow it


Rename = Callable[[str], Ends | Within]  # what a stage's name stands for

_OURS = (StageSpec.__module__, CommandLine.__module__)  # of values that hold references
_UP = "^"  # before a name: a stage of the file around; no stage's own name can have it


def outward(template: Any) -> Any:
    """What a file says, as the value of a parameter of a file within it: its stages are not that file's own."""
    return rewired(template, lambda name: f"{_UP}{name}")


def value_of(standing: Ends | Within) -> Ends:
    """The stage, or the stages, whose values a name means by itself."""
    return standing.value if isinstance(standing, Within) else standing


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
    told = given(value) if type(value).__module__ in _OURS else None
    if told is not None:
        return replace(value, **{name: rewired(inner, to) for name, inner in told.items()})
    return value


def _reference(reference: Reference, to: Rename) -> Reference | Expression:
    name, *path = reference.path
    standing = to(str(name))
    while isinstance(standing, Within) and path and str(path[0]) in standing.stages:
        standing = standing.stages[str(path.pop(0))]
    ends = value_of(standing)
    if isinstance(ends, str):
        return replace(reference, path=(ends, *path))
    if path and isinstance(standing, Within):
        guess, known = did_you_mean(str(path[0]), tuple(standing.stages)), ", ".join(standing.stages)
        raise ExpressionError(f'{reference} leads nowhere: there is no "{path[0]}"{guess or f"; there is {known}"}')
    reads = tuple(Reference("stages", (end,)) for end in ends_of(ends))
    return Expression(f"stages[{name!r}]", reads, stands={str(name): ends})


def _expression(template: Expression, to: Rename) -> Expression:
    named = [read.path for read in template.reads if read.root == "stages" and read.path]
    stands = template.stands or {str(path[0]): str(path[0]) for path in named}
    reads: list[Reference] = []
    for read in template.reads:
        made = rewired(read, to)
        reads += made.reads if isinstance(made, Expression) else (made,)

    def renamed(ends: Ends) -> Ends:
        if not isinstance(ends, str):
            return {name: renamed(end) for name, end in ends.items()}
        return _as_read(template, ends, to(ends), [path[1:] for path in named if path[0] == ends])

    return replace(template, reads=tuple(reads), stands={name: renamed(ends) for name, ends in stands.items()})


def _as_read(template: Expression, name: str, standing: Ends | Within, paths: Sequence[Steps]) -> Ends:
    """What a name stands for in an expression that goes on from it by these steps: its value, or stages within it."""
    if not isinstance(standing, Within):
        return standing
    within = [path for path in paths if path and path[0] in standing.stages]
    value, steps = standing.value, dict.fromkeys(str(path[0]) for path in within)
    if len(within) < len(paths):
        for step in steps:
            if isinstance(value, str) or step not in value:
                both = f'{template} reads the value of "{name}" and, of the stages in it, "{step}"'
                raise ExpressionError(f"{both}: give one of them a `with` or a stage of its own")
        return value
    return {
        step: _as_read(template, f"{name}.{step}", standing.stages[step], [p[1:] for p in within if p[0] == step])
        for step in steps
    }
