"""The only wiring: spec to plan, plan to engine, engine to whoever listens."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import chdir, nullcontext
from functools import cache
from operator import index
from pathlib import Path

from pipeline_runner.classes import names
from pipeline_runner.errors import Problem, Problems, UsageError, did_you_mean, kind_of
from pipeline_runner.record.looking import Looking
from pipeline_runner.running import Result, Run, as_json, gives
from pipeline_runner.spec.pipeline import PipelineSpec, StageName
from pipeline_runner.typed import TYPE_CHECKING, Any, Literal, Self

# What plans, and what reads YAML, is imported where that is done: a run whose plan was kept needs neither.
if TYPE_CHECKING:
    from pipeline_runner.engine.books import Listener
    from pipeline_runner.engine.chaos import Chaos
    from pipeline_runner.engine.engine import Engine
    from pipeline_runner.plan.forecast import Forecast
    from pipeline_runner.plan.plan import Plan
    from pipeline_runner.plan.select import Part
    from pipeline_runner.record.recipe import Recipe
    from pipeline_runner.record.record import Record
    from pipeline_runner.record.store import Store
    from pipeline_runner.stages import Stage

State = str | os.PathLike[str] | None | Literal[False]
Keep = str | Iterable[str] | None  # "all", names of stages, or nothing


class Pipeline:
    """Stages, and how to run them.

    `Pipeline.load("pipeline.yaml")`, `Pipeline.from_text(yaml)`, or
    `Pipeline("name", [Stage("read", call=read_file, over=paths), …])`.

    Errors: Problems, with every problem at once.
    """

    _taken: frozenset[StageName] = frozenset()  # stages of this part that are not run
    _sample: int | None = None
    _parts: tuple[Part, ...] = ()  # what was asked for, one after the other

    def __init__(
        self,
        name: str,
        stages: Sequence[Stage],
        *,
        params: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        workers: int | None = None,
        limits: Mapping[str, int] | None = None,
        defaults: Mapping[str, Any] | None = None,
        on_success: Stage | Sequence[Stage] = (),
        on_failure: Stage | Sequence[Stage] = (),
        folder: str | os.PathLike[str] | None = None,
        description: str = "",
    ) -> None:
        from pipeline_runner.spec.python import pipeline_from_python

        self.spec = pipeline_from_python(
            name,
            _stages("stages", stages),
            params=params or {},
            env=env or {},
            workers=workers,
            limits=limits or {},
            defaults=defaults or {},
            hooks={
                kind: _stages(kind, given) for kind, given in (("on_success", on_success), ("on_failure", on_failure))
            },
            folder=Path.cwd() if folder is None else Path(folder).resolve(),
            description=description,
        )

    @classmethod
    def of(cls, spec: PipelineSpec, parts: Sequence[Part] = ()) -> Self:
        """A pipeline whose meaning is known already. `parts`: what was asked for of a larger one."""
        self = cls.__new__(cls)
        self.spec = spec
        self._parts = tuple(parts)
        return self

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, params: Mapping[str, Any] | None = None, profile: str | None = None
    ) -> Self:
        """The pipeline of a YAML file."""
        from pipeline_runner.plan.building import building
        from pipeline_runner.spec.build import load

        with building():
            return cls.of(load(path, params=params, profile=profile))

    @classmethod
    def from_text(
        cls,
        text: str,
        name: str = "pipeline.yaml",
        *,
        params: Mapping[str, Any] | None = None,
        profile: str | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> Self:
        """The pipeline of a YAML text; functions and paths are looked for in `folder`, by default here."""
        from pipeline_runner.plan.building import building
        from pipeline_runner.spec.build import build

        where = None if folder is None else Path(folder).resolve()
        with building():
            return cls.of(build(text, name, folder=where, params=params, profile=profile))

    def only(self, *stages: str) -> Self:
        """The same pipeline with only these stages and what they need. Errors: UsageError for a stage there is not."""
        return self.part(stages=stages)

    def part(
        self,
        *,
        stages: Sequence[str] = (),
        until: Sequence[str] = (),
        since: Sequence[str] = (),
        only: Sequence[str] = (),
        sample: int | None = None,
    ) -> Self:
        """The same pipeline, of which only a part runs.

        stages:  only these, and what they need; `until` is the same.
        since:   only these, and what is made of them. What they read must be there from before.
        only:    just these. What they read must be there from before.
        sample:  so many items of each source that needs no stage.
        Errors:  UsageError for a stage that there is not, or when no stage is left.
        """
        from pipeline_runner.plan.select import Part, part_of

        asked = Part(stages, until, since, only, sample)
        if asked == Part():
            return self
        spec, taken = part_of(self.spec, asked)
        part = type(self).of(spec)
        part._taken, part._sample = taken | (self._taken & set(spec.stages)), sample or self._sample
        part._parts = (*self._parts, asked)
        return part

    @property
    def name(self) -> str:
        return self.spec.name

    def plan(self, *, workers: int | None = None, state: State = None) -> Plan:
        """What will run, by which method and why. Nothing is run. Errors: Problems.

        state:  where what `prun tune` has measured is kept, as for `run`.
        """
        from pipeline_runner.plan.building import building
        from pipeline_runner.plan.make import make_plan
        from pipeline_runner.record import tuned

        workers = _workers(workers)
        with building():
            plan = make_plan(self.spec, workers=workers, sample=self._sample, taken=self._taken)
            folder = state_folder(self.spec, state)
            measured = {} if folder is None else tuned.known(folder, plan)
            if not measured:
                return plan
            return make_plan(self.spec, workers=workers, sample=self._sample, taken=self._taken, measured=measured)

    def forecast(
        self,
        *,
        workers: int | None = None,
        state: State = None,
        resume: str = "",
        force: bool = False,
        cache: bool = True,
    ) -> Forecast:
        """What a run would make, and what it would reuse, with the reasons and about how long it would take.

        Nothing is run or imported. Errors: Problems; StoreError.
        """
        from pipeline_runner.record.foretell import foretell

        looking = Looking(bool(resume), force, cache)
        return foretell(self.plan(workers=workers, state=state), self.store(state), looking, resume)

    def store(self, state: State = None) -> Store | None:
        """The store that is there already, or None."""
        from pipeline_runner.record.store import Store

        folder = state_folder(self.spec, state)
        return None if folder is None or not (folder / "journal.db").exists() else Store(folder, create=False)

    def run(
        self,
        *,
        workers: int | None = None,
        keep: Keep = "all",
        on_event: Callable[[Any], None] | Sequence[Callable[[Any], None]] = (),
        on_engine: Callable[[Engine], None] | None = None,
        state: State = None,
        resume: bool | str = False,
        force: bool = False,
        cache: bool = True,
        sample: int | None = None,
        chaos: str | Mapping[str, float] | None = None,
        on_warning: Callable[[str], None] | None = None,
    ) -> Result:
        """Run it and wait for the end. A failed stage is told in the result, not raised.

        keep:      stages whose values the result has; those that no other stage reads are too. None: of no stage.
        on_event:  called with every event, in order, from this thread.
        on_engine: called with the engine before it begins; what a signal handler needs to cancel it.
        state:     the folder of the journal; None: `.prun` beside the pipeline's file, or $PRUN_STATE; nowhere for a
                   pipeline made in Python; False: nowhere.
        resume:    a run's id, or True for the last one: only what it still owes is run.
        force:     make every call anew, also of stages that say `cache: true`.
        cache:     False: reuse nothing of other runs, and leave nothing for them.
        sample:    only so many items of each source that needs no stage; `part` says what else may be left out.
        chaos:     kill=0.05 or {"kill": 0.05, "seed": 7}: kill a worker that begins a chunk with this probability; the
                   result is the same.
        on_warning: called with a sentence for everything that may go wrong, before anything runs.
        Errors:    Problems, before anything runs; KeyboardInterrupt, after all is ended.
        """
        self = self if sample is None else self.part(sample=sample)
        return self.carry_out(
            self._allowed(workers, state, on_warning),
            keep=keep,
            on_event=on_event,
            on_engine=on_engine,
            state=state,
            resume=resume,
            force=force,
            cache=cache,
            chaos=chaos,
        )

    def carry_out(
        self,
        plan: Plan,
        *,
        keep: Keep = "all",
        on_event: Callable[[Any], None] | Sequence[Callable[[Any], None]] = (),
        on_engine: Callable[[Engine], None] | None = None,
        state: State = None,
        resume: bool | str = False,
        force: bool = False,
        cache: bool = True,
        chaos: str | Mapping[str, float] | None = None,
        recipes: Mapping[StageName, Recipe] | None = None,
    ) -> Result:
        """Run a plan of this pipeline that was made, and looked at, before. Otherwise as `run`.

        recipes:   those of its stages, where they are known too.
        """
        engine = self._engine(plan, keep, on_event, state, resume, chaos, force, cache, recipes)
        if on_engine is not None:
            on_engine(engine)
        with self._in_folder(engine.plan):
            return Result(engine, engine.run())

    def refuse(self, plan: Plan, on_warning: Callable[[str], None] | None = None) -> None:
        """Look at all that a plan names, before anything runs. Errors: Problems, all of them together."""
        from pipeline_runner.plan.preflight.look import refuse
        from pipeline_runner.spec.secrets import missing

        if problems := missing(self.spec):
            raise Problems(problems)
        for warning in refuse(plan):
            if on_warning is not None:
                on_warning(warning)

    def _allowed(self, workers: int | None, state: State, on_warning: Callable[[str], None] | None = None) -> Plan:
        """The plan, when it may run. Errors: Problems."""
        plan = self.plan(workers=workers, state=state)
        self.refuse(plan, on_warning)
        return plan

    def start(
        self,
        *,
        workers: int | None = None,
        keep: Keep = "all",
        on_event: Callable[[Any], None] | Sequence[Callable[[Any], None]] = (),
        state: State = None,
        resume: bool | str = False,
        force: bool = False,
        cache: bool = True,
        chaos: str | Mapping[str, float] | None = None,
    ) -> Run:
        """Run it in the background; `run["count"]` is what that stage's `returns` says.

        keep:      as for `run`; None: nothing. The values of a last stage that streams are then passed on by its live
                    iterator and are gone, so that memory stays flat however many they are; it waits until they are
                    read.
        """
        plan = self._allowed(workers, state)
        engine = self._engine(plan, keep, on_event, state, resume, chaos, force, cache, live=True)
        return Run(engine, passing=keep is None)

    async def arun(self, *, workers: int | None = None, keep: Keep = "all") -> Result:
        """Run it without blocking an event loop. Cancelling the task cancels the run."""
        import asyncio

        run = self.start(workers=workers, keep=keep)
        try:
            return await asyncio.to_thread(run.wait)
        except asyncio.CancelledError:
            run.cancel()
            await asyncio.to_thread(run.wait)
            raise

    def _engine(
        self,
        plan: Plan,
        keep: Keep,
        on_event: Callable[[Any], None] | Sequence[Callable[[Any], None]],
        state: State,
        resume: bool | str,
        chaos: str | Mapping[str, float] | None,
        force: bool = False,
        cache: bool = True,
        recipes: Mapping[StageName, Recipe] | None = None,
        live: bool = False,
    ) -> Engine:
        from pipeline_runner.engine.engine import Engine

        strikes = _strikes(chaos) if chaos else None
        keeper = _keeper(plan, keep)
        listeners: Sequence[Listener] = (on_event,) if callable(on_event) else tuple(on_event)
        record = self._record(plan, state, Looking(bool(resume), force, cache), resume, recipes)
        run = new_run_id() if record is None else record.run
        folder = _run_folder(run, None if record is None else record.store.folder)
        return Engine(
            plan,
            run=run,
            folder=folder,
            keep=keeper,
            listeners=listeners,
            record=record,
            chaos=strikes,
            live=live,
        )

    def _record(
        self,
        plan: Plan,
        state: State,
        looking: Looking,
        resume: bool | str,
        recipes: Mapping[StageName, Recipe] | None,
    ) -> Record | None:
        """The journal of the run to be; None: nothing is kept. Errors: StoreError, UsageError."""
        from pipeline_runner.record.record import Record, about_run, identity
        from pipeline_runner.record.store import Store

        if looking.resume and looking.force:
            raise UsageError("to resume is to make only what is owed, and to force is to make all: say one of them")
        folder = state_folder(self.spec, state)
        if folder is None:
            if resume:
                raise UsageError(
                    "nothing was kept of an earlier run: a pipeline made in Python resumes with state=FOLDER"
                )
            if plan.taken:
                raise UsageError("nothing was kept of an earlier run from which sources could be taken")
            return None
        store = Store(folder, thorough=bool(resume))
        run = new_run_id()
        if resume:
            run = resumed_run(store, identity(plan), resume)
            looking = looking.as_begun(about_run(store, run) or {})
        if plan.taken:
            from pipeline_runner.record.foretell import foretell, refuse_missing

            refuse_missing(plan, foretell(plan, store, looking))
        about = self._about(plan) | looking.told
        return Record(store, run, plan, looking=looking, about=about, recipes=recipes)

    def _writes(self) -> list[str]:
        """The folders in which calls write files: what is left there of those that were ended can be found again."""
        if not any(stage.outs for stage in (*self.spec.stages.values(), *self.spec.hooks.values())):
            return []
        from pipeline_runner.plan.outs import folders
        from pipeline_runner.spec.hidden import mask_of

        return mask_of(self.spec).whole(folders(self.spec))

    def _about(self, plan: Plan) -> dict[str, Any]:
        """What is kept about a run. `given` is what a resume gives again; `params` is all of them, to be told."""
        from pipeline_runner.record.record import identity
        from pipeline_runner.spec.hidden import mask_of

        return {
            "identity": identity(plan),
            "pipeline": self.name,
            "file": self.spec.file,
            "folder": str(self.spec.folder),
            "workers": plan.workers,
            "given": {name: as_json(value) for name, value in self.spec.given.items()},
            "params": mask_of(self.spec).whole({name: as_json(value) for name, value in self.spec.params.items()}),
            "profile": self.spec.profile,
            "writes": self._writes(),
            "parts": [{name: getattr(part, name) for name in names(type(part))} for part in self._parts],
            "stages": {
                name: {
                    "gives": gives(stage),
                    "read": plan.read(name),
                    "from": {edge.source: edge.kind.value for edge in plan.sources(name)},
                }
                for name, stage in plan.stages.items()
            },
            "pipelines": list(plan.pipeline.composed),
            "reasons": _reasons(plan),
        }

    def replay(self, run: str, stage: str, item: int = 0, *, state: State = None) -> Any:
        """Run one call of an earlier run again, here in this process, with the arguments that it had then.

        run:    its name, the beginning of it, or "last".
        state:  the folder of its journal, as for `run`.
        Errors: whatever the call raises; CannotReplay where its arguments are not there any more; UsageError.
        """
        from pipeline_runner.record.history import History
        from pipeline_runner.record.store import Store
        from pipeline_runner.replaying import replayed

        folder = state_folder(self.spec, state)
        if folder is None:
            raise UsageError("nothing was kept of an earlier run: name its folder with state=FOLDER")
        history = History(Store(folder, create=False))
        return replayed(history, history.find(run), self.plan(), stage, item).run()

    def _in_folder(self, plan: Plan) -> Any:
        """Calls in the runner's own process find relative paths only if it is where workers are."""
        here = any(stage.choice.backend.in_process for stage in plan.stages.values())
        return chdir(self.spec.folder) if here else nullcontext()

    def __repr__(self) -> str:
        return f"<Pipeline {self.name}: {', '.join(self.spec.stages)}>"

    def _repr_html_(self) -> str:
        """Its graph, for notebooks."""
        from pipeline_runner.plan.draw import draw

        return draw(self.plan(), "svg")


def _stages(what: str, given: Stage | Iterable[Stage]) -> list[Stage]:
    """Errors: TypeError for what is no stage."""
    from pipeline_runner.stages import Stage

    if isinstance(given, Stage):
        given = [given]
    if isinstance(given, Mapping | str | bytes) or not isinstance(given, Iterable):
        raise TypeError(f"{what}= takes a list of Stage(…), not {kind_of(given)}; YAML is read by Pipeline.from_text")
    stages = list(given)
    for stage in stages:
        if not isinstance(stage, Stage):
            raise TypeError(f"{what}= takes a list of Stage(…), and {kind_of(stage)} is among them")
    return stages


def _workers(given: int | None) -> int | None:
    """The workers that a run is given, by the rule for those in YAML. Errors: Problems."""
    if given is None:
        return None
    from pipeline_runner.spec.problems import OutOfRange, WrongType, describe

    if isinstance(given, bool) or not hasattr(given, "__index__"):
        raise Problems([WrongType(mark=None, key="workers", wants="a whole number", got=describe(given))])
    if given < 1:
        raise Problems([OutOfRange(mark=None, key="workers", got=str(given), wants="at least 1")])
    return index(given)


def new_run_id() -> str:
    """A run's name: when it began, in the order of time, and something that no other run has."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}"


def state_folder(spec: PipelineSpec, state: State) -> Path | None:
    """Where the journal of a pipeline is: what was said, else $PRUN_STATE, else `.prun` beside its file."""
    if state is False:
        return None
    if state is not None:
        return Path(state).absolute()
    if os.environ.get("PRUN_STATE"):
        return Path(os.environ["PRUN_STATE"]).absolute()
    return spec.folder / ".prun" if spec.file else None


def resumed_run(store: Store, pipeline: str, resume: bool | str) -> str:
    """The run that is meant. Errors: UsageError when there is none."""
    from pipeline_runner.record.record import about_run, last_run

    if isinstance(resume, str):
        if about_run(store, resume) is None:
            raise UsageError(f'there is no run "{resume}" in {store.folder}; `prun runs` lists them')
        return resume
    last = last_run(store, pipeline)
    if last is None:
        raise UsageError(f"no run of this pipeline is kept in {store.folder}: there is nothing to resume")
    return last


def _run_folder(run: str, state: Path | None) -> Callable[[], str]:
    """Makes ${run.dir} when it is first asked for: in the state folder, else a temporary one."""

    @cache
    def make() -> str:
        if state is None:
            import tempfile

            return tempfile.mkdtemp(prefix="prun-")
        folder = state / "runs" / run
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return str(folder)

    return make


def _reasons(plan: Plan) -> dict[str, list[str]]:
    """Why stages have their methods: each reason with those that have it, since thousands may have the same."""
    found: dict[str, list[str]] = {}
    for name, stage in plan.with_hooks().stages.items():
        found.setdefault(f"{stage.choice.method.name}: {stage.choice.why}", []).append(name)
    return found


def _strikes(chaos: str | Mapping[str, float]) -> Chaos | None:
    from pipeline_runner.engine.chaos import chaos_from

    return chaos_from(chaos)


def _keeper(plan: Plan, keep: Keep) -> Callable[[StageName], bool]:
    if keep == "all":
        return lambda name: True
    if keep is None:
        return lambda name: False
    asked = {keep} if isinstance(keep, str) else set(keep)
    for name in asked:
        if not plan.pipeline.named(name):
            raise UsageError(f'there is no stage "{name}" to show{did_you_mean(name, list(plan.stages))}')
    names = {stage for name in asked for stage in plan.pipeline.named(name)}
    return lambda name: name in names or not plan.read(name)


def check(text: str, name: str = "pipeline.yaml", *, folder: str | os.PathLike[str] | None = None) -> list[Problem]:
    """Every problem of a pipeline's text, those of its plan included. Never an exception."""
    from pipeline_runner.plan.check import all_problems, problems
    from pipeline_runner.spec.build import build

    try:
        spec = build(text, name, folder=None if folder is None else Path(folder).resolve())
    except Problems as found:
        return all_problems(found)
    return problems(spec)
