"""What is true of a run now: the fold of its events, the one object that bars, summaries and tests ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline_runner.axes import Status
from pipeline_runner.classes import dataclass, field
from pipeline_runner.events import (
    CallFailed,
    CallRetried,
    CallsDone,
    CallsKnown,
    CallsReused,
    Event,
    RunEnded,
    RunStarted,
    StageEnded,
    StageStarted,
    WorkerDied,
)
from pipeline_runner.typed import Any


@dataclass
class StageState:
    """One stage so far. `status` is None while it waits or runs."""

    status: Status | None = None
    method: str = ""
    fused_into: str | None = None
    started: bool = False
    calls: int | None = None  # None: not known yet
    done: int = 0
    reused: int = 0  # of those done: by an earlier run
    failed: int = 0
    retried: int = 0
    seconds: float = 0.0
    why: str = ""  # it was not run


@dataclass
class RunState:
    """A run so far. Feed it every event, in order."""

    run: str = ""
    pipeline: str = ""
    workers: int = 0
    status: Status | None = None
    seconds: float = 0.0
    stages: dict[str, StageState] = field(default_factory=dict)  # and after them the hooks
    hooks: tuple[str, ...] = ()
    failures: list[CallFailed] = field(default_factory=list)
    deaths: list[WorkerDied] = field(default_factory=list)

    def told(self) -> Iterator[tuple[str, StageState]]:
        """The stages, and the hooks that had something to do."""
        return ((n, s) for n, s in self.stages.items() if n not in self.hooks or s.started or s.status is Status.FAILED)

    def take(self, event: Event) -> None:
        """Fold one event in."""
        match event:
            case RunStarted():
                self.run, self.pipeline, self.workers = event.run, event.pipeline, event.workers
                self.stages = {name: StageState() for name in (*event.stages, *event.hooks)}
                self.hooks = event.hooks
            case StageStarted():
                stage = self.stages[event.stage]
                stage.started, stage.method, stage.calls = True, event.method, event.calls
                stage.fused_into = event.fused_into
            case CallsKnown():
                self.stages[event.stage].calls = event.calls
            case CallsDone():
                self.stages[event.stage].done += len(event.indices)
            case CallsReused():
                self.stages[event.stage].done += len(event.indices)
                self.stages[event.stage].reused += len(event.indices)
            case CallRetried():
                self.stages[event.stage].retried += 1
            case CallFailed():
                if event.index >= 0:
                    self.stages[event.stage].failed += 1
                self.failures.append(event)
            case WorkerDied():
                self.deaths.append(event)
            case StageEnded():
                stage = self.stages[event.stage]
                stage.status, stage.seconds, stage.why = event.status, event.took_s, event.why
                if event.status in (Status.DONE, Status.REUSED):
                    stage.calls = stage.done + stage.failed
            case RunEnded():
                self.status, self.seconds = event.status, event.took_s


def failure_told(failed: CallFailed) -> Mapping[str, Any]:
    """A failure as plain data, in `--json` and in `${run.failures}`."""
    return {
        "stage": failed.stage,
        "item": failed.index if failed.index >= 0 else None,
        "type": failed.failure.type,
        "message": failed.failure.message,
        "tries": failed.tries,
    }
