"""G1: graphs of tasks as real workflows have them (WfCommons), 4 s of CPU each: how near the best schedule each tool
comes, in all, and from the first task's begin to the last one's end."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import dags
from workload import Figures, Workload, check

BOUND, BEST = "max(critical path, sum ÷ 2)", "best schedule found"
FIRST, RECORDED = "prun, first run", "prun, times recorded"


def workload(name: str) -> Workload:
    found = Workload(
        f"G1-{name}",
        f"the {name} workflow, {len(dags.load(name))} tasks, 4 s of CPU in all",
        full={"scale": 1.0},
        quick={"scale": 0.2},
        columns={"span": "first begin to last end, s"},
        timeout_s=60,
        times=3,  # of each of four graphs
        when_quick=name == "montage",
    )
    found.limit(BOUND)(lambda size: _known(dags.bound_s(dags.load(name, size.scale))))
    found.limit(BEST)(lambda size: _known(dags.best_s(dags.load(name, size.scale))))
    found.ours(FIRST)(lambda size: _ours(dags.load(name, size.scale), before=0))
    found.ours(RECORDED)(lambda size: _ours(dags.load(name, size.scale), before=1))
    for tool, needs in dags.NEEDS.items():
        found.peer(tool, *needs, rival=tool == "make")(_peer(tool, name))
    found.target("makespan ÷ bound", (FIRST, "s"), (BOUND, "s"), most=1.10)
    found.target("makespan ÷ make's", (FIRST, "s"), ("make", "s"), most=0.95)
    found.target("span ÷ best schedule, times recorded", (RECORDED, "span"), (BEST, "s"), most=1.03)
    return found


def _known(seconds: float) -> Figures:
    return {"s": seconds, "span": seconds}


def _ours(dag: dags.Dag, before: int) -> Figures:
    """A first run, or one after another that has recorded the times; nothing is cached."""
    from ours import lay, run_file

    lay(dags.pipeline(dag))
    for _ in range(before):
        dags.begin_log()
        run_file()
    dags.begin_log()
    figures = run_file()
    return figures | {"span": dags.span_s(dag)}


def _peer(tool: str, name: str) -> Callable[[SimpleNamespace], Figures]:
    def do(size: SimpleNamespace) -> Figures:
        from commands import timed, write

        dag = dags.load(name, size.scale)
        write(dags.files(tool, dag))
        dags.begin_log()
        figures = timed(dags.words(tool))
        check(len(dag), len(dags.logged()))
        return figures | {"span": dags.span_s(dag)}

    return do


ALL = [workload(path.stem) for path in sorted((dags.HERE / "dags").glob("*.json"))]
