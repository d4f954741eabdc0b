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
        if name not in spec.stages:
            known = list(spec.stages)
            raise UsageError(
                f'there is no stage "{name}"{did_you_mean(name, known)}\n  the stages are: {", ".join(known)}'
            )
    kept: set[StageName] = set()
    todo = [StageName(name) for name in wanted]
    while todo:
        name = todo.pop()
        if name in kept or name not in spec.stages:
            continue
        kept.add(name)
        todo += [link.source for link in links(spec.stages[name])]
    return replace(spec, stages={name: stage for name, stage in spec.stages.items() if name in kept})
