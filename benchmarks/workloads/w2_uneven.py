"""W2: tasks of very different lengths. Whoever deals them out badly has one worker idle at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import work
from workload import Figures, Workload, check

SIZES = {"full": {"tasks": 1000, "mean_s": 0.003}, "quick": {"tasks": 300, "mean_s": 0.001}}
RANDOM = Workload("W2-random", "log-normal tasks (σ 2, 3 ms on average) in random order", share=True, **SIZES)
ASCENDING = Workload("W2-ascending", "the same tasks, the longest at the end", share=True, when_quick=False, **SIZES)
Go = Callable[[list[float]], Iterable[float]]


def times(size: SimpleNamespace, ascending: bool) -> list[float]:
    drawn = work.log_normal(size.tasks, size.mean_s, 2.0)
    return sorted(drawn) if ascending else drawn


def both(name: str, *needs: str) -> Callable[[Callable[[list[float]], Figures]], None]:
    """A way through both workloads."""

    def add(do: Callable[[list[float]], Figures]) -> None:
        for workload, ascending in ((RANDOM, False), (ASCENDING, True)):
            way = lambda size, ascending=ascending: do(times(size, ascending))  # noqa: E731
            if name == "offline split":
                workload.limit(name)(way)
            elif name.startswith("prun"):
                workload.ours(name)(way)
            else:
                workload.peer(name, *needs)(way)

    return add


def timed(go: Go, tasks: list[float]) -> Figures:
    """The tasks once, in a pool that is warm."""
    list(go([0.001] * 20))
    began = time.perf_counter()
    values = list(go(tasks))
    seconds = time.perf_counter() - began
    check(sorted(values), sorted(tasks))
    return {"s": seconds}


def dealt_out(tasks: list[float]) -> Figures:
    """Who knows all times deals out the longest first, before anything runs."""
    from multiprocessing import Pipe, Process

    def serve(end):
        while True:
            end.send([work.spin(seconds) for seconds in end.recv()])

    ends = []
    for _ in range(2):
        here, there = Pipe()
        Process(target=serve, args=(there,), daemon=True).start()
        ends.append(here)

    def go(given: list[float]) -> list[float]:
        parts: list[list[float]] = [[], []]
        for seconds in sorted(given, reverse=True):
            min(parts, key=sum).append(seconds)
        for end, part in zip(ends, parts, strict=True):
            end.send(part)
        return [value for end in ends for value in end.recv()]

    return timed(go, tasks)


both("offline split")(dealt_out)


def _ours(tasks: list[float], state: Path | None = None) -> Figures:
    from ours import timed_warm

    from pipeline_runner import Stage

    values, seconds = timed_warm([Stage("work", call=work.spin, over=tasks)], [0.001] * 50, state)
    check(sorted(values), sorted(tasks))
    return {"s": seconds}


@both("prun")
def ours(tasks: list[float]) -> Figures:
    return _ours(tasks)


@both("prun, journal")
def ours_kept(tasks: list[float]) -> Figures:
    return _ours(tasks, Path("state"))


@both("prun, after a run that recorded the times")
def ours_again(tasks: list[float]) -> Figures:
    _ours(tasks, Path("state"))
    return _ours(tasks, Path("state"))


RANDOM.target("of the offline split, times unknown", ("offline split", "s"), ("prun", "s"), least=0.97)
ASCENDING.target("of the offline split, times unknown", ("offline split", "s"), ("prun", "s"), least=0.92)
ASCENDING.target(
    "of the offline split, times recorded",
    ("offline split", "s"),
    ("prun, after a run that recorded the times", "s"),
    least=0.97,
)


@both("Pool.map")
def pool_map(tasks: list[float]) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:
        return timed(lambda given: pool.map(work.spin, given), tasks)


@both("Pool.imap_unordered, chunksize 1")
def pool_imap(tasks: list[float]) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:
        return timed(lambda given: pool.imap_unordered(work.spin, given), tasks)


@both("ProcessPoolExecutor.map, chunksize 1")
def executor(tasks: list[float]) -> Figures:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        return timed(lambda given: pool.map(work.spin, given), tasks)


@both("loky", "loky")
def loky(tasks: list[float]) -> Figures:
    from loky import get_reusable_executor

    pool = get_reusable_executor(max_workers=2)
    return timed(lambda given: pool.map(work.spin, given), tasks)


@both("joblib", "joblib")
def joblib(tasks: list[float]) -> Figures:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=2) as pool:
        return timed(lambda given: pool(delayed(work.spin)(seconds) for seconds in given), tasks)


@both("pathos ProcessPool.uimap", "pathos")
def pathos(tasks: list[float]) -> Figures:
    from pathos.pools import ProcessPool

    pool = ProcessPool(2)
    return timed(lambda given: pool.uimap(work.spin, given), tasks)


@both("mpire", "mpire")
def mpire(tasks: list[float]) -> Figures:
    from mpire import WorkerPool

    with WorkerPool(2, keep_alive=True) as pool:
        return timed(lambda given: pool.map(work.spin, given), tasks)


@both("pebble", "pebble")
def pebble(tasks: list[float]) -> Figures:
    from pebble import ProcessPool

    with ProcessPool(2) as pool:
        return timed(lambda given: pool.map(work.spin, given).result(), tasks)


@both("pypeln", "pypeln")
def pypeln(tasks: list[float]) -> Figures:
    import pypeln

    return timed(lambda given: pypeln.process.map(work.spin, given, workers=2, maxsize=8), tasks)


@both("dask.bag", "dask")
def dask_bag(tasks: list[float]) -> Figures:
    import dask
    import dask.bag
    from dask.multiprocessing import get

    with dask.config.set(scheduler=get, num_workers=2):
        return timed(lambda given: dask.bag.from_sequence(given).map(work.spin).compute(), tasks)


@both("dask.distributed", "distributed")
def distributed(tasks: list[float]) -> Figures:
    from dask.distributed import Client

    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        return timed(lambda given: client.gather(client.map(work.spin, given, pure=False)), tasks)


@both("ray", "ray")
def ray(tasks: list[float]) -> Figures:
    import ray
    from workloads._peers import ray_here

    with ray_here():
        one = ray.remote(work.spin)
        return timed(lambda given: ray.get([one.remote(seconds) for seconds in given]), tasks)
