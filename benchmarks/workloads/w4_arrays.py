"""W4: large arrays to the workers, and back. The limit is to copy the same bytes once within memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import work
from workload import Figures, Workload, check

SIZES = {"full": {"arrays": 64, "mib": 32}, "quick": {"arrays": 8, "mib": 4}}
SUM = Workload(
    "W4-sum",
    "64 arrays of 32 MiB, each call returns the sum; pools warm",
    share=True,
    weigh=True,
    timeout_s=150,
    **SIZES,
)
BACK = Workload(
    "W4-back",
    "64 arrays of 32 MiB, each call returns the array",
    share=True,
    weigh=True,
    timeout_s=150,
    times=3,
    when_quick=False,
    **SIZES,
)


def arrays(size: SimpleNamespace) -> list[Any]:
    import numpy

    return [numpy.full(size.mib << 17, number, "float64") for number in range(size.arrays)]


def right(values: Iterable[Any], size: SimpleNamespace) -> None:
    """Each value once, looked at as far as that costs nothing."""
    seen = [float(value) / (size.mib << 17) if isinstance(value, float) else float(value[-1]) for value in values]
    check(sorted(seen), [float(number) for number in range(size.arrays)])


def both(name: str, *needs: str, rival: bool = False) -> Callable[[Callable[..., Figures]], None]:
    def add(do: Callable[..., Figures]) -> None:
        for workload, function in ((SUM, work.total), (BACK, work.back)):
            way = lambda size, function=function: do(size, function)  # noqa: E731
            if name == "memcpy":
                workload.limit(name)(way)
            elif name.startswith("prun"):
                workload.ours(name)(way)
            else:
                workload.peer(name, "numpy", *needs, rival=rival)(way)

    return add


def timed(size: SimpleNamespace, go: Callable[[list[Any]], Iterable[Any]]) -> Figures:
    """All values are at hand at the end, as they are in our result."""
    given = arrays(size)
    list(go([array[:10] for array in given[:4]]))
    began = time.perf_counter()
    values = list(go(given))
    seconds = time.perf_counter() - began
    right(values, size)
    return {"s": seconds}


@both("memcpy")
def memcpy(size: SimpleNamespace, function: object) -> Figures:
    import numpy

    given = arrays(size)
    slots = [numpy.zeros_like(given[0]) for _ in range(4)]
    for slot in slots:
        slot[:] = 1
    began = time.perf_counter()
    for number, array in enumerate(given):
        numpy.copyto(slots[number % 4], array)
    return {"s": time.perf_counter() - began}


@both("prun")
def ours(size: SimpleNamespace, function: Any) -> Figures:
    from ours import timed_warm

    from pipeline_runner import Stage

    given = arrays(size)
    values, seconds = timed_warm([Stage("work", call=function, over=given)], [array[:10] for array in given[:4]])
    right(values, size)
    return {"s": seconds}


@both("Pool.imap")
def pool_imap(size: SimpleNamespace, function: Any) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:
        return timed(size, lambda given: pool.imap(function, given))


@both("ProcessPoolExecutor.map")
def executor(size: SimpleNamespace, function: Any) -> Figures:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        return timed(size, lambda given: pool.map(function, given))


@both("mpire", "mpire")
def mpire(size: SimpleNamespace, function: Any) -> Figures:
    from mpire import WorkerPool

    with WorkerPool(2, keep_alive=True) as pool:
        return timed(size, lambda given: pool.imap(function, given, chunk_size=1))


@both("joblib, memory-mapped", "joblib", rival=True)
def joblib(size: SimpleNamespace, function: Any) -> Figures:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=2) as pool:
        return timed(size, lambda given: pool(delayed(function)(array) for array in given))


@both("ray", "ray", rival=True)
def ray(size: SimpleNamespace, function: Any) -> Figures:
    import ray
    from workloads._peers import ray_here

    with ray_here():
        one = ray.remote(function)
        return timed(size, lambda given: [ray.get(ref) for ref in [one.remote(array) for array in given]])


@both("dask.distributed, scatter", "distributed")
def distributed(size: SimpleNamespace, function: Any) -> Figures:
    from dask.distributed import Client

    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        go = lambda given: client.gather(client.map(function, client.scatter(given, hash=False)))  # noqa: E731
        return timed(size, go)


SUM.target("of memcpy", ("memcpy", "s"), ("prun", "s"), least=0.6)
BACK.target("of memcpy", ("memcpy", "s"), ("prun", "s"), least=0.33)
for name in ("joblib, memory-mapped", "ray"):
    SUM.target(f"times as fast as {name}", (name, "s"), ("prun", "s"), least=2.5)
BACK.target("times as fast as ray", ("ray", "s"), ("prun", "s"), least=2.5)


STREAM = Workload(
    "W4-stream",
    "arrays made by a generator, returned, read one by one and dropped: how much memory is held at once",
    full={"arrays": 64, "mib": 32},
    quick={"arrays": 8, "mib": 4},
    weigh=True,
    columns={"arrays_held": "arrays held"},
    times=2,
)


@STREAM.ours("prun, a live stream")
def ours_stream(size: SimpleNamespace) -> Figures:
    import numpy
    from commands import WORKERS

    from pipeline_runner import Pipeline, Stage

    made = (numpy.full(size.mib << 17, number, "float64") for number in range(size.arrays))
    began = time.perf_counter()
    with Pipeline("stream", [Stage("work", call=work.back, over=made)]).start(workers=WORKERS, keep=()) as run:
        seen = [float(value[-1]) for value in run["work"]]
    seconds = time.perf_counter() - began
    check(sorted(seen), [float(number) for number in range(size.arrays)])
    return {"s": seconds, "window_mb": 4 * WORKERS * size.mib * 1.048576 + 150}


STREAM.target(
    "peak of the tree, of window × array + 150 MB of Python",
    ("prun, a live stream", "pss_mb"),
    ("prun, a live stream", "window_mb"),
    most=1.0,
)
