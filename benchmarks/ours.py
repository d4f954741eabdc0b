"""Our runner as users have it: a file and `prun`, or the API; nothing is set by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from commands import PRUN, WORKERS, said, timed, write
from workload import Figures

from pipeline_runner import Pipeline, Stage
from pipeline_runner.events import Event, StageEnded, StageStarted


class Clock:
    """Hears the events of a run and keeps when each stage began and ended."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case StageStarted():
                self.began[event.stage] = time.perf_counter()
            case StageEnded():
                self.ended[event.stage] = time.perf_counter()


def warmed(stages: Sequence[Stage], before: Any) -> Pipeline:
    """The stages after one of the same kind, over `before`, that opens the pool: peers' pools are warm too."""
    first = stages[0]
    warm = Stage("warm", call=first.call, over=before, **first.keys)
    later = Stage(first.name, call=first.call, over=first.over, needs=["warm"], **first.keys)
    return Pipeline("bench", [warm, later, *stages[1:]])


def timed_warm(stages: Sequence[Stage], before: Any, state: Path | None = None) -> tuple[Any, float]:
    """What the last stage gave, and the seconds from when the first began until these values are at hand."""
    first, last = stages[0].name, stages[-1].name
    clock = Clock()
    result = warmed(stages, before).run(workers=WORKERS, keep=[last], on_event=clock, state=state)
    good(result)
    began = time.perf_counter()
    values = result[last]
    return values, clock.ended[last] - clock.began[first] + time.perf_counter() - began


def good(result: Any) -> None:
    """Errors: RuntimeError with the first failure."""
    if result.exit_code:
        raise RuntimeError(f"the run failed: {[str(failure) for failure in result.failures[:1]]}")


def lay(stages: Mapping[str, Mapping[str, object]], **more: object) -> None:
    """A pipeline's file in this folder. JSON is YAML; the same text a user has, a stage a line."""
    head = json.dumps({"version": 1, "name": "bench", **more})[1:-1]
    body = ",\n".join(f"  {json.dumps(name)}: {json.dumps(stage)}" for name, stage in stages.items())
    write({"pipeline.yaml": f'{{{head},\n"stages": {{\n{body}\n}}}}\n'})


def prun(*words: str, expect: int = 0) -> Figures:
    """`prun WORDS…` in this folder, timed whole."""
    return timed([*PRUN, *words], expect)


def run_file(*words: str) -> Figures:
    return prun("pipeline.yaml", *words, "-j", str(WORKERS), "-q")


def told() -> dict[str, Any]:
    """What the last command with --json has printed."""
    found: dict[str, Any] = json.loads(said())
    return found
