"""Chooses once for all stages that are alike: of thousands, most are."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline_runner.backends import Table
from pipeline_runner.classes import dataclass, field
from pipeline_runner.plan.choose import Inflow, choose
from pipeline_runner.plan.measured import Measured
from pipeline_runner.plan.plan import Choice
from pipeline_runner.spec.pipeline import StageSpec


@dataclass
class Chooser:
    """The method of each stage of one plan."""

    table: Table
    _chosen: dict[object, Choice] = field(default_factory=dict)

    def choose(
        self,
        stage: StageSpec,
        inflows: Sequence[Inflow],
        measured: Measured | None = None,
        calls: int | None = None,
    ) -> Choice:
        """As `choose` does. Errors: Problems, which are told of each stage by itself."""
        if stage.over is not None or inflows or measured is not None:
            return choose(stage, self.table, inflows, measured, calls)
        kind = _kind(stage)
        choice = self._chosen.get(kind)
        if choice is None:
            choice = self._chosen[kind] = choose(stage, self.table)
        return choice


def _kind(stage: StageSpec) -> object:
    """All that a choice for one call depends on."""
    limits = (stage.timeout_s, stage.memory_bytes, stage.max_calls_per_worker, stage.workdir, stage.folder)
    asked = (stage.dispatch, stage.style, stage.returns, stage.method, stage.backend, stage.start_method)
    return asked, tuple(limit is None for limit in limits)
