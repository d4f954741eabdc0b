"""A part of a pipeline: some stages and all that they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline_runner.errors import UsageError, did_you_mean
from pipeline_runner.plan.graph import links
from pipeline_runner.spec.pipeline import PipelineSpec, StageName


def select(spec: PipelineSpec, wanted: Sequence[str]) -> PipelineSpec:
    """The pipeline with only these stages and what they need; whole when none is named.

    Errors: UsageError for a stage that there is not.
    """
    if not wanted:
        return spec
    for name in wanted:
        if not spec.named(name):
            known = [*spec.stages, *spec.composed]
            raise UsageError(
                f'there is no stage "{name}"{did_you_mean(name, known)}\n  the stages are: {", ".join(spec.stages)}'
            )
    kept: set[StageName] = set()
    todo = [stage for name in wanted for stage in spec.named(name)]
    while todo:
        name = todo.pop()
        if name in kept or name not in spec.stages:
            continue
        kept.add(name)
        todo += [link.source for link in links(spec.stages[name])]
    return replace(spec, stages={name: stage for name, stage in spec.stages.items() if name in kept})
