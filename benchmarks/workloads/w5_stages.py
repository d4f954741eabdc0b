"""W5: stages of a stream, each item through all of them. The limit is one function by hand, dealt out beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import work
from workload import Figures, Workload, check

COLUMNS = {"first": "first result, of the time"}
TWO = Workload(
    "W5-two",
    "two stages, 0.3 ms an item in each",
    full={"items": 4000, "each_s": 0.0003, "stages": 2},
    quick={"items": 600, "each_s": 0.0003, "stages": 2},
    share=True,
    columns=COLUMNS,
)
THREE = Workload(
    "W5-three",
    "three stages, 0.3 ms an item on average, log-normal (σ 1)",
    full={"items": 3000, "each_s": None, "stages": 3},  # type: ignore[dict-item]
    quick={"items": 500, "each_s": None, "stages": 3},  # type: ignore[dict-item]
    share=True,
    columns=COLUMNS,
    when_quick=False,
)
STEPS = (work.first_step, work.second_step, work.third_step)


class One:
    """A stage's function with its constant, which any pool can send."""

    def __init__(self, number: int, each_s: float | None) -> None:
        self.number, self.each_s = number, each_s

    def __call__(self, x: int) -> int:
        return int(STEPS[self.number](x, self.each_s))


def steps(size: SimpleNamespace) -> list[One]:
    return [One(number, size.each_s) for number in range(size.stages)]


def both(name: str, *needs: str) -> Callable[[Callable[[SimpleNamespace], Figures]], None]:
    def add(do: Callable[[SimpleNamespace], Figures]) -> None:
        for workload in (TWO, THREE):
            if name.startswith("fused"):
                workload.limit(name)(do)
            elif name.startswith("prun"):
                workload.ours(name)(do)
            else:
                workload.peer(name, *needs)(do)

    return add


def timed(size: SimpleNamespace, go: Callable[[Iterable[int]], Iterable[int]]) -> Figures:
    """All items through all stages in warm pools, and when the first result of the last one was there."""
    work.uneven()
    list(go(range(20)))
    first = None
    count = total = 0
    began = time.perf_counter()
    for value in go(range(size.items)):
        first = first or time.perf_counter() - began
        count, total = count + 1, total + value
    seconds = time.perf_counter() - began
    _right(size, count, total)
    return {"s": seconds, "first": (first or 0.0) / seconds}


def _right(size: SimpleNamespace, count: int, total: int) -> None:
    check((count, total), (size.items, size.items * (size.items - 1) // 2 + size.items * size.stages))


@both("fused by hand, offline split")
def fused(size: SimpleNamespace) -> Figures:
    from multiprocessing import Pipe, Process

    def serve(end):
        while True:
            values = []
            for value in end.recv():
                for one in steps(size):
                    value = one(value)
                values.append(value)
            end.send(values)

    ends = []
    for _ in range(2):
        here, there = Pipe()
        Process(target=serve, args=(there,), daemon=True).start()
        ends.append(here)

    def seconds(x: int) -> float:
        if size.each_s is not None:
            return 1.0
        times = work.uneven()
        return sum(times[((x + number) * 7 + (number + 1) * 1009) % len(times)] for number in range(size.stages))

    def go(items: Iterable[int]) -> list[int]:
        parts: list[list[int]] = [[], []]
        used = [0.0, 0.0]
        for x in sorted(items, key=seconds, reverse=True):
            place = used.index(min(used))
            parts[place].append(x)
            used[place] += seconds(x)
        for end, part in zip(ends, parts, strict=True):
            end.send(part)
        return [value for end in ends for value in end.recv()]

    return timed(size, go)


def _stages(size: SimpleNamespace) -> list[Any]:
    from pipeline_runner import Stage

    given = {"with_": {"seconds": size.each_s}}
    names = [f"s{number}" for number in range(size.stages)]
    first = Stage(names[0], call=STEPS[0], over=range(size.items), **given)
    return [
        first,
        *(Stage(names[n], call=STEPS[n], over=f"${{stages.{names[n - 1]}}}", **given) for n in range(1, size.stages)),
    ]


@both("prun, journal")
def ours(size: SimpleNamespace) -> Figures:
    from ours import timed_warm

    work.uneven()
    values, seconds = timed_warm(_stages(size), range(20), Path("state"))
    _right(size, len(values), sum(values))
    return {"s": seconds, "first": _first(size)}


def _first(size: SimpleNamespace) -> float:
    """When the first value comes out of a live run, of the time until the last one does."""
    from commands import WORKERS
    from ours import Clock, warmed

    clock = Clock()
    with warmed(_stages(size), range(20)).start(workers=WORKERS, keep=(), on_event=clock, state=Path("live")) as run:
        values = iter(run[f"s{size.stages - 1}"])
        next(values)
        first = time.perf_counter()
        for _ in values:
            pass
        last = time.perf_counter()
    return (first - clock.began["s0"]) / (last - clock.began["s0"])


for workload, least in ((TWO, 0.93), (THREE, 0.95)):
    limit = "fused by hand, offline split"
    workload.target("of fused by hand, journal on", (limit, "s"), ("prun, journal", "s"), least=least)
    workload.target("first result, of the time", ("prun, journal", "first"), most=0.05, unit="")


@both("Pool.map, a barrier between")
def pool_map(size: SimpleNamespace) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:

        def go(items: Iterable[int]) -> Iterable[int]:
            for one in steps(size):
                items = pool.map(one, items)
            return items

        return timed(size, go)


@both("Pool.imap, chained, chunksize 16")
def pool_imap(size: SimpleNamespace) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:

        def go(items: Iterable[int]) -> Iterable[int]:
            for one in steps(size):
                items = pool.imap(one, items, chunksize=16)
            return items

        return timed(size, go)


@both("ProcessPoolExecutor.map, chunksize 16")
def executor(size: SimpleNamespace) -> Figures:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:

        def go(items: Iterable[int]) -> Iterable[int]:
            for one in steps(size):
                items = list(pool.map(one, items, chunksize=16))
            return items

        return timed(size, go)


@both("joblib", "joblib")
def joblib(size: SimpleNamespace) -> Figures:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=2) as pool:

        def go(items: Iterable[int]) -> Iterable[int]:
            for one in steps(size):
                items = pool(delayed(one)(x) for x in items)
            return items

        return timed(size, go)


@both("mpire", "mpire")
def mpire(size: SimpleNamespace) -> Figures:
    from mpire import WorkerPool

    with WorkerPool(2) as pool:

        def go(items: Iterable[int]) -> Iterable[int]:
            for one in steps(size):
                items = pool.map(one, list(items))
            return items

        return timed(size, go)


@both("pypeln", "pypeln")
def pypeln(size: SimpleNamespace) -> Figures:
    import pypeln

    def go(items: Iterable[int]) -> Iterable[int]:
        for one in steps(size):
            items = pypeln.process.map(one, items, workers=1 if size.stages == 2 else 2, maxsize=64)
        return items

    return timed(size, go)


@both("dask.bag", "dask")
def dask_bag(size: SimpleNamespace) -> Figures:
    import dask
    import dask.bag
    from dask.multiprocessing import get

    with dask.config.set(scheduler=get, num_workers=2):

        def go(items: Iterable[int]) -> Iterable[int]:
            bag = dask.bag.from_sequence(items)
            for one in steps(size):
                bag = bag.map(one)
            values: list[int] = bag.compute()
            return values

        return timed(size, go)


@both("ray, batched by 50", "ray")
def ray(size: SimpleNamespace) -> Figures:
    import ray
    from workloads._peers import ray_here

    with ray_here():
        calls = [ray.remote(lambda part, one=one: [one(x) for x in part]) for one in steps(size)]

        def go(items: Iterable[int]) -> Iterable[int]:
            given = list(items)
            refs = [given[at : at + 50] for at in range(0, len(given), 50)]
            for call in calls:
                refs = [call.remote(ref) for ref in refs]
            return [value for ref in refs for value in ray.get(ref)]

        return timed(size, go)
