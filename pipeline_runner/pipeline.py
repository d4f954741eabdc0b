"""The only wiring: spec to plan, plan to engine, engine to whoever listens."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import chdir, nullcontext
from datetime import datetime
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any, Self

from pipeline_runner.engine.engine import Engine, Listener
from pipeline_runner.errors import Problem, Problems, UsageError, did_you_mean
from pipeline_runner.plan.make import make_plan
from pipeline_runner.plan.plan import Plan
from pipeline_runner.plan.select import select
from pipeline_runner.running import Result, Run
from pipeline_runner.spec.build import build, load
from pipeline_runner.spec.pipeline import PipelineSpec, StageName
from pipeline_runner.spec.python import pipeline_from_python
from pipeline_runner.stages import Stage

Keep = str | Iterable[str]  # "all", or names of stages


class Pipeline:
    """Stages, and how to run them.

    `Pipeline.load("pipeline.yaml")`, `Pipeline.from_text(yaml)`, or
    `Pipeline("name", [Stage("read", call=read_file, over=paths), …])`.

    Errors: Problems, with every problem at once.
    """

    def __init__(
        self,
        name: str,
        stages: Sequence[Stage],
        *,
        params: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        workers: int | None = None,
        defaults: Mapping[str, Any] | None = None,
        folder: str | os.PathLike[str] | None = None,
        description: str = "",
    ) -> None:
        self.spec = pipeline_from_python(
            name,
            stages,
            params=params or {},
            env=env or {},
            workers=workers,
            defaults=defaults or {},
            folder=Path.cwd() if folder is None else Path(folder).resolve(),
            description=description,
        )

    @classmethod
    def of(cls, spec: PipelineSpec) -> Self:
        """A pipeline whose meaning is known already."""
        self = cls.__new__(cls)
        self.spec = spec
        return self

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, params: Mapping[str, Any] | None = None, profile: str | None = None
    ) -> Self:
        """The pipeline of a YAML file."""
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
        where = None if folder is None else Path(folder).resolve()
        return cls.of(build(text, name, folder=where, params=params, profile=profile))

    def only(self, *stages: str) -> Self:
        """The same pipeline with only these stages and what they need. Errors: UsageError for a stage there is not."""
        return type(self).of(select(self.spec, stages))

    @property
    def name(self) -> str:
        return self.spec.name

    def plan(self, *, workers: int | None = None) -> Plan:
        """What will run, by which method and why. Nothing is run. Errors: Problems."""
        return make_plan(self.spec, workers=workers)

    def run(
        self,
        *,
        workers: int | None = None,
        keep: Keep = "all",
        on_event: Callable[[Any], None] | Sequence[Callable[[Any], None]] = (),
        on_engine: Callable[[Engine], None] | None = None,
    ) -> Result:
        """Run it and wait for the end. A failed stage is told in the result, not raised.

        keep:      stages whose values the result has; those that no other stage reads always are.
        on_event:  called with every event, in order, from this thread.
        on_engine: called with the engine before it begins; what a signal handler needs to cancel it.
        Errors:    Problems, before anything runs; KeyboardInterrupt, after all is ended.
        """
        engine = self._engine(workers, keep, on_event)
        if on_engine is not None:
            on_engine(engine)
        with self._in_folder(engine.plan):
            return Result(engine, engine.run())

    def start(
        self,
        *,
        workers: int | None = None,
        keep: Keep = "all",
        on_event: Callable[[Any], None] | Sequence[Callable[[Any], None]] = (),
    ) -> Run:
        """Run it in the background; `run["count"]` is what that stage's `returns` says."""
        return Run(self._engine(workers, keep, on_event))

    async def arun(self, *, workers: int | None = None, keep: Keep = "all") -> Result:
        """Run it without blocking an event loop. Cancelling the task cancels the run."""
        run = self.start(workers=workers, keep=keep)
        try:
            return await asyncio.to_thread(run.wait)
        except asyncio.CancelledError:
            run.cancel()
            await asyncio.to_thread(run.wait)
            raise

    def _engine(
        self, workers: int | None, keep: Keep, on_event: Callable[[Any], None] | Sequence[Callable[[Any], None]]
    ) -> Engine:
        plan = self.plan(workers=workers)
        listeners: Sequence[Listener] = (on_event,) if callable(on_event) else tuple(on_event)
        return Engine(plan, run=new_run_id(), folder=_run_folder(), keep=_keeper(plan, keep), listeners=listeners)

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


def new_run_id() -> str:
    """A run's name: when it began, in the order of time, and something that no other run has."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{token_hex(3)}"


def _run_folder() -> Callable[[], str]:
    return cache(lambda: tempfile.mkdtemp(prefix="prun-"))


def _keeper(plan: Plan, keep: Keep) -> Callable[[StageName], bool]:
    if keep == "all":
        return lambda name: True
    names = {keep} if isinstance(keep, str) else set(keep)
    for name in names - set(plan.stages):
        raise UsageError(f'there is no stage "{name}" to show{did_you_mean(name, list(plan.stages))}')
    return lambda name: name in names or not plan.readers(name)


def check(text: str, name: str = "pipeline.yaml", *, folder: str | os.PathLike[str] | None = None) -> list[Problem]:
    """Every problem of a pipeline's text, those of its plan included. Never an exception."""
    from pipeline_runner.plan.check import problems

    try:
        spec = build(text, name, folder=None if folder is None else Path(folder).resolve())
    except Problems as found:
        return list(found.problems)
    return problems(spec)
