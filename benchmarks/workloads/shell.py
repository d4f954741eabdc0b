"""S: commands that do nothing, each a call, beside `xargs -P`: with a shell and without."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from workload import Figures, Workload

CASES: dict[str, tuple[str, object, list[str]]] = {
    "S1-shell": (
        "commands of a shell",
        "/bin/true ${item}",
        ["xargs", "-P2", "-I{}", "/bin/sh", "-c", "/bin/true '{}'"],
    ),
    "S2-argv": ("commands without a shell", ["/bin/true", "${item}"], ["xargs", "-P2", "-n1", "/bin/true"]),
}


def workload(name: str, title: str, run: object, command: list[str]) -> Workload:
    found = Workload(
        name, title, full={"commands": 2000}, quick={"commands": 100}, times=3, when_quick=name == "S1-shell"
    )
    found.limit("xargs -P2")(_xargs(command))
    found.ours("prun, no journal")(_prun(run, None))
    found.ours("prun, journal")(_prun(run, Path("state")))
    return found


def _xargs(command: list[str]) -> Callable[[SimpleNamespace], Figures]:
    def do(size: SimpleNamespace) -> Figures:
        text = "\n".join(map(str, range(size.commands))).encode()
        began = time.perf_counter()
        subprocess.run(command, input=text, check=True)
        return {"s": time.perf_counter() - began}

    return do


def _prun(run: object, state: Path | None) -> Callable[[SimpleNamespace], Figures]:
    def do(size: SimpleNamespace) -> Figures:
        from commands import WORKERS
        from ours import good

        from pipeline_runner import Pipeline, Stage

        pipeline = Pipeline("shell", [Stage("a", run=run, over=range(size.commands))])
        began = time.perf_counter()
        good(pipeline.run(workers=WORKERS, state=state))
        return {"s": time.perf_counter() - began}

    return do


ALL = [workload(name, *case) for name, case in CASES.items()]
