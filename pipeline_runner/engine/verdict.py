"""Whether a stage runs, once its sources have ended: what became of them decides, then its own condition."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline_runner.axes import Status
from pipeline_runner.classes import dataclass
from pipeline_runner.spec.pipeline import StageName, StageSpec, holds
from pipeline_runner.syntax.expressions import Scope, render

ENDED_WELL = (Status.DONE, Status.REUSED)
FOLLOWS = {Status.DONE: "on_success", Status.PARTIAL: "on_success", Status.FAILED: "on_failure"}
"""The hook that follows a run which ended so. None follows one that was interrupted."""


@dataclass(frozen=True)
class NotRun:
    """How a stage ends that is not run, and why: a clause."""

    status: Status
    why: str


def verdict(stage: StageSpec, sources: Mapping[StageName, Status | None], scope: Scope) -> NotRun | None:
    """None: it runs. `sources` says how each has ended; None: it runs, and the stage streams from it.

    Errors: ExpressionError; what unpickling a value, or asking it for yes or no, raises.
    """
    lost = {name: s for name, s in sources.items() if s not in (None, *ENDED_WELL) and not stage.always}
    for name, status in lost.items():
        if status is not Status.SKIPPED:  # counts for more than a skip
            return NotRun(Status.CANCELLED, f"it depends on {name}, which {status.said}")
    for name in lost:
        return NotRun(Status.SKIPPED, f"it depends on {name}, which was skipped")
    condition = stage.condition
    if condition is None or holds(render(condition.value, scope)):
        return None
    return NotRun(Status.SKIPPED, f"its condition is false: {condition.text}")
