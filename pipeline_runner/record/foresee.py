"""Which calls a pipeline would make, each by its key, without running any: enough to say "run" or "reuse"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_runner.axes import Returns
from pipeline_runner.calls import Calls
from pipeline_runner.plan.plan import Plan
from pipeline_runner.record.apart import telling_apart
from pipeline_runner.record.keys import whole_reads
from pipeline_runner.record.lineage import SIZE, deepened, in_lists, of_whole, side_by_side, told_apart, weight
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
from pipeline_runner.spec.sources import is_open, items
from pipeline_runner.syntax.expressions import references


@dataclass(frozen=True)
class Foreseen:
    """A stage's calls: how many they are, and 8 bytes for each that tell what it is given; None: its number says it."""

    calls: int
    digests: bytes | None

    def digest(self, index: int) -> bytes | None:
        return None if self.digests is None else self.digests[SIZE * index : SIZE * (index + 1)]

    def lineage(self) -> bytes:
        """What tells the whole result from another, if no call of it fails."""
        told = 0 if self.digests is None else weight(range(self.calls), self.digests)
        return of_whole(self.calls, (), told)

    def keys(self, recipe: Recipe) -> list[bytes]:
        """The key of each call. Nothing where the recipe has none."""
        if recipe.key is None:
            return []
        return [call_key(recipe.key, index, self.digest(index)) for index in range(self.calls)]


def foresee(plan: Plan) -> dict[StageName, Foreseen | None]:
    """Each stage's calls; None where only a run can tell: of what a generator gives, of the items in one call's value.

    Lists, files and folders are read. Errors: SourceError where they cannot be.
    """
    found: dict[StageName, Foreseen | None] = {}
    for name, stage in plan.stages.items():
        folder = plan.pipeline.folder_of(stage.spec)
        calls = _calls(plan, folder, stage.spec.over, found, shortest=stage.spec.shortest)
        found[name] = None if calls is None else _with_more(stage.spec, calls, found)
    return found


def _with_more(spec: StageSpec, calls: Foreseen, found: Mapping[StageName, Foreseen | None]) -> Foreseen | None:
    """With what each call is given beside its item: whole results, its number."""
    named = whole_reads(spec)
    sources = {name: found[name] for name in (*named, *spec.needs)}
    lineages = {name: source.lineage() for name, source in sources.items() if source is not None}
    if len(lineages) < len(sources):
        return None
    needed = sorted(lineages[name] for name in spec.needs if name not in named)
    salt = b"".join([*(lineages[name] for name in named), *needed])
    numbered = any(reference.root == "index" for reference in references(spec.constants))
    return Foreseen(calls.calls, deepened(range(calls.calls), calls.digests, salt, numbered=numbered))


def _calls(
    plan: Plan,
    folder: Path,
    source: Source | None,
    found: Mapping[StageName, Foreseen | None],
    *,
    shortest: bool = False,
) -> Foreseen | None:
    match source:
        case None:
            return Foreseen(1, None)
        case Range(start, stop, step):
            return Foreseen(len(range(start, stop, step)), None)
        case FromStage(reference):
            one_call = plan.stages[source.stage].spec.over is None
            return None if one_call or len(reference.path) > 1 else found[source.stage]
        case Zip(columns):
            return _rows([_calls(plan, folder, column, found) for column in columns], shortest=shortest)
        case Batches(inner, in_one):
            within = None if _in_order_of_ends(plan, inner) else _calls(plan, folder, inner, found)
            return None if within is None else _in_lists(within, in_one)
    if not is_open(source) or _only_once(source):
        return None
    given = list(items(source, folder))
    how = telling_apart(source, folder)
    return Foreseen(len(given), None if how is None else told_apart(how, given))


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
