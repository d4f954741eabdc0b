"""How many calls a stage has, where that is known before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline_runner.axes import OnError
from pipeline_runner.errors import Problem
from pipeline_runner.plan.problems import UnequalColumns
from pipeline_runner.spec.pipeline import Batches, FromStage, Source, StageName, StageSpec, Zip
from pipeline_runner.spec.sources import is_open, size

Counts = Mapping[StageName, int | None]  # of the stages planned so far


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
    if is_open(source):
        return size(source, folder)
    if isinstance(source, Batches):
        items = _length(source.source, stages, counts, folder)
        return None if items is None else -(-items // source.size)
    if not isinstance(source, FromStage):
        return None
    read = stages.get(source.stage)
    # A stage that skips failed calls may hand on fewer than it makes; one call's value may hold any number.
    if read is None or read.over is None or len(source.reference.path) > 1 or read.on_error is OnError.SKIP:
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
        if is_open(column) and (length := size(column, folder)) is not None
    ]
    if len({length for _, length in lengths}) > 1:
        yield UnequalColumns(mark=stage.mark("over"), stage=stage.name, lengths=tuple(lengths))
