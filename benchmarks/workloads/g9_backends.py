"""G9: Dask and Ray as backends, beside the same work written for these libraries."""

from __future__ import annotations

import time
from collections.abc import Callable

import work
from workload import Figures, NotThere, Workload, check


def workload(keyword: str, package: str, by_hand: Callable[[list[float]], Figures]) -> Workload:
    found = Workload(
        f"G9-{keyword}",
        f"500 tasks of 5 ms through {keyword}",
        full={"tasks": 500, "each_s": 0.005},
        quick={"tasks": 40, "each_s": 0.002},
        times=3,
    )
    ours, peer = f"prun, backend: {keyword}", f"{keyword} by hand"
    found.ours(ours)(lambda size: _ours(keyword, [size.each_s] * size.tasks))
    found.peer(peer, package, rival=True)(lambda size: by_hand([size.each_s] * size.tasks))
    found.target(f"÷ the same written for {keyword}", (ours, "s"), (peer, "s"), most=1.03)
    return found


def _ours(keyword: str, tasks: list[float]) -> Figures:
    from ours import timed_warm

    from pipeline_runner import Stage
    from pipeline_runner.backends import table

    if keyword not in table().keywords:
        raise NotThere(f"there is no backend {keyword} yet")
    values, seconds = timed_warm([Stage("work", call=work.spin, over=tasks, backend=keyword)], [0.001] * 20)
    check(list(values), tasks)
    return {"s": seconds}


def _timed(go: Callable[[list[float]], list[float]], tasks: list[float]) -> Figures:
    go([0.001] * 20)
    began = time.perf_counter()
    values = go(tasks)
    seconds = time.perf_counter() - began
    check(values, tasks)
    return {"s": seconds}


def dask(tasks: list[float]) -> Figures:
    from dask.distributed import Client

    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        return _timed(lambda given: client.gather(client.map(work.spin, given, pure=False)), tasks)


def ray(tasks: list[float]) -> Figures:
    import ray
    from workloads._peers import ray_here

    with ray_here():
        one = ray.remote(work.spin)
        return _timed(lambda given: ray.get([one.remote(seconds) for seconds in given]), tasks)


ALL = [workload("dask", "distributed", dask), workload("ray", "ray", ray)]
