"""A stage by itself: its constants filled in, and some of its own items, spread over all that it has."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline_runner.axes import OnError
from pipeline_runner.engine.inputs import RunNames, constants_of, settled
from pipeline_runner.errors import UsageError
from pipeline_runner.plan.make import make_plan
from pipeline_runner.plan.plan import Choice, Plan
from pipeline_runner.spec.pipeline import Generate, Items, Retry, Source, StageName, StageSpec, Zip
from pipeline_runner.spec.sources import items
from pipeline_runner.tuning.apart import apart
from pipeline_runner.tuning.reading import Read
from pipeline_runner.worker.packing import pack

LOOK = 10_000  # items of a source that are looked at
GENERATED = 1_000  # of a generator, whose items cost what they cost


@dataclass(frozen=True)
class Sample:
    """Rows of a stage's arguments. No column: it makes one call, from its `with` alone."""

    spec: StageSpec  # without its sources
    columns: tuple[Sequence[Any], ...]
    of: int | None  # how many there are in all; None: more than were looked at

    @property
    def calls(self) -> int:
        return len(self.columns[0]) if self.columns else 1

    def first(self, most: int) -> Sample:
        """At most so many calls, from the beginning to the end of those that are there."""
        count = min(most, self.calls)
        chosen = [at * self.calls // count for at in range(count)]
        return self._with(chosen)

    def without(self, calls: Collection[int]) -> Sample:
        return self._with([at for at in range(self.calls) if at not in calls])

    def _with(self, chosen: Sequence[int]) -> Sample:
        return replace(self, columns=tuple([column[at] for at in chosen] for column in self.columns))

    def stage(self, choice: Choice, chunk: int | None) -> StageSpec:
        """The stage with just these calls, on this method; a call that fails is dropped, at once."""
        over: Source | None = Items(self.columns[0]) if self.columns else None
        if isinstance(self.spec.over, Zip):
            over = Zip(tuple(map(Items, self.columns)), self.spec.over.names)
        return replace(
            self.spec,
            over=over,
            method=choice.method.name,
            style=choice.style,
            returns=choice.returns,
            dispatch=None,
            backend=None,
            chunk=chunk,
        )

    def plan(self, whole: Plan, choice: Choice, chunk: int | None) -> Plan:
        """The plan of a pipeline that has nothing but this."""
        stage = self.stage(choice, chunk)
        alone = replace(whole.pipeline, stages={stage.name: stage}, hooks={}, composed={}, warnings=())
        return make_plan(alone, workers=whole.workers)


def sample_of(plan: Plan, name: StageName, read: Read, names: RunNames) -> Sample:
    """What there is to choose from. `read` is what the stages gave that it reads.

    Errors: UsageError when it has no items; SourceError, NotIterable, ExpressionError; what a user's generator raises.
    """
    stage, folder = plan.stages[name].spec, plan.pipeline.folder_of(plan.stages[name].spec)
    constants = constants_of(stage, {"stages": read.values, "run": names})
    given = constants.fixed if isinstance(constants.fixed, list) else {**constants.fixed, **constants.per_call}
    alone = replace(
        stage, constants=given, needs=(), condition=None, retry=Retry(), on_error=OnError.SKIP, cache=False, deps=()
    )
    sources = () if stage.over is None else stage.over.columns if isinstance(stage.over, Zip) else (stage.over,)
    columns = [_items(source, read.values, folder) for source in sources]
    rows = min(map(len, columns), default=1)
    if rows == 0:
        raise UsageError(f'stage "{name}" has no items: there is nothing to measure')
    whole = read.whole and all(len(column) < _most(source) for column, source in zip(columns, sources, strict=True))
    known = plan.stages[name].calls
    return Sample(alone, tuple(column[:rows] for column in columns), rows if known is None and whole else known)


def _most(source: Source) -> int:
    return GENERATED if isinstance(source, Generate) else LOOK


def _items(source: Source, values: Mapping[str, Any], folder: Path) -> list[Any]:
    most, opened = _most(source), settled(source, values)
    if isinstance(source, Generate):  # the user's own code: nothing of it is to be left where trials are forked
        given: list[Any] = pickle.loads(apart(lambda weigh: pack(list(islice(items(opened, folder), most)))).value)
        return given
    return list(islice(items(opened, folder), most))


def of_all(sample: Sample) -> str:
    """How many calls a sample has, of how many."""
    if not sample.columns:
        return "its one call"
    if sample.of == sample.calls:
        return "its one item" if sample.calls == 1 else f"all {sample.calls:,} items"
    return f"{sample.calls:,} {'items' if sample.of is None else f'of {sample.of:,} items'}"
