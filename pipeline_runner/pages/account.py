"""What a page tells of a run: values gathered from its journal, so that the template only lays them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import time
from typing import TYPE_CHECKING, Any

from pipeline_runner.classes import dataclass
from pipeline_runner.events import CallFailed, CallRetried, Event, RunStarted, StageEnded, StageStarted, WorkerDied
from pipeline_runner.plan.plan import Edge, EdgeKind
from pipeline_runner.record.history import History, Told
from pipeline_runner.reporters.summary import Alike, Next, alike
from pipeline_runner.spec.pipeline import StageName
from pipeline_runner.state import RunState, StageState

if TYPE_CHECKING:
    from collections.abc import Iterable

SLOW = 20  # calls that are told


@dataclass(frozen=True)
class StageTold:
    """One stage: what became of it, when it was at work, and what it cost. Seconds are from the run's start."""

    name: str
    status: str  # "done", …; "running", or "unfinished" where the run is over; "not begun"
    state: StageState
    began_s: float | None
    ended_s: float | None  # as far as is known: of one that has not ended, the last sign of the run
    work_s: float | None  # of workers, in its calls and those of the stages that went with them; None: not told
    made: int  # calls of this try
    method: str

    @property
    def took_s(self) -> float | None:
        return None if self.began_s is None or self.ended_s is None else self.ended_s - self.began_s

    @property
    def each_s(self) -> float | None:
        """Of a call, on average."""
        return self.work_s / self.made if self.work_s and self.made else None

    @property
    def counted(self) -> bool:
        return self.state.started or self.state.done > 0


@dataclass(frozen=True)
class Slow:
    """A call that took long, or several that went together and are known on average."""

    stage: str
    first: int
    calls: int
    each_s: float


@dataclass(frozen=True)
class Mark:
    """Something that happened to a stage at a moment."""

    stage: str
    at_s: float
    kind: str  # "failed", "retried", "died"
    text: str


@dataclass(frozen=True)
class Account:
    """A run as it ended, or as it stands."""

    told: Told
    state: RunState
    began: float  # the last try; seconds since the epoch
    span_s: float  # until its end, or the last sign of it
    stages: Sequence[StageTold]
    marks: Sequence[Mark]
    slow: Sequence[Slow]
    failures: Sequence[Alike]
    edges: tuple[Edge, ...] | None  # None: the run was kept by a version that did not keep them
    frames: tuple[str, ...]
    reasons: Mapping[str, Sequence[str]]  # "METHOD: why", and whose
    following: Next

    @property
    def status(self) -> str:
        return str(self.told.status or "running")

    @property
    def work_s(self) -> float:
        return sum(stage.work_s or 0.0 for stage in self.stages)

    @property
    def busy(self) -> float | None:
        """How much of the workers' time was work; None where that is not known."""
        room = self.span_s * self.state.workers
        return min(1.0, self.work_s / room) if room > 0 and self.work_s else None

    def total(self, of: str) -> int:
        """What all stages have of something that is counted: `done`, `reused`, …"""
        return sum(getattr(stage.state, of) for stage in self.stages)


def account(history: History, run: str, following: Next) -> Account:
    """All that there is to tell of a run. Errors: StoreError."""
    told, state = history.told(run), history.state(run)
    # Rows for calls may be millions; the fold above has counted them.
    events = [event for event in history.events(run) if isinstance(event, _TIMED)]
    starts = [event.at for event in events if isinstance(event, RunStarted)]
    began = starts[0] if starts else told.began
    so_far_s = time() - began if told.status is None else 0.0
    span_s = max([told.took_s, so_far_s, *(event.at - began for event in events)])
    stages = _stages(told, state, events, began, span_s)
    return Account(
        told=told,
        state=state,
        began=began,
        span_s=span_s,
        stages=stages,
        marks=[mark for event in events if (mark := _mark(event, began)) is not None],
        slow=_slowest(stages, events),
        failures=alike(state.failures),
        edges=_edges(told.about, state.stages),
        frames=tuple(map(str, told.about.get("pipelines", ()))),
        reasons=told.about.get("reasons", {}),
        following=following,
    )


_TIMED = (RunStarted, StageStarted, StageEnded, CallFailed, CallRetried, WorkerDied)


def _stages(told: Told, state: RunState, events: Sequence[Event], began: float, span_s: float) -> Sequence[StageTold]:
    starts = {event.stage: event.at - began for event in events if isinstance(event, StageStarted)}
    ends = {event.stage: event for event in events if isinstance(event, StageEnded)}
    begun = "unfinished" if told.status else "running"
    methods = _methods(told.about)
    found: list[StageTold] = []
    for name, stage in state.told():
        end = ends.get(name)
        began_s, ended_s = _times(starts.get(name), end, began, span_s)
        found.append(
            StageTold(
                name=name,
                status=str(stage.status or (begun if stage.started else "not begun")),
                state=stage,
                began_s=began_s,
                ended_s=ended_s,
                work_s=None if end is None else end.work_s,
                made=0 if end is None else end.made or 0,
                method=stage.method or methods.get(name, ""),
            )
        )
    return found


def _times(
    start: float | None, end: StageEnded | None, began: float, span_s: float
) -> tuple[float | None, float | None]:
    """When a stage began and ended. How long it took was not measured by a clock that people set, so that it holds."""
    if start is None:
        return None, None
    if end is None:
        return max(0.0, start), max(0.0, start, span_s)
    ended_s = max(end.at - began, end.took_s)
    return ended_s - end.took_s, ended_s


def _methods(about: Mapping[str, Any]) -> Mapping[str, str]:
    """As planned: of stages that were not begun."""
    return {name: why.partition(":")[0] for why, names in about.get("reasons", {}).items() for name in names}


def _mark(event: Event, began: float) -> Mark | None:
    at_s = max(0.0, event.at - began)
    match event:
        case CallFailed():
            call = f"{event.stage}[{event.index}]" if event.index >= 0 else event.stage
            return Mark(event.stage, at_s, "failed", f"{call} failed: {event.failure.type}")
        case CallRetried():
            told = f"{event.stage}[{event.index}] is tried again: {event.failure.type}"
            return Mark(event.stage, at_s, "retried", told)
        case WorkerDied():
            return Mark(event.stage, at_s, "died", f"{event.stage}: worker {event.pid} died")
    return None


def _slowest(stages: Iterable[StageTold], events: Sequence[Event]) -> Sequence[Slow]:
    """As each stage told them at its end; of a stage of one call its work is that call's time."""
    told = {event.stage: event.slowest for event in events if isinstance(event, StageEnded)}
    found: list[Slow] = []
    for stage in stages:
        found += [Slow(stage.name, *chunk) for chunk in told.get(stage.name, ())]
        if not told.get(stage.name) and stage.each_s is not None:
            found.append(Slow(stage.name, 0, stage.made, stage.each_s))
    return sorted(found, key=lambda slow: -slow.each_s)[:SLOW]


def _edges(about: Mapping[str, Any], stages: Mapping[str, object]) -> tuple[Edge, ...] | None:
    shapes = about.get("stages", {})
    if not any("from" in shape for shape in shapes.values()):
        return None
    return tuple(
        Edge(StageName(source), StageName(target), EdgeKind(kind), "")
        for target, shape in shapes.items()
        for source, kind in shape.get("from", {}).items()
        if source in stages and target in stages
    )
