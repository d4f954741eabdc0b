"""What a run of a plan would do with each stage, as far as that is known before it: values, and their words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pipeline_runner.classes import dataclass
from pipeline_runner.plan.plan import Plan
from pipeline_runner.spec.pipeline import StageName


class Action(StrEnum):
    RUN = "run"  # some of its calls, or all
    REUSE = "reuse"  # all that they give is there
    DEFERRED = "deferred"  # only the run itself can tell
    SKIP = "skip"  # its condition, or that of a stage before it, is false


@dataclass(frozen=True)
class Outlook:
    """What becomes of one stage."""

    action: Action
    calls: int | None  # None: not known yet
    reused: int = 0  # of them, as far as that is known
    because: tuple[str, ...] = ()  # what is not as it was: a clause each
    seconds: float | None = None  # None: there is nothing to tell it from
    each_s: float | None = None  # how long a call took in an earlier run: what the size of its first chunks goes by
    longest_first: bool = False  # some took much longer than others, and go first

    @property
    def missing(self) -> bool:
        """Whether it surely cannot do without a call."""
        return self.action is Action.RUN and self.reused != self.calls

    def __str__(self) -> str:
        return f"{self._said()}{self._about()}"

    def _said(self) -> str:
        match self.action:
            case Action.REUSE:
                return f"reuse {_all(self.calls or 0)}"
            case Action.DEFERRED:
                return "known when it begins"
            case Action.SKIP:
                return "skip"
        if not self.reused:
            return "run" if self.calls is None else f"run {_all(self.calls)}"
        return f"run {(self.calls or 0) - self.reused} of {self.calls} calls, {self.reused} reused"

    def _about(self) -> str:
        return "" if not self.seconds or self.action is Action.REUSE else f"; about {span(self.seconds)}"


@dataclass(frozen=True)
class Forecast:
    """What becomes of each stage of a plan, and how long all of it may take."""

    plan: Plan
    stages: Mapping[StageName, Outlook]
    seconds: float | None

    def explain(self) -> str:
        """The plan for people, with what would be run and why."""
        from pipeline_runner.plan.explain import explain

        return explain(self.plan, self)

    def to_json(self) -> dict[str, object]:
        """The same as plain data."""
        from pipeline_runner.plan.explain import as_json

        return as_json(self.plan, self)


def _all(calls: int) -> str:
    return "its call" if calls == 1 else f"all {calls} calls"


def span(seconds: float) -> str:
    """A time that is not known to the millisecond."""
    if seconds < 0.1:
        return "0.1 s"
    if seconds < 100:
        return f"{seconds:.2g} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.0f} h"
