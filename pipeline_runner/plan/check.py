"""Every problem of a pipeline that can be found without running it."""

from __future__ import annotations

from dataclasses import replace

from pipeline_runner.backends import Table
from pipeline_runner.errors import Problem, Problems
from pipeline_runner.plan.graph import links
from pipeline_runner.plan.make import attempt
from pipeline_runner.plan.plan import Plan
from pipeline_runner.spec.pipeline import Generate, PipelineSpec, StageSpec


def problems(spec: PipelineSpec, *, table: Table | None = None) -> list[Problem]:
    """What would keep the pipeline from being planned, in the order of the stages; empty: nothing."""
    return attempt(spec, table=table)[1]


def cautions(plan: Plan) -> list[str]:
    """What may go wrong with a plan that can be run, a sentence each."""
    return [
        f'{_place(stage.spec)}stage "{name}" reads all of its generator before it starts, since '
        f"{stage.choice.method.name} wants its whole input; if it has no end, bound it with `take`"
        for name, stage in plan.stages.items()
        if isinstance(stage.spec.over, Generate) and stage.spec.over.take is None and not stage.choice.method.lazy
    ]


def _place(stage: StageSpec) -> str:
    mark = stage.mark("over")
    return f"{mark}: " if mark else ""


def all_problems(found: Problems) -> list[Problem]:
    """What was found so far, and what planning finds in the stages that are sound, in the order of the file."""
    if not isinstance(found.sound, PipelineSpec):
        return list(found.problems)
    told = [*found.problems, *problems(_sound(found.sound))]
    return sorted(told, key=lambda problem: (problem.mark.line, problem.mark.column) if problem.mark else (0, 0))


def _sound(spec: PipelineSpec) -> PipelineSpec:
    """The stages that need none that is missing: what is wrong with a source is not told again by its readers."""
    stages = dict(spec.stages)
    while True:
        lost = [name for name, stage in stages.items() if any(link.source not in stages for link in links(stage))]
        if not lost:
            return replace(spec, stages=stages)
        for name in lost:
            del stages[name]
