"""Every problem of a pipeline that can be found without running it."""

from __future__ import annotations

from pipeline_runner.backends import Table
from pipeline_runner.errors import Problem
from pipeline_runner.plan.make import attempt
from pipeline_runner.spec.pipeline import PipelineSpec


def problems(spec: PipelineSpec, *, table: Table | None = None) -> list[Problem]:
    """What would keep the pipeline from being planned, in the order of the stages; empty: nothing."""
    return attempt(spec, table=table)[1]
