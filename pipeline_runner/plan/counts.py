"""How many calls a stage has, where that is known before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline_runner.axes import OnError
from pipeline_runner.errors import Problem
from pipeline_runner.plan.problems import UnequalColumns
from pipeline_runner.spec.pipeline import FromStage, Items, Range, Source, StageName, StageSpec, Zip

Counts = Mapping[StageName, int | None]  # of the stages planned so far


def size(source: Source, folder: Path) -> int | None:
    """How many items a source has, where it can be told without reading it."""
    match source:
        case Items(list() | tuple() as values):
            return len(values)
        case Range(start, stop, step):
            return len(range(start, stop, step))
    return None


def calls(stage: StageSpec, stages: Mapping[StageName, StageSpec], counts: Counts, folder: Path) -> int | None:
    """How many calls the stage makes; None: not known yet."""
    if stage.over is None:
        return 1
    if isinstance(stage.over, Zip):
        lengths = [_length(column, stages, counts, folder) for column in stage.over.columns]
        known = [length for length in lengths if length is not None]
        return min(known) if len(known) == len(lengths) and known else None
    return _length(stage.over, stages, counts, folder)


def _length(source: Source, stages: Mapping[StageName, StageSpec], counts: Counts, folder: Path) -> int | None:
    if not isinstance(source, FromStage):
        return size(source, folder)
    read = stages[source.stage]
    # A stage that skips failed calls may hand on fewer than it makes; one call's value may hold any number.
    if read.over is None or len(source.reference.path) > 1 or read.on_error is OnError.SKIP:
        return None
    return counts.get(source.stage)


def unequal(stage: StageSpec, folder: Path) -> Iterator[Problem]:
    """The problem of a zip whose columns are known to have unequal lengths."""
    if not isinstance(stage.over, Zip) or stage.shortest:
        return
    names = stage.over.names or tuple(f"column {number}" for number in range(1, len(stage.over.columns) + 1))
    lengths = [
        (name, length)
        for name, column in zip(names, stage.over.columns, strict=True)
        if not isinstance(column, FromStage) and (length := size(column, folder)) is not None
    ]
    if len({length for _, length in lengths}) > 1:
        yield UnequalColumns(mark=stage.mark("over"), stage=stage.name, lengths=tuple(lengths))
