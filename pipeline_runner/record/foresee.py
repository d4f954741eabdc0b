"""Which calls a pipeline would make, each by its key, without running any: enough to say "run" or "reuse"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from pipeline_runner.axes import Returns
from pipeline_runner.calls import Calls
from pipeline_runner.classes import dataclass, field
from pipeline_runner.errors import listed
from pipeline_runner.plan.plan import Plan
from pipeline_runner.record.apart import telling_apart
from pipeline_runner.record.counted import SIZE
from pipeline_runner.record.deps import Read, filled, fixed, read, salt, varying
from pipeline_runner.record.files import Files
from pipeline_runner.record.inputs import awaited, numbered, whole_reads
from pipeline_runner.record.lineage import (
    deepened,
    each_deepened,
    in_lists,
    of_whole,
    side_by_side,
    told_apart,
    weight,
)
from pipeline_runner.record.recipe import Recipe, call_key
from pipeline_runner.spec.fanned import fan_out
from pipeline_runner.spec.pipeline import (
    Batches,
    Computed,
    Csv,
    FromStage,
    Generate,
    Glob,
    Items,
    Jsonl,
    Lines,
    Matrix,
    Range,
    Source,
    StageName,
    StageSpec,
    Zip,
)
from pipeline_runner.spec.sources import Opened, is_open, items
from pipeline_runner.syntax.expressions import Expression, Reference, references, render
from pipeline_runner.typed import Any


@dataclass(frozen=True)
class Foreseen:
    """A stage's calls: how many they are, and 8 bytes for each that tell what it is given; None: its number says it."""

    calls: int
    digests: bytes | None

    def digest(self, index: int) -> bytes | None:
        return None if self.digests is None else self.digests[SIZE * index : SIZE * (index + 1)]

    def first(self, most: int) -> Foreseen:
        """No more than so many of them."""
        return Foreseen(min(self.calls, most), None if self.digests is None else self.digests[: SIZE * most])

    def lineage(self) -> bytes:
        """What tells the whole result from another, if no call of it fails."""
        told = 0 if self.digests is None else weight(range(self.calls), self.digests)
        return of_whole(self.calls, (), told)

    def keys(self, recipe: Recipe) -> list[bytes]:
        """The key of each call. Nothing where the recipe has none."""
        if recipe.key is None:
            return []
        return [call_key(recipe.key, index, self.digest(index)) for index in range(self.calls)]


def foresee(plan: Plan, files: Files | None = None) -> dict[StageName, Foreseen | None]:
    """Each stage's calls; None where only a run can tell: of what a generator gives, of the items in one call's value,
    of files that another stage may write before they are read.

    Lists, files and folders are read. Errors: as of a Foreseer.
    """
    foreseer = Foreseer(plan, files or Files())
    for name in plan.stages:
        foreseer.foresee(name)
    return foreseer.found


FILES = "the files that it reads may be written by stages before it"


class _Unknown(Exception):
    """Only the run can tell, and why: a clause."""


@dataclass
class Foreseer:
    """Foresees one stage after the other, in the plan's order. `stays`: whether all that a stage waits for leaves its
    files as they are, since none of it will run. `value`: the whole result of a stage that will not run, where it is
    at hand, in a list of its own."""

    plan: Plan
    files: Files
    stays: Callable[[StageName], bool] = lambda stage: False
    value: Callable[[StageName], tuple[Any] | None] = lambda stage: None
    found: dict[StageName, Foreseen | None] = field(default_factory=dict)
    unknown: dict[StageName, str] = field(default_factory=dict)  # why not: a clause

    def foresee(self, name: StageName) -> Foreseen | None:
        """Errors: SourceError, DepMissing, NotIterable, ExpressionError."""
        spec = self.plan.stages[name].spec
        self.found[name] = None  # what those who read it know of it, if it raises
        try:
            self.found[name] = self._with_more(spec, self._calls(spec, spec.over, shortest=spec.shortest))
        except _Unknown as unknown:
            self.unknown[name] = str(unknown)
        return self.found[name]

    def rendered(self, template: Reference | Expression) -> tuple[Any] | None:
        """The value of what reads whole results; None: some of them are not at hand. Errors: ExpressionError."""
        values: dict[str, Any] = {}
        for reference in references(template):
            if reference.root == "stages" and reference.path:
                one = self.value(StageName(str(reference.path[0])))
                if one is None:
                    return None
                (values[str(reference.path[0])],) = one
        return (render(template, {"stages": values}),)

    def _settled(self, spec: StageSpec) -> bool:
        """Whether files are now as they will be when the stage begins."""
        return not self.plan.sources(spec.name) or self.stays(spec.name)

    def _calls(self, spec: StageSpec, source: Source | None, *, shortest: bool = False) -> Foreseen:
        whole = self._whole(spec, source, shortest=shortest)
        most = self.plan.sample if is_open(source) else None
        return whole if most is None else whole.first(most)

    def _whole(self, spec: StageSpec, source: Source | None, *, shortest: bool = False) -> Foreseen:
        """Errors: _Unknown."""
        match source:
            case None:
                return Foreseen(1, None)
            case Range(start, stop, step):
                return Foreseen(len(range(start, stop, step)), None)
            case FromStage(reference):
                one_call = self.plan.stages[source.stage].spec.over is None
                if not one_call and len(reference.path) == 1:
                    return self._of_calls(source.stage)
                return self._listed(spec, Items(self._fanned(source)))
            case Computed():
                return self._listed(spec, Items(self._fanned(source)))
            case Zip(columns):
                return _rows([self._calls(spec, column) for column in columns], shortest=shortest)
            case Batches(inner, in_one):
                if _in_order_of_ends(self.plan, inner):
                    raise _Unknown("which items go together is known only when they have come")
                return _in_lists(self._whole(spec, inner), in_one)
        return self._listed(spec, source)

    def _of_calls(self, stage: StageName) -> Foreseen:
        """As many as a stage has, whose calls are told apart as its own are."""
        found = self.found[stage]
        if found is None:
            what = "how many items" if self.plan.stages[stage].calls is None else "what"
            raise _Unknown(f'{what} "{stage}" gives is known only when it has run')
        return found

    def _listed(self, spec: StageSpec, source: Source) -> Foreseen:
        """Of a source whose items are drawn now."""
        given, folder = list(self._items(spec, source)), self.plan.pipeline.folder_of(spec)
        how = telling_apart(source, folder, self.files)
        return Foreseen(len(given), None if how is None else told_apart(how, given))

    def _items(self, spec: StageSpec, source: Source) -> Iterator[Any]:
        """What will be the same then. Errors: _Unknown."""
        open_now = self._open(source)
        if isinstance(open_now, Generate):
            raise _Unknown(f"what {open_now.function} gives is known only when it runs")
        if _only_once(open_now):
            raise _Unknown("what its iterator gives is known only when it is drawn from")
        if _of_files(open_now) and not self._settled(spec):
            raise _Unknown(FILES)
        return items(open_now, self.plan.pipeline.folder_of(spec))

    def _open(self, source: Source) -> Opened:
        """With the items of whole results that are at hand in the place of the stages that it reads."""
        match source:
            case FromStage() | Computed():
                return Items(self._fanned(source))
            case Batches(inner, in_one):
                return Batches(self._open(inner), in_one)
            case Matrix(axes, include, exclude):
                return Matrix({name: self._open(axis) for name, axis in axes.items()}, include, exclude)
        if not is_open(source):
            raise AssertionError("columns within a source: the language has no such thing")
        return source

    def _fanned(self, source: FromStage | Computed) -> list[Any]:
        template = source.reference if isinstance(source, FromStage) else source.template
        value = self.rendered(template)
        if value is None:
            if isinstance(source, Computed):
                raise _Unknown(f"the items of {template} are known only when its stages have run")
            raise _Unknown(f'how many items "{source.stage}" gives is known only when it has run')
        return fan_out(str(template), value[0])

    def _with_more(self, spec: StageSpec, calls: Foreseen) -> Foreseen:
        """With what each call is given beside its item: whole results, files, its number."""
        named, needed = whole_reads(spec), awaited(spec)
        sources = {name: self.found[name] for name in (*named, *needed)}
        lineages = {name: source.lineage() for name, source in sources.items() if source is not None}
        if unread := [f'"{name}"' for name in named if name not in lineages]:
            raise _Unknown(f"what {listed(unread)} gives is known only when that has run")
        if unread := [f'"{name}"' for name in needed if name not in lineages]:
            raise _Unknown(f"what {listed(unread)} may write for it is known only when that has run")
        if spec.deps and not self._settled(spec):
            raise _Unknown(_which_files(spec))
        after = sorted(lineages[name] for name in needed)
        more = b"".join([*(lineages[name] for name in named), *after, salt(self.deps(spec))])
        given = deepened(range(calls.calls), calls.digests, more, numbered=numbered(spec))
        return self._with_own_files(spec, Foreseen(calls.calls, given))

    def deps(self, spec: StageSpec) -> Read:
        """What is now in the files that each call of a stage reads. Errors: DepMissing."""
        return read(spec.name, self.plan.pipeline.folder_of(spec), fixed(spec), self.files)

    def _with_own_files(self, spec: StageSpec, calls: Foreseen) -> Foreseen:
        """With the files that each call reads for itself."""
        own = varying(spec)
        if not own:
            return calls
        if spec.over is None or isinstance(spec.over, Zip):
            raise _Unknown(_which_files(spec))
        folder = self.plan.pipeline.folder_of(spec)
        try:
            given = islice(self._items(spec, spec.over), calls.calls)
        except _Unknown as unknown:
            raise _Unknown(_which_files(spec)) from unknown
        salts = [salt(read(spec.name, folder, filled(own, at, item), self.files)) for at, item in enumerate(given)]
        return Foreseen(calls.calls, each_deepened(range(calls.calls), calls.digests, salts))


def _which_files(spec: StageSpec) -> str:
    """Why it is not known what is in the files that a stage reads."""
    if varying(spec) and isinstance(spec.over, FromStage):
        return f'which files it reads is known only when "{spec.over.stage}" has run'
    return "which files it reads is known only when it begins" if varying(spec) else FILES


def _only_once(source: Source) -> bool:
    """Whether what it gives now may be something else when it is drawn from again."""
    match source:
        case Generate():
            return True
        case Items(values):
            return not isinstance(values, Sequence)
        case Matrix(axes):
            return any(map(_only_once, axes.values()))
        case Batches(inner):
            return _only_once(inner)
    return False


def _of_files(source: Source) -> bool:
    """Whether it is what is in files, or which files there are, that says what it gives."""
    match source:
        case Matrix(axes):
            return any(map(_of_files, axes.values()))
        case Batches(inner):
            return _of_files(inner)
    return isinstance(source, Glob | Lines | Csv | Jsonl)


def _in_order_of_ends(plan: Plan, source: Source) -> bool:
    """Whether the items come as they end, so that nobody knows yet which of them go together."""
    match source:
        case FromStage():
            return plan.stages[source.stage].choice.returns is Returns.UNORDERED
        case Batches(inner):
            return _in_order_of_ends(plan, inner)
    return False


def _in_lists(calls: Foreseen, in_one: int) -> Foreseen:
    return Foreseen(-(-calls.calls // in_one), in_lists(range(calls.calls), calls.digests, in_one))


def _rows(columns: Sequence[Foreseen], *, shortest: bool) -> Foreseen:
    lengths = {column.calls for column in columns}
    if len(lengths) > 1 and not shortest:
        raise _Unknown("its columns have not as many items each")
    calls = min(lengths)
    cut = [None if column.digests is None else column.digests[: SIZE * calls] for column in columns]
    return Foreseen(calls, side_by_side([Calls(range(calls), digests=told) for told in cut]))
