"""Which stages are known to be skipped before anything runs, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline_runner.spec.pipeline import StageName, StageSpec, holds
from pipeline_runner.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.plan.graph import Graph


def skipped(order: Iterable[StageName], stages: Mapping[StageName, StageSpec], graph: Graph) -> dict[StageName, str]:
    """Stage → why, as a clause. `order` has sources before the stages that depend on them."""
    found: dict[StageName, str] = {}
    for name in order:
        stage = stages[name]
        if is_off(stage) and stage.condition is not None:
            found[name] = f"its condition is false: {stage.condition.text}"
        elif stage.always:
            continue
        elif source := next((source for source in graph.sources[name] if source in found), None):
            found[name] = f"it depends on {source}, which is skipped"
    return found


def is_off(stage: StageSpec) -> bool:
    """Whether its own condition is known to be false."""
    condition = stage.condition
    return condition is not None and condition.known and not holds(condition.value)
