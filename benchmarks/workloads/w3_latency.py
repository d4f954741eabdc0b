"""W3: how long one call takes, there and back: in a pool that is warm, and from nothing."""

from __future__ import annotations

import queue
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace

import work
from workload import Figures, Workload, check

WARM = Workload(
    "W3-warm",
    "one call, from handing it in until its result is there, pool warm (median of many)",
    full={"calls": 500},
    quick={"calls": 50},
    timeout_s=30,
)


def timed(call: Callable[[int], int], calls: int) -> Figures:
    for number in range(20):
        call(number)
    seconds = []
    for number in range(calls):
        began = time.perf_counter()
        value = call(number)
        seconds.append(time.perf_counter() - began)
        check(value, number)
    return {"s": statistics.median(seconds)}


@WARM.limit("bare pipe")
def bare_pipe(size: SimpleNamespace) -> Figures:
    from multiprocessing import Pipe, Process

    def serve(end):
        while True:
            end.send(work.same(end.recv()))

    here, there = Pipe()
    Process(target=serve, args=(there,), daemon=True).start()

    def call(number: int) -> int:
        here.send(number)
        value: int = here.recv()
        return value

    return timed(call, size.calls)


@WARM.ours("prun, a live stream")
def live(size: SimpleNamespace) -> Figures:
    return _live(size)


@WARM.ours("prun, a live stream, chunk: 1")
def live_one_by_one(size: SimpleNamespace) -> Figures:
    return _live(size, chunk=1)


def _live(size: SimpleNamespace, **keys: object) -> Figures:
    """A generator hands an item in when there is one; its value comes out of the live iterator."""
    from commands import WORKERS

    from pipeline_runner import Pipeline, Stage

    waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    stage = Stage("work", call=work.same, over=iter(waiting.get, None), **keys)
    with Pipeline("live", [stage]).start(workers=WORKERS) as run:
        values = iter(run["work"])

        def call(number: int) -> int:
            waiting.put(number)
            value: int = next(values)
            return value

        figures = timed(call, size.calls)
        waiting.put(None)
        check(list(values), [])
    return figures


@WARM.peer("Pool.apply", rival=True)
def pool_apply(size: SimpleNamespace) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:
        return timed(lambda number: pool.apply(work.same, (number,)), size.calls)


for way in ("prun, a live stream", "prun, a live stream, chunk: 1"):
    WARM.target(f"{way}, × Pool.apply", (way, "s"), ("Pool.apply", "s"), most=1.3)


@WARM.peer("ProcessPoolExecutor.submit")
def executor(size: SimpleNamespace) -> Figures:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        return timed(lambda number: pool.submit(work.same, number).result(), size.calls)


@WARM.peer("loky", "loky")
def loky(size: SimpleNamespace) -> Figures:
    from loky import get_reusable_executor

    pool = get_reusable_executor(max_workers=2)
    return timed(lambda number: pool.submit(work.same, number).result(), size.calls)


@WARM.peer("pebble", "pebble")
def pebble(size: SimpleNamespace) -> Figures:
    from pebble import ProcessPool

    with ProcessPool(2) as pool:
        return timed(lambda number: pool.submit(work.same, None, number).result(), size.calls)


@WARM.peer("pathos ProcessPool.pipe", "pathos")
def pathos(size: SimpleNamespace) -> Figures:
    from pathos.pools import ProcessPool

    pool = ProcessPool(2)
    return timed(lambda number: pool.pipe(work.same, number), size.calls)


@WARM.peer("ppft", "ppft")
def ppft(size: SimpleNamespace) -> Figures:
    import ppft

    server = ppft.Server(2, ppservers=())
    return timed(lambda number: server.submit(work.same, (number,))(), size.calls)


@WARM.peer("mpire", "mpire")
def mpire(size: SimpleNamespace) -> Figures:
    from mpire import WorkerPool

    with WorkerPool(2, keep_alive=True) as pool:
        return timed(lambda number: pool.apply(work.same, (number,)), size.calls)


@WARM.peer("joblib", "joblib")
def joblib(size: SimpleNamespace) -> Figures:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=2) as pool:
        return timed(lambda number: pool([delayed(work.same)(number)])[0], size.calls)


@WARM.peer("dask.distributed", "distributed")
def distributed(size: SimpleNamespace) -> Figures:
    from dask.distributed import Client

    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        return timed(lambda number: client.submit(work.same, number, pure=False).result(), size.calls // 5)


@WARM.peer("ray", "ray")
def ray(size: SimpleNamespace) -> Figures:
    import ray
    from workloads._peers import ray_here

    with ray_here():
        one = ray.remote(work.same)
        return timed(lambda number: ray.get(one.remote(number)), size.calls)


COLD = Workload(
    "W3-cold",
    "one call and its result, the whole process from `python` or `prun` to its end",
    full={"calls": 1},
    quick={"calls": 1},
    columns={"cpu_s": "CPU, s"},
)


def cold(name: str, text: str, *needs: str) -> None:
    """A script that makes one call on two workers and prints what it gave."""

    def do(size: SimpleNamespace) -> Figures:
        from commands import said, script

        figures = script(text)
        check(said().split()[-1:], ["7"])
        return figures

    (COLD.limit(name) if not needs and name == "Pool(2)" else COLD.peer(name, *needs))(do)


MAIN = 'if __name__ == "__main__":\n    '
SAME = f"from work import same\n{MAIN}"
DASK = "with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as c: print(c.submit(same, 7).result())"
PARSL = f"""
import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider
{SAME}here = LocalProvider(init_blocks=1, max_blocks=1)
    pool = HighThroughputExecutor(max_workers_per_node=2, cores_per_worker=1, address="127.0.0.1", provider=here)
    with parsl.load(Config(executors=[pool], initialize_logging=False)): print(parsl.python_app(same)(7).result())
"""
cold("Pool(2)", f"from multiprocessing import Pool\n{SAME}with Pool(2) as p: print(p.apply(same, (7,)))")
cold(
    "Pool(2), spawn",
    f"from multiprocessing import get_context\n"
    f'{SAME}with get_context("spawn").Pool(2) as p: print(p.apply(same, (7,)))',
)
cold(
    "ProcessPoolExecutor(2)",
    f"from concurrent.futures import ProcessPoolExecutor\n"
    f"{SAME}with ProcessPoolExecutor(2) as p: print(p.submit(same, 7).result())",
)
cold("pathos", f"from pathos.pools import ProcessPool\n{SAME}print(ProcessPool(2).pipe(same, 7))", "pathos")
cold(
    "pebble",
    f"from pebble import ProcessPool\n{SAME}with ProcessPool(2) as p: print(p.submit(same, None, 7).result())",
    "pebble",
)
cold("mpire", f"from mpire import WorkerPool\n{SAME}with WorkerPool(2) as p: print(p.map(same, [7])[0])", "mpire")
cold(
    "loky",
    f"from loky import get_reusable_executor\n"
    f"{SAME}print(get_reusable_executor(max_workers=2).submit(same, 7).result())",
    "loky",
)
cold(
    "joblib",
    f"from joblib import Parallel, delayed\n{SAME}print(Parallel(n_jobs=2)([delayed(same)(7), delayed(same)(8)])[0])",
    "joblib",
)
cold("dask.distributed", f"from dask.distributed import Client\n{SAME}{DASK}", "distributed")
cold(
    "ray",
    f"import ray\nfrom workloads._peers import ray_here\n"
    f"{SAME}with ray_here(): print(ray.get(ray.remote(same).remote(7)))",
    "ray",
)
cold("parsl", PARSL, "parsl")


@COLD.ours("prun, a file that is new")
def ours(size: SimpleNamespace) -> Figures:
    return _prun(repeat=False)


@COLD.ours("prun, the file unchanged since an earlier run")
def ours_again(size: SimpleNamespace) -> Figures:
    return _prun(repeat=True)


def _prun(repeat: bool) -> Figures:
    from commands import said
    from ours import lay, run_file

    lay({"work": {"call": "work:same", "with": [7]}})
    if repeat:
        run_file()
    figures = run_file()
    check(said().split(), ["work:", "7"])
    return figures


COLD.target("× the script with Pool(2)", ("prun, a file that is new", "s"), ("Pool(2)", "s"), most=2.5)
COLD.target(
    "× it when the file is unchanged",
    ("prun, the file unchanged since an earlier run", "s"),
    ("Pool(2)", "s"),
    most=1.5,
)
