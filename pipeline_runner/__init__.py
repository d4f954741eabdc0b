"""Pipelines in YAML or Python, each stage on the pool method that fits it.

Names are loaded when they are first used: a worker imports this package and needs none of them.
"""

from __future__ import annotations

from importlib import import_module

from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.engine.engine import Engine
    from pipeline_runner.engine.inputs import StageUnfinished
    from pipeline_runner.engine.live import CallError, CallHandle, LiveValues, MapHandle
    from pipeline_runner.errors import PipelineError, Problem, Problems, UsageError
    from pipeline_runner.pipeline import Pipeline, check
    from pipeline_runner.plan.plan import Plan
    from pipeline_runner.running import Result, Run
    from pipeline_runner.stages import Stage

_HOMES = {
    "CallError": "engine.live",
    "CallHandle": "engine.live",
    "Engine": "engine.engine",
    "LiveValues": "engine.live",
    "MapHandle": "engine.live",
    "Pipeline": "pipeline",
    "PipelineError": "errors",
    "Plan": "plan.plan",
    "Problem": "errors",
    "Problems": "errors",
    "Result": "running",
    "Run": "running",
    "Stage": "stages",
    "StageUnfinished": "engine.inputs",
    "UsageError": "errors",
    "check": "pipeline",
}

__all__ = [
    "CallError",
    "CallHandle",
    "Engine",
    "LiveValues",
    "MapHandle",
    "Pipeline",
    "PipelineError",
    "Plan",
    "Problem",
    "Problems",
    "Result",
    "Run",
    "Stage",
    "StageUnfinished",
    "UsageError",
    "check",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
