"""Every problem of a pipeline that can be found without running it."""

from __future__ import annotations

from dataclasses import replace

from pipeline_runner.backends import Table
from pipeline_runner.errors import Problem, Problems
from pipeline_runner.plan.graph import links
from pipeline_runner.plan.make import attempt
from pipeline_runner.spec.pipeline import PipelineSpec


def problems(spec: PipelineSpec, *, table: Table | None = None) -> list[Problem]:
    """What would keep the pipeline from being planned, in the order of the stages; empty: nothing."""
    return attempt(spec, table=table)[1]


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
