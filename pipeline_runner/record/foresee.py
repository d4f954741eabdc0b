"""Which calls a pipeline would make, each by its key, without running any: enough to say "run" or "reuse"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from pipeline_runner.axes import Returns
from pipeline_runner.calls import Calls
from pipeline_runner.classes import dataclass, field
from pipeline_runner.plan.plan import Plan
from pipeline_runner.record.apart import telling_apart
from pipeline_runner.record.deps import Read, filled, fixed, read, salt, varying
from pipeline_runner.record.files import Files
from pipeline_runner.record.inputs import awaited, numbered, whole_reads
from pipeline_runner.record.lineage import (
    SIZE,
    deepened,
    each_deepened,
    in_lists,
    of_whole,
    side_by_side,
    told_apart,
    weight,
)
from pipeline_runner.record.recipe import Recipe, call_key
from pipeline_runner.spec.pipeline import (
    Batches,
    FromStage,
    Generate,
    Items,
    Matrix,
    Range,
    Source,
    StageName,
    StageSpec,
    Zip,
)
from pipeline_runner.spec.sources import Opened, is_open, items
from pipeline_runner.typed import TypeGuard


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

    Lists, files and folders are read. Errors: SourceError, DepMissing where they cannot be.
    """
    foreseer = Foreseer(plan, files or Files())
    for name in plan.stages:
        foreseer.foresee(name)
    return foreseer.found


@dataclass
class Foreseer:
    """Foresees one stage after the other, in the plan's order. `stays`: whether all that a stage waits for leaves its
    files as they are, since none of it will run."""

    plan: Plan
    files: Files
    stays: Callable[[StageName], bool] = lambda stage: False
    found: dict[StageName, Foreseen | None] = field(default_factory=dict)

    def foresee(self, name: StageName) -> Foreseen | None:
        """Errors: SourceError, DepMissing."""
        spec = self.plan.stages[name].spec
        self.found[name] = None  # what those who read it know of it, if it raises
        calls = self._calls(spec, spec.over, shortest=spec.shortest)
        self.found[name] = None if calls is None else self._with_more(spec, calls)
        return self.found[name]

    def _settled(self, spec: StageSpec) -> bool:
        """Whether files are now as they will be when the stage begins."""
        return not self.plan.sources(spec.name) or self.stays(spec.name)

    def _calls(self, spec: StageSpec, source: Source | None, *, shortest: bool = False) -> Foreseen | None:
        whole = self._whole(spec, source, shortest=shortest)
        most = self.plan.sample if is_open(source) else None
        return whole if whole is None or most is None else whole.first(most)

    def _whole(self, spec: StageSpec, source: Source | None, *, shortest: bool = False) -> Foreseen | None:
        match source:
            case None:
                return Foreseen(1, None)
            case Range(start, stop, step):
                return Foreseen(len(range(start, stop, step)), None)
            case FromStage(reference):
                one_call = self.plan.stages[source.stage].spec.over is None
                return None if one_call or len(reference.path) > 1 else self.found[source.stage]
            case Zip(columns):
                return _rows([self._calls(spec, column) for column in columns], shortest=shortest)
            case Batches(inner, in_one):
                within = None if _in_order_of_ends(self.plan, inner) else self._whole(spec, inner)
                return None if within is None else _in_lists(within, in_one)
        if not self._had(source, spec):
            return None
        given = list(items(source, self.plan.pipeline.folder_of(spec)))
        how = telling_apart(source, self.plan.pipeline.folder_of(spec), self.files)
        return Foreseen(len(given), None if how is None else told_apart(how, given))

    def _had(self, source: Source | None, spec: StageSpec) -> TypeGuard[Opened]:
        """Whether the items of a source can be had without running anything, and will be the same then."""
        if source is None or not is_open(source) or _only_once(source):
            return False
        return isinstance(source, Items) or self._settled(spec)

    def _with_more(self, spec: StageSpec, calls: Foreseen) -> Foreseen | None:
        """With what each call is given beside its item: whole results, files, its number."""
        named, needed = whole_reads(spec), awaited(spec)
        sources = {name: self.found[name] for name in (*named, *needed)}
        lineages = {name: source.lineage() for name, source in sources.items() if source is not None}
        if len(lineages) < len(sources) or (spec.deps and not self._settled(spec)):
            return None
        after = sorted(lineages[name] for name in needed)
        more = b"".join([*(lineages[name] for name in named), *after, salt(self.deps(spec))])
        given = deepened(range(calls.calls), calls.digests, more, numbered=numbered(spec))
        return self._with_own_files(spec, Foreseen(calls.calls, given))

    def deps(self, spec: StageSpec) -> Read:
        """What is now in the files that each call of a stage reads. Errors: DepMissing."""
        return read(spec.name, self.plan.pipeline.folder_of(spec), fixed(spec), self.files)

    def _with_own_files(self, spec: StageSpec, calls: Foreseen) -> Foreseen | None:
        """With the files that each call reads for itself."""
        own = varying(spec)
        if not own:
            return calls
        if not self._had(spec.over, spec):
            return None
        folder = self.plan.pipeline.folder_of(spec)
        given = islice(items(spec.over, folder), calls.calls)
        salts = [salt(read(spec.name, folder, filled(own, at, item), self.files)) for at, item in enumerate(given)]
        return Foreseen(calls.calls, each_deepened(range(calls.calls), calls.digests, salts))


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


def _rows(columns: Sequence[Foreseen | None], *, shortest: bool) -> Foreseen | None:
    known = [column for column in columns if column is not None]
    lengths = {column.calls for column in known}
    if len(known) < len(columns) or (len(lengths) > 1 and not shortest):
        return None
    calls = min(lengths)
    cut = [None if column.digests is None else column.digests[: SIZE * calls] for column in known]
    return Foreseen(calls, side_by_side([Calls(range(calls), digests=told) for told in cut]))
