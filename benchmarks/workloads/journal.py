"""J: what the journal costs: the same run with it and without."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from workload import Figures, Workload

CASES = {
    "J1-range": ("500,000 no-op items of a range", 500_000, {"over": {"range": 0}}),
    "J2-lines": ("500,000 no-op items of a file", 500_000, {"over": {"lines": "items"}}),
    "J3-single": ("5,000 calls, one a chunk", 5_000, {"over": {"range": 0}, "chunk": 1}),
}
WITHOUT, WITH = "prun without", "prun with the journal"


def workload(name: str, title: str, items: int, stage: dict[str, object]) -> Workload:
    found = Workload(
        name,
        title,
        full={"items": items},
        quick={"items": items // 50},
        columns={"cpu_s": "CPU of the runner, s"},
        times=3,
        when_quick=name != "J2-lines",
    )
    found.limit(WITHOUT)(_run(stage, keep=False))
    found.ours(WITH)(_run(stage, keep=True))
    found.target("with ÷ without", (WITH, "s"), (WITHOUT, "s"), most=1.5)
    return found


def _run(stage: dict[str, object], keep: bool) -> Callable[[SimpleNamespace], Figures]:
    def do(size: SimpleNamespace) -> Figures:
        from commands import WORKERS, write
        from ours import good

        from pipeline_runner import Pipeline

        write({"items": "\n".join(map(str, range(size.items)))})
        over = {"range": size.items} if "range" in str(stage["over"]) else stage["over"]
        stages = {"a": {**stage, "call": "work:same", "over": over}}
        pipeline = Pipeline.from_text(json.dumps({"version": 1, "stages": stages}), folder=Path.cwd())
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        result = pipeline.run(workers=WORKERS, state=Path("state") if keep else False)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        good(result)
        return {"s": seconds, "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}

    return do


ALL = [workload(name, *case) for name, case in CASES.items()]
