"""What a run would make and what it would reuse, and why: told from the store, with nothing run or imported."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cached_property
from itertools import islice

from pipeline_runner.axes import Returns, Status
from pipeline_runner.classes import dataclass, field, replace
from pipeline_runner.errors import UsageError, listed
from pipeline_runner.plan.forecast import Action, Forecast, Outlook
from pipeline_runner.plan.plan import Plan, StagePlan
from pipeline_runner.record.deps import DepMissing
from pipeline_runner.record.errors import usable
from pipeline_runner.record.files import Files
from pipeline_runner.record.foresee import Foreseen, Foreseer
from pipeline_runner.record.history import History
from pipeline_runner.record.keys import recipes
from pipeline_runner.record.looking import Looking
from pipeline_runner.record.outs import Standing
from pipeline_runner.record.plainly import plain_values
from pipeline_runner.record.reading import Reading
from pipeline_runner.record.recipe import Recipe
from pipeline_runner.record.record import about_run, identity
from pipeline_runner.record.store import Store
from pipeline_runner.record.times import Work, recorded_times
from pipeline_runner.record.why import deps_changes, last_read, why_not
from pipeline_runner.spec.fanned import NotIterable
from pipeline_runner.spec.pipeline import Batches, StageName, StageSpec, holds
from pipeline_runner.spec.sources import SourceError, is_open
from pipeline_runner.state import StageState
from pipeline_runner.syntax.expressions import ExpressionError, references
from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.record.earlier import Earlier, Found

LOOKED_BACK = 20  # runs that are asked how long a stage took


class SourcesMissing(UsageError):
    """What is to be taken from before is not there."""

    def __init__(self, stages: Mapping[str, str], first: str) -> None:
        super().__init__(stages)
        self.stages = stages  # name → why
        self.first = first  # a stage that is to run
        self.command = f"prun FILE {first}"  # what would run them; a command line knows better what else was said

    def __str__(self) -> str:
        told = [f'  "{name}": {why}' for name, why in self.stages.items()]
        cure = f"run them first, for example by leaving out what keeps them from it: {self.command}"
        return "\n".join(["what the stages that are to run would read is not there from before", *told, f"  {cure}"])


def foretell(plan: Plan, store: Store | None, looking: Looking, run: str = "") -> Forecast:
    """What becomes of each stage. `run`: the one that is resumed. Errors: StoreError."""
    if run and store is not None:
        looking = looking.as_begun(about_run(store, run) or {})
    teller = _Teller(plan, store, looking, run)
    try:
        return teller.tell()
    finally:
        teller.close()


def refuse_missing(plan: Plan, forecast: Forecast) -> None:
    """Errors: SourcesMissing, when stages that are not to run surely have not left what others read."""
    missing = {}
    for chain in (chain for group in plan.groups for chain in group.chains):
        later: StageName | None = None  # the next stage of the trip, when nothing of this one is needed for it
        for name in reversed(chain.stages):
            if name not in plan.taken:
                later = None
                continue
            needed = later is None or any(edge.target != later for edge in plan.readers(name))
            if needed and forecast.stages[name].missing:
                missing[name] = ", ".join(forecast.stages[name].because) or "not all of its calls are kept"
            later = name
    if missing:
        first = next(name for name in plan.stages if name not in plan.taken)
        raise SourcesMissing({name: missing[name] for name in plan.stages if name in missing}, first)


@dataclass
class _Teller:
    plan: Plan
    store: Store | None
    looking: Looking
    run: str
    told: dict[StageName, Outlook] = field(default_factory=dict)
    doubtful: set[StageName] = field(default_factory=set)  # those that may be skipped
    values: dict[StageName, tuple[Any] | None] = field(default_factory=dict)  # as far as they were asked for
    still: dict[StageName, bool] = field(default_factory=dict)  # neither it nor what it waits for will run

    def tell(self) -> Forecast:
        for name, stage in self.plan.stages.items():
            outlook = self._of(stage)
            sources = [edge.source for edge in self.plan.sources(name)]
            idle = outlook.action in (Action.REUSE, Action.SKIP)
            self.still[name] = idle and all(self.still[source] for source in sources)
            self.told[name] = outlook
        return Forecast(self.plan, self.told, self._in_all())

    def close(self) -> None:
        self.files.close()
        if self.store is not None:
            self._reading.close()

    @cached_property
    def files(self) -> Files:
        return Files(self.store)

    @cached_property
    def _reading(self) -> Reading:
        return Reading(self._store)

    @cached_property
    def _recipes(self) -> Mapping[StageName, Recipe]:
        return recipes(self.plan, self.run)

    @cached_property
    def _foreseer(self) -> Foreseer:
        stays = lambda name: all(self.still[edge.source] for edge in self.plan.sources(name))  # noqa: E731
        return Foreseer(self.plan, self.files, stays, self._value)

    def _of(self, stage: StagePlan) -> Outlook:
        skipped, doubt = self._skipped_or_not(stage.spec)
        if skipped:
            self._foreseer.found[stage.spec.name] = None
            return Outlook(Action.SKIP, 0, because=(skipped,), seconds=0.0)
        outlook = self._if_it_runs(stage)
        if not doubt:
            return outlook
        self.doubtful.add(stage.spec.name)
        return replace(outlook, action=Action.DEFERRED, because=(doubt, *outlook.because))

    def _skipped_or_not(self, spec: StageSpec) -> tuple[str, str]:
        """Why it is surely skipped, and why it may be: a clause or nothing. What is taken from before is not asked."""
        if spec.name in self.plan.skipped:
            return self.plan.skipped[spec.name], ""
        if spec.name in self.plan.taken:
            return "", ""
        doubt = ""
        for source in {edge.source: None for edge in self.plan.sources(spec.name)} if not spec.always else ():
            if source in self.told and self.told[source].action is Action.SKIP:
                return f"it depends on {source}, which is skipped", ""
            if source in self.doubtful:
                doubt = doubt or f"it depends on {source}, which may be skipped"
        condition = spec.condition
        if condition is None or condition.known:
            return "", doubt
        try:
            value = self._foreseer.rendered(condition.value)
            if value is not None:
                return ("" if holds(value[0]) else f"its condition is false: {condition.text}"), doubt
        except ExpressionError as error:
            return "", str(error)
        named = dict.fromkeys(str(read.path[0]) for read in references(condition.value) if read.root == "stages")
        return (
            "",
            f"whether it runs is known only when {listed(list(named))} {'has' if len(named) == 1 else 'have'} ended",
        )

    def _value(self, name: StageName) -> tuple[Any] | None:
        """The whole result of a stage of which all is there, where it is plain enough to be read without running
        anything."""
        if name not in self.values:
            self.values[name] = self._read(name)
        return self.values[name]

    def _read(self, name: StageName) -> tuple[Any] | None:
        stage, calls = self.plan.stages[name], self._foreseer.found[name]
        if self.told[name].action is not Action.REUSE or calls is None:
            return None
        kept = self._kept(stage, self._recipes[name])
        if kept is None:
            return None
        values = plain_values(found.take(found.calls, None) for found in self._found(stage, kept, calls))
        if values is None or len(values) != calls.calls:
            return None
        return (values if stage.spec.over is not None else values[0],)

    def _if_it_runs(self, stage: StagePlan) -> Outlook:
        name = stage.spec.name
        try:
            calls = self._foreseer.foresee(name)
        except (SourceError, DepMissing, NotIterable, ExpressionError) as error:
            return Outlook(Action.RUN, None, because=(str(error),))
        recipe = self._recipes[name]
        looked_for = self.looking.at_all(self.plan, name)
        if looked_for and recipe.key is not None and calls is None and self.store is not None:
            return self._timed(stage, Outlook(Action.DEFERRED, stage.calls, because=(self._foreseer.unknown[name],)))
        reused, missing = self._reused(stage, recipe, calls) if calls is not None else (0, "")
        number = stage.calls if calls is None else calls.calls
        if number and reused == number:
            return Outlook(Action.REUSE, number, number, seconds=0.0)
        because = self._because(stage, recipe, reused, missing, looked_for=looked_for)
        return self._timed(stage, Outlook(Action.RUN, number, reused, because))

    def _reused(self, stage: StagePlan, recipe: Recipe, calls: Foreseen) -> tuple[int, str]:
        """How many of these calls are there, and an out that is not as it was written."""
        kept = self._kept(stage, recipe)
        if kept is None:
            return 0, ""
        reused = sum(found.calls for found in self._found(stage, kept, calls))
        return reused, kept.missing if isinstance(kept, Standing) else ""

    def _kept(self, stage: StagePlan, recipe: Recipe) -> Earlier | Standing | None:
        if self.store is None:
            return None
        wanted = self._wanted(stage)
        return self.looking.up(self._reading, self.run, self.plan, stage.spec.name, recipe.key, self.files, wanted)

    def _wanted(self, stage: StagePlan) -> bool:
        """Whether a call counts only with its value."""
        read = self.plan.read(stage.spec.name)
        return stage.choice.returns is not Returns.NONE and (stage.spec.cache or read)

    def _found(self, stage: StagePlan, kept: Earlier | Standing, calls: Foreseen) -> Iterator[Found]:
        """What is there of these calls, in their order; each is taken by whoever gets it, or here."""
        wanted, at = self._wanted(stage), 0
        while kept and at < calls.calls:
            digests = None if calls.digests is None else calls.digests[8 * at :]
            found = kept.find(at, digests, calls.calls - at, wanted=wanted)
            if found is not None:
                yield found
                found.take(found.calls, None)
            at += 1 if found is None else found.calls

    # Why.

    def _because(
        self, stage: StagePlan, recipe: Recipe, reused: int, missing: str, *, looked_for: bool
    ) -> tuple[str, ...]:
        name = stage.spec.name
        if recipe.unknown:
            return (f"nothing of it can be known again: {recipe.unknown}",)
        then = self._before.get(name)
        if then is None:
            return ("it has not been run yet",) if not reused else ("some of its calls have not been made yet",)
        run, key = then
        with usable(self._store.database), closing(self._store.connect()) as connection:
            if key != recipe.key:
                return why_not(connection, key, recipe) or ("what it computes has changed",)
            read = last_read(connection, run, name)
        changed = self._changed_files(stage.spec, read)
        if changed:
            return changed
        if not looked_for:
            return (self._not_looked_for(stage.spec),)
        if missing:
            there = "is not as it was written" if os.path.lexists(missing) else "is not there any more"
            return (f"{os.path.relpath(missing, os.path.realpath(self.plan.pipeline.folder))} {there}",)
        sources = [edge.source for edge in self.plan.sources(name)]
        if sources:
            return (f"what it reads of {' and '.join(sources)} has changed",)
        over = stage.spec.over is not None
        return ("an item, or a file that one names, is new or has changed" if over else "its call has not ended well",)

    def _not_looked_for(self, spec: StageSpec) -> str:
        if self.looking.force:
            return "all calls are to be made anew"
        if spec.cache:
            return "the cache is to be left alone"
        return "it is made in every run: it does not say `cache: true`"

    def _changed_files(self, spec: StageSpec, read: tuple[tuple[str, str], ...] | None) -> tuple[str, ...]:
        if read is None:
            return ()
        try:
            return tuple(map(str, deps_changes(read, self._foreseer.deps(spec))))
        except DepMissing as error:
            return (str(error),)

    # What was before.

    @property
    def _store(self) -> Store:
        if self.store is None:
            raise AssertionError("nothing is known from before without a store: this is our bug")
        return self.store

    @cached_property
    def _runs(self) -> list[tuple[str, dict[str, Any]]]:
        """The runs of this pipeline, the newest first, each with what was told about it."""
        if self.store is None:
            return []
        with usable(self.store.database), closing(self.store.connect()) as connection:
            rows = connection.execute("SELECT id, body FROM run ORDER BY began DESC, id DESC").fetchall()
        told = [(str(run), _about(body)) for run, body in rows]
        return [(run, about) for run, about in told if about.get("identity") == identity(self.plan)]

    @cached_property
    def _before(self) -> dict[StageName, tuple[str, bytes]]:
        """Each stage's last run, and the key that it had there."""
        found: dict[StageName, tuple[str, bytes]] = {}
        for run, about in self._runs:
            for name, key in about.get("recipes", {}).items():
                if isinstance(key, str):
                    found.setdefault(StageName(name), (run, bytes.fromhex(key)))
        return found

    @cached_property
    def _times(self) -> dict[StageName, tuple[float, int, int]]:
        """Of each stage in the last run in which it made calls: its seconds, the calls, the run's workers."""
        found: dict[StageName, tuple[float, int, int]] = {}
        history = History(self._store) if self.store is not None else None
        for run, _ in islice(self._runs, LOOKED_BACK) if history is not None else ():
            state = history.state(run) if history is not None else None
            for name, stage in state.stages.items() if state is not None else ():
                if _made(stage):
                    found.setdefault(
                        StageName(name), (stage.seconds, stage.done - stage.reused, state.workers if state else 1)
                    )
            if found.keys() >= self.plan.stages.keys():
                break
        return found

    # How long.

    def _timed(self, stage: StagePlan, outlook: Outlook) -> Outlook:
        outlook = replace(outlook, each_s=self._each_s(stage), longest_first=self._longest_first(stage))
        then = self._times.get(stage.spec.name)
        if then is None:
            return outlook
        seconds, made, workers = then
        owed = made if outlook.calls is None else outlook.calls - outlook.reused
        beside_then = self._beside(stage, workers, made)
        seconds = seconds * beside_then / made * owed / self._beside(stage, self.plan.workers, owed)
        return replace(outlook, seconds=seconds)

    def _each_s(self, stage: StagePlan) -> float | None:
        """How long a call took, where chunks are to be sized by it."""
        work = self._worked.get(stage.spec.name)
        return None if work is None or stage.spec.chunk or stage.calls == 1 else work.each_s

    def _longest_first(self, stage: StagePlan) -> bool:
        """Whether the calls that took longest go first, as far as it is known before the run."""
        name, over = stage.spec.name, stage.spec.over
        work = self._worked.get(name)
        if work is None or not work.profile or not is_open(over) or isinstance(over, Batches) or stage.calls is None:
            return False
        chains = (chain for group in self.plan.groups for chain in group.chains if chain.head == name)
        return any(map(self.plan.in_any_order, chains))

    @cached_property
    def _worked(self) -> Mapping[StageName, Work]:
        return {} if self.store is None else recorded_times(self.store, identity(self.plan), self.plan.stages.keys())

    def _beside(self, stage: StagePlan, workers: int, calls: int) -> int:
        """How many of these calls run at a time."""
        most = stage.spec.workers or workers
        return max(1, min(workers, most, calls)) if stage.choice.method.parallel else 1

    def _in_all(self) -> float | None:
        """Groups run when what they wait for has ended, on no more workers than there are."""
        if any(outlook.seconds is None for outlook in self.told.values()):
            return None
        group_of = {name: number for number, group in enumerate(self.plan.groups) for name in group.stages}
        ends: dict[int, float] = {}
        work = 0.0
        for number, group in enumerate(self.plan.groups):
            waits = [group_of[edge.source] for name in group.stages for edge in self.plan.sources(name)]
            begins = max((ends[other] for other in waits if other != number), default=0.0)
            ends[number] = begins + max(self._seconds(name) for name in group.stages)
            for chain in group.chains:  # the stages of a trip are one another's time
                work += max(self._seconds(name) * self._busy(name) for name in chain.stages)
        return max(max(ends.values(), default=0.0), work / self.plan.workers)

    def _seconds(self, name: StageName) -> float:
        return self.told[name].seconds or 0.0

    def _busy(self, name: StageName) -> int:
        outlook = self.told[name]
        owed = 1 if outlook.calls is None else outlook.calls - outlook.reused
        return self._beside(self.plan.stages[name], self.plan.workers, owed)


def _made(stage: StageState) -> bool:
    return stage.status is Status.DONE and stage.done > stage.reused


def _about(body: str) -> dict[str, Any]:
    try:
        about = json.loads(body)
    except (ValueError, TypeError):
        return {}
    return about if isinstance(about, dict) else {}
