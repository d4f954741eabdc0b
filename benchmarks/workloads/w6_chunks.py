"""W6: a size of chunks that nobody sets, against the best that somebody finds by trying several on the very work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace

import work
from workload import Figures, Workload, check
from workloads.w2_uneven import dealt_out

COLUMNS = {"chunk": "calls in a chunk"}
EVEN = Workload(
    "W6-even",
    "chunks: 4,000 tasks of 0.3 ms",
    full={"tasks": 4000, "mean_s": 0.0003, "sigma": 0},
    quick={"tasks": 600, "mean_s": 0.0003, "sigma": 0},
    share=True,
    columns=COLUMNS,
)
UNEVEN = Workload(
    "W6-uneven",
    "chunks: 1,000 log-normal tasks (σ 2, 1.5 ms on average) in random order",
    full={"tasks": 1000, "mean_s": 0.0015, "sigma": 2},
    quick={"tasks": 300, "mean_s": 0.0005, "sigma": 2},
    share=True,
    columns=COLUMNS,
    when_quick=False,
)
TRIED = (1, 4, 16, 64, 256)
Go = Callable[[list[float], int], Iterable[float]]


def times(size: SimpleNamespace) -> list[float]:
    return work.log_normal(size.tasks, size.mean_s, size.sigma) if size.sigma else [size.mean_s] * size.tasks


def best_of(go: Go, tasks: list[float]) -> Figures:
    """What the size gives that is the best when each is tried once."""
    seconds = {chunk: _timed(go, tasks, chunk) for chunk in TRIED}
    best = min(seconds, key=lambda chunk: seconds[chunk])
    return {"s": _timed(go, tasks, best), "chunk": best}


def _timed(go: Go, tasks: list[float], chunk: int) -> float:
    began = time.perf_counter()
    values = list(go(tasks, chunk))
    seconds = time.perf_counter() - began
    check(sorted(values), sorted(tasks))
    return seconds


def _by_prun(tasks: list[float], **keys: int) -> float:
    from ours import timed_warm

    from pipeline_runner import Stage

    values, seconds = timed_warm([Stage("work", call=work.spin, over=tasks, **keys)], [0.001] * 20)
    check(sorted(values), sorted(tasks))
    return seconds


def add(workload: Workload, least: float) -> None:
    limit, auto = "offline split", "prun, chunk: auto"
    by_map, by_imap, by_us = (
        f"{way} tuned by hand" for way in ("Pool.map, chunksize", "Pool.imap_unordered, chunksize", "prun, chunk")
    )
    workload.limit(limit)(lambda size: dealt_out(times(size)))

    @workload.ours(auto)
    def ours(size: SimpleNamespace) -> Figures:
        return {"s": _by_prun(times(size))}

    @workload.ours(by_us)
    def tuned(size: SimpleNamespace) -> Figures:
        tasks = times(size)
        seconds = {chunk: _by_prun(tasks, chunk=chunk) for chunk in TRIED}
        best = min(seconds, key=lambda chunk: seconds[chunk])
        return {"s": _by_prun(tasks, chunk=best), "chunk": best}

    @workload.peer(by_map, rival=True)
    def pool_map(size: SimpleNamespace) -> Figures:
        from multiprocessing import Pool

        with Pool(2) as pool:
            pool.map(work.spin, [0.001] * 20)
            return best_of(lambda tasks, chunk: pool.map(work.spin, tasks, chunksize=chunk), times(size))

    @workload.peer(by_imap, rival=True)
    def pool_imap(size: SimpleNamespace) -> Figures:
        from multiprocessing import Pool

        with Pool(2) as pool:
            pool.map(work.spin, [0.001] * 20)
            return best_of(lambda tasks, chunk: pool.imap_unordered(work.spin, tasks, chunksize=chunk), times(size))

    for way in (by_us, by_map, by_imap):
        workload.target(f"chunk: auto, of {way}", (way, "s"), (auto, "s"), least=least)


add(EVEN, 0.98)
add(UNEVEN, 1.0)
