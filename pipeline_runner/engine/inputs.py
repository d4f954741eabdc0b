"""From a stage's `over` and `with` to what its feed draws from, once its sources are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline_runner.axes import Returns, Status
from pipeline_runner.classes import dataclass, replace
from pipeline_runner.engine.intake import (
    Batched,
    Deepened,
    Depending,
    Described,
    First,
    FromItems,
    FromSequence,
    FromValues,
    Intake,
    Once,
    PerCall,
    SideBySide,
)
from pipeline_runner.engine.jobs import item_of, keywords_of, per_call, workdir
from pipeline_runner.engine.results import Results
from pipeline_runner.errors import PipelineError
from pipeline_runner.plan.plan import Plan, StagePlan
from pipeline_runner.record.deps import filled
from pipeline_runner.record.deps import varying as deps_of_call
from pipeline_runner.record.inputs import awaited, numbered, of_values, whole_reads
from pipeline_runner.record.lineage import deepened
from pipeline_runner.record.profile import Piece, longest_first
from pipeline_runner.spec.fanned import fan_out
from pipeline_runner.spec.pipeline import (
    Batches,
    Computed,
    FromStage,
    Generate,
    Items,
    Matrix,
    PipelineSpec,
    Source,
    StageName,
    StageSpec,
    Zip,
)
from pipeline_runner.state import RunState
from pipeline_runner.syntax.expressions import Reference, Scope, Text, as_text, follow, render
from pipeline_runner.typed import TYPE_CHECKING, Any

# What opens sources, fills in commands and says where files are written is imported by the stages that have them.
if TYPE_CHECKING:
    from pipeline_runner.engine.places import Writing
    from pipeline_runner.spec.sources import Opened

LISTED = 1 << 16  # items at most that are made at once, so that those whose calls took longest go first

TellApart = Callable[[Sequence[Any]], bytes]  # items → 8 bytes for each that tell it from others
FilesOf = Callable[[Sequence[str]], bytes]  # paths → 8 bytes that stand for them, with what is in them


class StageUnfinished(PipelineError):
    """Somebody asked for the whole result of a stage that did not end well."""

    def __init__(self, stage: str, state: RunState) -> None:
        self.stage = stage
        self.status = state.stages[stage].status or Status.CANCELLED
        own = next((failed for failed in state.failures if failed.stage == stage), None)
        first = own or next(iter(state.failures), None)
        self.failed = first
        because = "" if first is None else f", because {first}"
        super().__init__(f'stage "{stage}" has no result: it {self.status.said}{because}')


class FolderMissing(PipelineError):
    """A stage's `workdir` is not there when it is to begin."""

    def __init__(self, stage: str, workdir: str, path: str) -> None:
        self.stage, self.workdir, self.path = stage, workdir, path
        super().__init__(f'stage "{stage}" is to run in "{workdir}", and there is no folder {path}')


@dataclass(frozen=True)
class Constants:
    """A `with`, filled in: what is the same for every call, and what is not yet."""

    fixed: dict[str, Any] | list[Any]
    per_call: Mapping[str, Any]


class Values(Mapping[str, Any]):
    """`${stages}`: the whole result of each stage, decoded when it is asked for."""

    def __init__(self, plan: Plan, results: Mapping[StageName, Results], *, partial: bool = False) -> None:
        self._plan = plan
        self._results = results
        self._partial = partial  # of a stage that did not end well, what there is

    def __getitem__(self, name: str) -> Any:
        spec, results = self._plan.stages[StageName(name)].spec, self._results[StageName(name)]
        if self._partial and results.unfinished:
            return None if spec.over is None else results.kept_values()
        return whole_value(spec, results)

    def lost(self, name: str) -> bool:
        """Whether a stage did not end well and has no value at all."""
        return self._partial and self._results[StageName(name)].unfinished and not self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._results

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)


@dataclass(frozen=True)
class RunNames:
    """`${run.id}` and `${run.dir}`; in a hook also `${run.status}` and `${run.failures}`."""

    id: str
    make_folder: Callable[[], str]
    status: str = ""
    failures: Sequence[Mapping[str, Any]] = ()

    @property
    def dir(self) -> str:
        """The run's own folder, made when it is first asked for."""
        return self.make_folder()


def whole_value(stage: StageSpec, results: Results) -> Any:
    """A single call's value, or the list of all. Errors: StageUnfinished; what unpickling raises."""
    values = results.values()
    return values if stage.over is not None else values[0]


def in_its_folder(pipeline: PipelineSpec, stage: StageSpec) -> None:
    """See that calls of a stage can be where they are to run. Errors: FolderMissing."""
    path = workdir(pipeline, stage)
    if path and not os.path.isdir(path):
        raise FolderMissing(stage.name, stage.workdir or "", path)


def read_whole(stage: StageSpec) -> tuple[list[StageName], list[StageName]]:
    """The stages whose whole results each call of a stage may read: those that its `with` names, in the order that
    its recipe has them in, and those of which it may read what they have written somewhere."""
    named = whole_reads(stage)
    return named, awaited(stage, named)


def constants_of(stage: StageSpec, scope: Scope) -> Constants:
    """Fill in a stage's `with`. Errors: ExpressionError; what unpickling a value raises."""
    if of_values(stage.constants):
        return Constants(stage.constants, {})
    given = _without_lost(stage.constants, scope["stages"]) if stage.always else stage.constants
    if isinstance(given, list):
        return Constants(render(given, scope), {})
    rendered = {name: render(value, scope) for name, value in given.items()}
    varying = {name: value for name, value in rendered.items() if per_call(value)}
    return Constants({name: value for name, value in rendered.items() if name not in varying}, varying)


def _without_lost(template: Any, stages: Mapping[str, Any]) -> Any:
    """A template in which what is asked of the value of a stage that has none is nothing."""
    from pipeline_runner.spec.command import CommandLine, Known

    match template:
        case Reference("stages", (str(stage), _, *_)) if isinstance(stages, Values) and stages.lost(stage):
            return None
        case Text(parts):
            kept = [_without_lost(part, stages) for part in parts]
            return Text(tuple(as_text(part) if part is None else part for part in kept))
        case CommandLine(words):
            known = [[Known(None) if _without_lost(p, stages) is None else p for p in word] for word in words]
            return replace(template, words=tuple(map(tuple, known)))
        case Mapping():
            return {key: _without_lost(value, stages) for key, value in template.items()}
        case list():
            return [_without_lost(value, stages) for value in template]
    return template


def intake_of(
    plan: Plan,
    stage: StagePlan,
    varying: Mapping[str, Any],
    results: Mapping[StageName, Results],
    moved: Callable[[], None],
    tell_apart: Callable[[Source, Path], TellApart | None] = lambda source, folder: None,
    salt: bytes = b"",
    *,
    writing: Writing | None = None,
    files: FilesOf | None = None,
    idle: Callable[[], bool] = lambda: False,
    profile: Sequence[Piece] = (),
) -> tuple[Intake, int | None]:
    """What the stage's calls are drawn from, and how many they are where that is known.

    `tell_apart` gives, for a source, how its items are told apart; None: by their numbers, or not at all.
    `salt` stands for what every call is given beside its items, `files` for the files that each reads for itself;
    `idle` says whether a worker waits for calls, `profile` how long which of them took before: the
    longest are drawn first.
    Errors: NotIterable, SourceError, ExpressionError; what unpickling a value raises.
    """
    over = stage.spec.over
    by_index = numbered(stage.spec)
    opened: Intake
    calls: int | None
    if over is None:
        opened, calls = Once(deepened(range(1), None, salt, numbered=by_index)), 1
    else:
        folder = plan.pipeline.folder_of(stage.spec)
        values = Values(plan, results, partial=stage.spec.always)
        opened, calls = _Opener(plan, folder, results, values, moved, tell_apart, idle).open(
            over, shortest=stage.spec.shortest, profile=profile
        )
        if salt or by_index:
            opened = Deepened(opened, salt, numbered=by_index)
    own = deps_of_call(stage.spec)
    if own and files is not None:
        opened = Depending(opened, lambda index, item: files(filled(own, index, item)), item_of(over))
    return (PerCall(opened, keywords_of(varying, writing), item_of(over)) if varying or writing else opened), calls


@dataclass(frozen=True)
class _Opener:
    plan: Plan
    folder: Path  # of the stage
    results: Mapping[StageName, Results]
    values: Values
    moved: Callable[[], None]
    tell_apart: Callable[[Source, Path], TellApart | None]
    idle: Callable[[], bool]

    def open(
        self, source: Source, *, shortest: bool = False, column: bool = False, profile: Sequence[Piece] = ()
    ) -> tuple[Intake, int | None]:
        opened, calls = self._whole(source, shortest=shortest, column=column, profile=profile)
        most = self.plan.sample
        if most is None:
            return opened, calls
        from pipeline_runner.spec.sources import is_open

        if not is_open(source):
            return opened, calls
        return First(opened, most), None if calls is None else min(calls, most)

    def _whole(
        self, source: Source, *, shortest: bool = False, column: bool = False, profile: Sequence[Piece] = ()
    ) -> tuple[Intake, int | None]:
        match source:
            case Zip(columns, names):
                return self._side_by_side(columns, names, shortest)
            case FromStage():
                return self._of_stage(source, column, profile)
            case Computed(template):
                return self._all_there(
                    source, fan_out(str(template), render(template, {"stages": self.values})), profile
                )
            case Batches(inner, in_one):
                opened, calls = self._whole(inner, column=column)
                return Batched(opened, in_one), None if calls is None else -(-calls // in_one)
            case _:
                return self._needing_no_stage(source, profile)

    def _all_there(
        self, source: Source, items: list[Any] | range, profile: Sequence[Piece]
    ) -> tuple[Intake, int | None]:
        parts = longest_first(profile, len(items)) if profile else None
        return self._described(source, FromSequence(items, parts)), len(items)

    def _needing_no_stage(self, source: Source, profile: Sequence[Piece]) -> tuple[Intake, int | None]:
        from pipeline_runner.engine.live_items import LiveItems
        from pipeline_runner.spec.sources import at_hand, items, size

        whole = settled(source, self.values)
        there = at_hand(whole)
        if there is not None:
            return self._all_there(source, there, profile)
        known = size(whole, self.folder)
        if profile and known is not None and known <= LISTED:
            return self._all_there(source, list(items(whole, self.folder)), profile)
        if known is None and isinstance(whole, Generate | Items):
            return self._described(source, LiveItems(items(whole, self.folder), self.idle)), None
        return self._described(source, FromItems(items(whole, self.folder), known)), known

    def _described(self, source: Source, intake: Intake) -> Intake:
        how = self.tell_apart(source, self.folder)
        return intake if how is None else Described(intake, how)

    def _side_by_side(
        self, columns: tuple[Source, ...], names: tuple[str, ...], shortest: bool
    ) -> tuple[Intake, int | None]:
        opened = [self.open(source, column=True) for source in columns]
        called = [f'"{name}"' for name in names] or [f"column {number}" for number in range(1, len(columns) + 1)]
        sizes = [size for _, size in opened]
        known = [size for size in sizes if size is not None]
        lost = [place for place, source in enumerate(columns) if self._unfinished(source)]
        calls = min(known) if len(known) == len(sizes) and not lost else None
        return SideBySide([intake for intake, _ in opened], called, shortest, lost), calls

    def _unfinished(self, source: Source) -> bool:
        if isinstance(source, Batches):
            return self._unfinished(source.source)
        return isinstance(source, FromStage) and self.results[source.stage].unfinished

    def _of_stage(self, source: FromStage, column: bool, profile: Sequence[Piece]) -> tuple[Intake, int | None]:
        spec = self.plan.stages[source.stage].spec
        results = self.results[source.stage]
        if spec.over is None or len(source.reference.path) > 1:
            fanned = _items_of(source, self.values)
            return self._all_there(Items(fanned), fanned, profile)
        reader = FromValues(self.moved)
        # Columns go side by side by number, so they come in order whatever their stage returns.
        in_order = column or self.plan.stages[source.stage].choice.returns is not Returns.UNORDERED
        results.read_along(reader, ordered=in_order)
        return reader, reader.size


def settled(source: Source, values: Mapping[str, Any]) -> Opened:
    """The same source with the items of whole results in the place of the stages that it reads.

    Errors: NotIterable, ExpressionError; what unpickling a value raises.
    """
    from pipeline_runner.spec.sources import is_open

    match source:
        case FromStage():
            return Items(_items_of(source, values))
        case Computed(template):
            return Items(fan_out(str(template), render(template, {"stages": values})))
        case Batches(inner, in_one):
            return Batches(settled(inner, values), in_one)
        case Matrix(axes, include, exclude):
            return Matrix({name: settled(axis, values) for name, axis in axes.items()}, include, exclude)
    if not is_open(source):
        raise AssertionError("columns within a source: the language has no such thing")
    return source


def _items_of(source: FromStage, values: Mapping[str, Any]) -> list[Any]:
    """All items of a stage that has ended; none of one that was skipped."""
    if isinstance(values, Values) and values.lost(source.stage):
        return []
    return fan_out(str(source.reference), follow(source.reference, values))
