"""W1: items that cost nothing, so that only the runner is measured; pools warm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import work
from workload import Figures, Workload, check

W1 = Workload(
    "W1-items",
    "no-op items through warm pools",
    full={"items": 100_000},
    quick={"items": 10_000},
    share=True,
    columns={"part": "of the items"},
)
REPEATS = 3  # in one process, after a first time that is not counted


def timed(go: Callable[[int], Iterable[int]], items: int, part: float = 1.0) -> Figures:
    """The middle of some repeats, scaled up where a slow way was given only a part of the items."""
    some = max(100, int(items * part))
    go(min(some, 1000))
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        values = list(go(some))
        seconds.append(time.perf_counter() - began)
        check(sum(values), some * (some - 1) // 2)
    return {"s": sorted(seconds)[REPEATS // 2] * items / some, "part": some / items}


@W1.limit("bare pipe")
def bare_pipe(size: SimpleNamespace) -> Figures:
    """Two processes and a pipe to each, lists of items there and back: nothing but pickling and pipes."""
    from multiprocessing import Pipe, Process

    def serve(end):
        while (part := end.recv()) is not None:
            end.send(list(map(work.same, part)))

    ends = []
    for _ in range(2):
        here, there = Pipe()
        Process(target=serve, args=(there,), daemon=True).start()
        ends.append(here)

    def go(items: int) -> list[int]:
        values: list[int] = []
        parts = [range(items)[at : at + 6250] for at in range(0, items, 6250)]
        for at, part in enumerate(parts):
            if at >= 4:  # two are under way for each
                values += ends[at % 2].recv()
            ends[at % 2].send(list(part))
        for at in range(max(0, len(parts) - 4), len(parts)):
            values += ends[at % 2].recv()
        return values

    return timed(go, size.items)


def _ours(size: SimpleNamespace, state: Path | None) -> Figures:
    """As peers are: the middle of some repeats in one process. Each is a run, with a pool and a journal of its own."""
    from ours import timed_warm

    from pipeline_runner import Stage

    seconds = []
    for number, items in enumerate([1000, *[size.items] * REPEATS]):
        stage = Stage("work", call=work.same, over=range(items))
        values, took = timed_warm([stage], range(1000), state and state / str(number))
        check(sum(values), items * (items - 1) // 2)
        seconds.append(took)
    return {"s": sorted(seconds[1:])[REPEATS // 2], "part": 1.0}


@W1.ours("prun, no journal")
def ours(size: SimpleNamespace) -> Figures:
    return _ours(size, None)


@W1.ours("prun, journal")
def ours_kept(size: SimpleNamespace) -> Figures:
    return _ours(size, Path("state"))


TUNED = ("Pool.map, chunksize tuned", "s")
W1.target("no journal, of a tuned Pool.map", TUNED, ("prun, no journal", "s"), least=0.75)
W1.target("with the journal, of a tuned Pool.map", TUNED, ("prun, journal", "s"), least=0.5)


@W1.peer(TUNED[0], rival=True)
def pool_map(size: SimpleNamespace) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:
        return timed(lambda items: pool.map(work.same, range(items), chunksize=max(1, items // 16)), size.items)


@W1.peer("Pool.map")
def pool_map_as_is(size: SimpleNamespace) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:
        return timed(lambda items: pool.map(work.same, range(items)), size.items)


@W1.peer("Pool.imap, chunksize tuned")
def pool_imap(size: SimpleNamespace) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:
        return timed(lambda items: pool.imap(work.same, range(items), chunksize=max(1, items // 32)), size.items)


@W1.peer("Pool.imap")
def pool_imap_as_is(size: SimpleNamespace) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:
        return timed(lambda items: pool.imap(work.same, range(items)), size.items, 0.2)


@W1.peer("Pool.apply_async")
def apply_async(size: SimpleNamespace) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:
        go = lambda items: [got.get() for got in [pool.apply_async(work.same, (i,)) for i in range(items)]]  # noqa: E731
        return timed(go, size.items, 0.1)


@W1.peer("ProcessPoolExecutor.map, chunksize tuned")
def executor_map(size: SimpleNamespace) -> Figures:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        return timed(lambda items: pool.map(work.same, range(items), chunksize=max(1, items // 16)), size.items)


@W1.peer("ProcessPoolExecutor.map")
def executor_as_is(size: SimpleNamespace) -> Figures:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        return timed(lambda items: pool.map(work.same, range(items)), size.items, 0.02)


@W1.peer("loky, chunksize tuned", "loky")
def loky(size: SimpleNamespace) -> Figures:
    from loky import get_reusable_executor

    pool = get_reusable_executor(max_workers=2)
    return timed(lambda items: pool.map(work.same, range(items), chunksize=max(1, items // 16)), size.items)


@W1.peer("joblib", "joblib")
def joblib(size: SimpleNamespace) -> Figures:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=2) as pool:
        return timed(lambda items: pool(delayed(work.same)(i) for i in range(items)), size.items, 0.5)


@W1.peer("pathos ProcessPool.map", "pathos")
def pathos(size: SimpleNamespace) -> Figures:
    from pathos.pools import ProcessPool

    pool = ProcessPool(2)
    return timed(lambda items: pool.map(work.same, range(items)), size.items, 0.5)


@W1.peer("pathos ProcessPool.imap", "pathos")
def pathos_imap(size: SimpleNamespace) -> Figures:
    from pathos.pools import ProcessPool

    pool = ProcessPool(2)
    return timed(lambda items: pool.imap(work.same, range(items)), size.items, 0.2)


@W1.peer("mpire", "mpire")
def mpire(size: SimpleNamespace) -> Figures:
    from mpire import WorkerPool

    with WorkerPool(2, keep_alive=True) as pool:
        return timed(lambda items: pool.map(work.same, range(items)), size.items)


@W1.peer("pebble, chunksize tuned", "pebble")
def pebble(size: SimpleNamespace) -> Figures:
    from pebble import ProcessPool

    with ProcessPool(2) as pool:
        return timed(
            lambda items: pool.map(work.same, range(items), chunksize=max(1, items // 16)).result(), size.items
        )


@W1.peer("dask.bag", "dask")
def dask_bag(size: SimpleNamespace) -> Figures:
    import dask
    import dask.bag
    from dask.multiprocessing import get

    with dask.config.set(scheduler=get, num_workers=2):
        bag = lambda items: dask.bag.from_sequence(range(items), npartitions=16).map(work.same)  # noqa: E731
        return timed(lambda items: bag(items).compute(), size.items)


@W1.peer("dask.distributed", "distributed")
def distributed(size: SimpleNamespace) -> Figures:
    from dask.distributed import Client

    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        return timed(lambda items: client.gather(client.map(work.same, range(items))), size.items, 0.01)


@W1.peer("ray, batched by 2,000", "ray")
def ray_batched(size: SimpleNamespace) -> Figures:
    import ray
    from workloads._peers import ray_here

    with ray_here():
        many = ray.remote(lambda part: [work.same(x) for x in part])

        def go(items: int) -> list[int]:
            parts = ray.get([many.remote(range(items)[at : at + 2000]) for at in range(0, items, 2000)])
            return [value for part in parts for value in part]

        return timed(go, size.items)


@W1.peer("ray", "ray")
def ray(size: SimpleNamespace) -> Figures:
    import ray
    from workloads._peers import ray_here

    with ray_here():
        one = ray.remote(work.same)
        return timed(lambda items: ray.get([one.remote(i) for i in range(items)]), size.items, 0.01)


METHODS = Workload(
    "W1-methods",
    "the same on every parallel method of processes, no journal: the slowest of them",
    full={"items": 100_000},
    quick={"items": 3_000},
    share=True,
    columns={"methods": "methods", "middle": "s, the middle one"},
    times=1,
    timeout_s=180,
)
METHODS.limit("bare pipe")(bare_pipe)


@METHODS.ours("prun, the slowest method")
def every_method(size: SimpleNamespace) -> Figures:
    from ours import timed_warm

    from pipeline_runner import Stage
    from pipeline_runner.axes import Style
    from pipeline_runner.backends import table

    seconds: dict[str, float] = {}
    for method in table():
        if not method.parallel or table().owners[method.name].in_process:
            continue
        rows = method.style in (Style.SINGLE, Style.STAR)
        over, before = (
            [[item] for item in range(items)] if rows else [range(items)] if method.style is Style.ZIP else range(items)
            for items in (size.items, 1000)
        )
        stage = Stage("work", call=work.same, over=over, args=str(method.style), method=method.name)
        values, seconds[method.name] = timed_warm([stage], before)
        check(sum(values), size.items * (size.items - 1) // 2)
    slowest = max(seconds, key=lambda name: seconds[name])
    middle = sorted(seconds.values())[len(seconds) // 2]
    return {"s": seconds[slowest], "methods": len(seconds), "middle": middle, "note": slowest}


METHODS.target("the slowest method, of a bare pipe", ("bare pipe", "s"), ("prun, the slowest method", "s"), least=0.75)


WHOLE = Workload(
    "W1-process",
    "no-op items, the whole process from `python` or `prun` to its end, journal on",
    full={"items": 500_000},
    quick={"items": 20_000},
)
BY_HAND = """
from multiprocessing import Pool
from work import same
if __name__ == "__main__":
    with Pool(2) as pool:
        values = pool.map(same, range({items}), chunksize=max(1, {items} // 16))
    print(len(values), sum(values))
"""


@WHOLE.limit("by hand with Pool.map, chunksize tuned")
def by_hand(size: SimpleNamespace) -> Figures:
    from commands import said, script

    figures = script(BY_HAND.format(items=size.items))
    check(said().split(), [str(size.items), str(size.items * (size.items - 1) // 2)])
    return figures


@WHOLE.ours("prun pipeline.yaml")
def whole(size: SimpleNamespace) -> Figures:
    from commands import said
    from ours import lay, run_file

    lay({"work": {"call": "work:same", "over": {"range": size.items}}})
    figures = run_file()
    check(said()[:16], "work: [0, 1, 2, ")
    return figures


@WHOLE.ours("prun pipeline.yaml, and a stage that adds them up")
def whole_added(size: SimpleNamespace) -> Figures:
    from commands import said
    from ours import lay, run_file

    add = {"call": "builtins:sum", "with": ["${stages.work}"]}
    lay({"work": {"call": "work:same", "over": {"range": size.items}}, "add": add})
    figures = run_file()
    check(said().split(), ["add:", str(size.items * (size.items - 1) // 2)])
    return figures


WHOLE.target(
    "prun, journal on, × by hand",
    ("prun pipeline.yaml", "s"),
    ("by hand with Pool.map, chunksize tuned", "s"),
    most=1.5,
)
