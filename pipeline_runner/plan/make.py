"""Makes the plan of a pipeline: graph, then a method for each stage, then edges, groups, chains and waves."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from pipeline_runner.axes import Dispatch, Returns, StartMethod
from pipeline_runner.backends import Table
from pipeline_runner.backends import table as whole_table
from pipeline_runner.errors import Problem, Problems, in_order
from pipeline_runner.methods import Backend
from pipeline_runner.plan.alike import Chooser
from pipeline_runner.plan.choose import Inflow
from pipeline_runner.plan.counts import calls, unequal
from pipeline_runner.plan.cpus import usable
from pipeline_runner.plan.graph import Graph, draw, order
from pipeline_runner.plan.groups import could_stream, edges, groups
from pipeline_runner.plan.measured import Measured
from pipeline_runner.plan.outs import unwritable, written_twice
from pipeline_runner.plan.plan import Choice, Plan, StagePlan
from pipeline_runner.plan.problems import WorkdirMissing
from pipeline_runner.plan.skips import is_off, skipped
from pipeline_runner.plan.threads import threads
from pipeline_runner.plan.tokens import most_at_once, wrong
from pipeline_runner.spec.hidden import mask_of
from pipeline_runner.spec.pipeline import PipelineSpec, StageName, StageSpec
from pipeline_runner.witness import saw

WINDOW = 4  # chunks in flight for each worker, where the pipeline does not say


def make_plan(
    spec: PipelineSpec,
    *,
    workers: int | None = None,
    table: Table | None = None,
    sample: int | None = None,
    taken: frozenset[StageName] = frozenset(),
    measured: Mapping[StageName, Measured] | None = None,
) -> Plan:
    """Decide everything that can be decided before the run. Errors: Problems, all of them together.

    `workers` is for the whole run; left out: what the pipeline says, else the CPUs this process may use.
    `sample`: only so many items of each source that needs no stage. `taken`: stages that are not run.
    `measured`: what is known of the times of methods, where the pipeline names none.
    """
    plan, problems = attempt(spec, workers=workers, table=table, sample=sample, taken=taken, measured=measured)
    if plan is None:
        raise Problems(problems)
    return plan


def attempt(
    spec: PipelineSpec,
    *,
    workers: int | None = None,
    table: Table | None = None,
    sample: int | None = None,
    taken: frozenset[StageName] = frozenset(),
    measured: Mapping[StageName, Measured] | None = None,
) -> tuple[Plan | None, list[Problem]]:
    """The plan, or every problem that stands in its way."""
    chooser = Chooser(table or whole_table())
    workers = workers or spec.workers or usable()
    planner = _Planner(spec, workers)
    graph, problems = draw(spec.stages)
    stages: dict[StageName, StagePlan] = {}
    counts: dict[StageName, int | None] = {}
    ordered = order(graph)
    for name in ordered:
        stage = spec.stages[name]
        folder = spec.folder_of(stage)
        if stage.limits or stage.outs or stage.workdir is not None:
            problems.extend(_lacking(stage, spec, first=not graph.sources[name]))
        if stage.over is not None:
            problems.extend(unequal(stage, folder))
        counts[name] = calls(stage, spec.stages, counts, folder, sample)
        try:
            choice = chooser.choose(stage, _inflows(graph, stages, stage), (measured or {}).get(name), counts[name])
        except Problems as found:
            problems.extend(found.problems)
        else:
            stages[name] = planner.plan(stage, choice, counts[name])
    hooks: dict[StageName, StagePlan] = {}
    for name, hook in spec.hooks.items():
        problems.extend(_lacking(hook, spec, first=False))
        count = calls(hook, {}, {}, spec.folder)
        try:
            hooks[name] = planner.plan(hook, chooser.choose(hook, []), count)
        except Problems as found:
            problems.extend(found.problems)
    problems.extend(written_twice(spec))
    if problems:
        return None, mask_of(spec).whole(in_order(problems))
    off = skipped(ordered, spec.stages, graph)
    found_edges = edges(graph, stages)
    found_groups, waves = groups(stages, found_edges)
    return Plan(spec, workers, stages, found_edges, found_groups, waves, off, hooks, sample, taken), []


def _lacking(stage: StageSpec, spec: PipelineSpec, *, first: bool) -> Iterator[Problem]:
    """What a stage asks for and there is not. `first`: no stage comes before it that could make it."""
    yield from wrong(stage, spec.limits)
    yield from unwritable(stage, spec.folder_of(stage), spec.files)
    if (
        first
        and stage.workdir is not None
        and not is_off(stage)
        and not _is_there(spec.folder_of(stage), stage.workdir)
    ):
        yield WorkdirMissing(mark=stage.mark("workdir"), stage=stage.name, workdir=stage.workdir)


def _is_there(folder: Path, workdir: str) -> bool:
    # Not Path.is_dir, which raises of a name longer than a file may have.
    there = os.path.isdir(os.path.join(folder, workdir))
    saw("folder", str(folder / workdir), answer=there)
    return there


def _inflows(graph: Graph, stages: dict[StageName, StagePlan], spec: StageSpec) -> list[Inflow]:
    """The sources that could stream into the stage. They were planned before it, unless they have problems."""
    return [
        Inflow(source, written=(stages[source].spec.returns or Returns.NONE).streams)
        for source, links in graph.sources[spec.name].items()
        if source in stages and could_stream(stages[source], spec, links)
    ]


class _Planner:
    """Makes the plan of each stage, once its method is chosen."""

    def __init__(self, pipeline: PipelineSpec, workers: int) -> None:
        self._pipeline = pipeline
        self._workers = workers
        self._environ = dict(os.environ)  # of the real one each look costs an encoding, for each stage
        self._alike: dict[tuple[int, int | None], StagePlan] = {}  # of stages that say nothing of their workers

    def plan(self, stage: StageSpec, choice: Choice, count: int | None) -> StagePlan:
        asked = stage.workers, stage.window, stage.start_method, stage.threads
        if asked != _NOTHING or stage.limits or stage.env:
            return _planned(stage, choice, count, self._workers, self._pipeline, self._environ)
        kind = id(choice), count  # stages that are alike have one choice, which the first of them keeps
        like = self._alike.get(kind)
        if like is None:
            like = _planned(stage, choice, count, self._workers, self._pipeline, self._environ)
            self._alike[kind] = like
            return like
        return like.of(stage)


_NOTHING = (None, None, None, None)


def _planned(
    stage: StageSpec,
    choice: Choice,
    count: int | None,
    workers: int,
    pipeline: PipelineSpec,
    environ: Mapping[str, str],
) -> StagePlan:
    most = stage.workers or workers
    if not choice.backend.in_process:
        most = min(most, workers)  # threads are for work that waits: there may be more of them than processes
    if count is not None:
        most = min(most, max(1, count))
    at_once = most_at_once(stage, pipeline.limits)
    if at_once is not None:
        most = min(most, max(1, at_once))  # the others would only wait for tokens
    if choice.method.dispatch is Dispatch.BLOCKING:
        most = 1  # one call at a time: more processes would only stand by
    return StagePlan(
        spec=stage,
        choice=choice,
        calls=count,
        workers=most,
        start_method=_start_method(stage, choice.backend),
        window=stage.window or WINDOW * most,
        threads=threads(stage, pipeline, workers, in_process=choice.backend.in_process, environ=environ),
    )


def _start_method(stage: StageSpec, backend: Backend) -> StartMethod | None:
    """What the stage says, else forkserver where there is one: it forks from a process that holds nothing."""
    if stage.start_method is not None or not backend.start_methods or backend.in_process:
        return stage.start_method
    here = [method for method in StartMethod if method in backend.start_methods and method in _offered_here()]
    return here[0] if here else None


@cache
def _offered_here() -> tuple[str, ...]:
    return tuple(multiprocessing.get_all_start_methods())
