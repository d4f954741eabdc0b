"""What a stage's calls are given, as far as its spec says it: a number, a file, the whole results of other stages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from pipeline_runner.spec.pipeline import FromStage, Glob, Range, Source, StageName, StageSpec
from pipeline_runner.syntax.expressions import SCALARS, Reference, references
from pipeline_runner.typed import Any


def whole_reads(stage: StageSpec) -> list[StageName]:
    """The stages whose whole results a stage's `with` names, each once. Their names have no part in the order."""
    if of_values(stage.constants) and of_values(stage.setup_with):
        return []
    named = [reference for reference in templates(stage) if reference.root == "stages"]
    return list(dict.fromkeys(StageName(str(reference.path[0])) for reference in named))


def awaited(stage: StageSpec, named: Collection[StageName] | None = None) -> list[StageName]:
    """The stages that count although no result of theirs is read, since they may have written what the calls read:
    those that it only `needs`. Where `deps` say which files the calls read, what is in those counts instead.
    `named`: those whose whole results its `with` names, where they are known."""
    if stage.deps or not stage.needs:
        return []
    named = whole_reads(stage) if named is None else named
    return [name for name in stage.needs if name not in named]


def numbered(spec: StageSpec) -> bool:
    """Whether a call is given its own number."""
    if not spec.deps and not spec.outs and of_values(spec.constants):
        return False
    given = spec.constants.values() if isinstance(spec.constants, Mapping) else spec.constants
    return any(reference.root == "index" for value in (*given, *spec.deps, *spec.outs) for reference in named_in(value))


def by_path(source: Source | None) -> bool:
    """Whether the items are files' names."""
    return isinstance(source, Glob)


def by_number(source: Source | None) -> bool:
    """Whether a call's number alone says what it is given."""
    return source is None or isinstance(source, Range | FromStage)


def templates(spec: StageSpec) -> Iterator[Reference]:
    """Every `${…}` of a stage's arguments, in an order that does not depend on how they are written down."""
    for constants in (spec.constants, spec.setup_with):
        for _, value in arguments(constants) if not of_values(constants) else ():
            yield from named_in(value)


def of_values(constants: Any) -> bool:
    """Whether a `with` names nothing, as is seen at a glance: of thousands of stages, most have a few values."""
    kind = type(constants)
    if kind is not dict and kind is not list:
        return False
    return SCALARS.issuperset(map(type, constants.values() if kind is dict else constants))


def named_in(value: Any) -> Iterable[Reference]:
    """As `references`, without a walk through what has nothing in it, or is one."""
    kind = type(value)
    return () if kind in SCALARS else (value,) if kind is Reference else references(value)


def arguments(constants: Any) -> list[tuple[Any, Any]]:
    """A `with` as names or positions and values. Keywords have no order."""
    if isinstance(constants, Mapping):
        return sorted(constants.items(), key=lambda item: str(item[0]))
    return list(enumerate(constants))
