"""W9: the shortest task at which half of the machine still does useful work (METG(50 %), Slaughter et al., SC20).

A stencil in one dimension, four cells wide: each cell of a step reads three of the step before. The same is run with
ever shorter tasks; between the last that is at least half efficient and the first that is not lies the answer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import work
from workload import Figures, Workload, check

W9 = Workload(
    "W9-metg",
    "shortest task at half efficiency, stencil of width 4",
    full={"steps": 40},
    quick={"steps": 8},
    unit="s a task",
    times=3,
)
WIDTH = 4
WORKERS = 2
BEGIN_S, LEAST_S, MOST_S = 0.0008, 0.00001, 0.06  # of a task; the last two are where it is given up
Run = Callable[[float, int], float]  # seconds of a whole stencil with this task, so many steps


def metg(run: Run, size: SimpleNamespace) -> Figures:
    """Halve the task, or double it, until its efficiency has crossed a half."""
    run(0.0005, 4)
    efficient = lambda seconds: seconds * WIDTH * size.steps / WORKERS / run(seconds, size.steps)  # noqa: E731
    seconds = BEGIN_S
    before = efficient(seconds)
    factor = 0.5 if before >= 0.5 else 2.0
    while LEAST_S < seconds * factor < MOST_S:
        now = efficient(seconds * factor)
        if (now >= 0.5) != (before >= 0.5):
            pair = (seconds, before), (seconds * factor, now)
            return {"s": _between(*(pair if before >= 0.5 else pair[::-1]))}
        seconds, before = seconds * factor, now
    if before < 0.5:
        raise RuntimeError(f"tasks of {seconds * 1000:.1f} ms are {before:.0%} efficient")
    return {"s": seconds}


def _between(above: tuple[float, float], below: tuple[float, float]) -> float:
    """Where the efficiency is a half, on the line between two measurements, in logarithms of time."""
    part = (above[1] - 0.5) / (above[1] - below[1])
    return math.exp(math.log(above[0]) + part * (math.log(below[0]) - math.log(above[0])))


def near(cell: int) -> list[int]:
    return [each for each in (cell - 1, cell, cell + 1) if 0 <= each < WIDTH]


@W9.limit("bare pipe")
def bare_pipe(size: SimpleNamespace) -> Figures:
    """Half of the cells to each of two processes, a message there and back for every step."""
    from multiprocessing import Pipe, Process

    def serve(end):
        while True:
            seconds, given = end.recv()
            end.send([work.cell(seconds, *neighbours) for neighbours in given])

    ends = []
    for _ in range(2):
        here, there = Pipe()
        Process(target=serve, args=(there,), daemon=True).start()
        ends.append(here)

    def run(seconds: float, steps: int) -> float:
        began = time.perf_counter()
        values = [0] * WIDTH
        for _ in range(steps):
            given = [[values[each] for each in near(cell)] for cell in range(WIDTH)]
            for at, end in enumerate(ends):
                end.send((seconds, given[at * 2 : at * 2 + 2]))
            values = [value for end in ends for value in end.recv()]
        check(values, [steps] * WIDTH)
        return time.perf_counter() - began

    return metg(run, size)


def by_futures(submit: Callable[..., Any], get: Callable[[Any], Any], steps: int, seconds: float) -> float:
    """For pools that know of no graph: a step is handed in when the one before it has ended."""
    began = time.perf_counter()
    values = [0] * WIDTH
    for _ in range(steps):
        waiting = [submit(work.cell, seconds, *(values[each] for each in near(cell))) for cell in range(WIDTH)]
        values = [get(each) for each in waiting]
    check(values, [steps] * WIDTH)
    return time.perf_counter() - began


@W9.peer("raw Pool.apply_async", rival=True)
def pool(size: SimpleNamespace) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:
        submit = lambda function, *given: pool.apply_async(function, given)  # noqa: E731
        return metg(lambda seconds, steps: by_futures(submit, lambda each: each.get(), steps, seconds), size)


@W9.peer("ProcessPoolExecutor.submit")
def executor(size: SimpleNamespace) -> Figures:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        return metg(lambda seconds, steps: by_futures(pool.submit, lambda each: each.result(), steps, seconds), size)


@W9.peer("loky", "loky")
def loky(size: SimpleNamespace) -> Figures:
    from loky import get_reusable_executor

    pool = get_reusable_executor(max_workers=2)
    return metg(lambda seconds, steps: by_futures(pool.submit, lambda each: each.result(), steps, seconds), size)


@W9.peer("joblib", "joblib", rival=True)
def joblib(size: SimpleNamespace) -> Figures:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=2, batch_size=1) as pool:

        def run(seconds: float, steps: int) -> float:
            began = time.perf_counter()
            values = [0] * WIDTH
            for _ in range(steps):
                values = pool(delayed(work.cell)(seconds, *(values[x] for x in near(cell))) for cell in range(WIDTH))
            check(values, [steps] * WIDTH)
            return time.perf_counter() - began

        return metg(run, size)


@W9.peer("dask.distributed", "distributed")
def distributed(size: SimpleNamespace) -> Figures:
    from dask.distributed import Client

    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        submit = lambda *given: client.submit(*given, pure=False)  # noqa: E731
        return metg(lambda seconds, steps: by_graph(submit, client.gather, steps, seconds), size)


@W9.peer("ray", "ray", rival=True)
def ray(size: SimpleNamespace) -> Figures:
    import ray
    from workloads._peers import ray_here

    with ray_here():
        one = ray.remote(work.cell)
        submit = lambda _, *given: one.remote(*given)  # noqa: E731
        return metg(lambda seconds, steps: by_graph(submit, ray.get, steps, seconds), size)


def by_graph(submit: Callable[..., Any], gather: Callable[[Any], Any], steps: int, seconds: float) -> float:
    """For schedulers of graphs: all of it is handed in at once, each task with the futures of its neighbours."""
    began = time.perf_counter()
    values: list[Any] = [0] * WIDTH
    for _ in range(steps):
        values = [submit(work.cell, seconds, *(values[each] for each in near(cell))) for cell in range(WIDTH)]
    check(list(gather(values)), [steps] * WIDTH)
    return time.perf_counter() - began


def _graph(seconds: float, steps: int, reads: Callable[[int], list[int]]) -> float:
    """The stencil as a pipeline: a stage for each cell of each step."""
    from commands import WORKERS
    from ours import Clock, good

    from pipeline_runner import Pipeline, Stage

    stages = [Stage("warm", call=work.spin, over=[0.001] * 100)]
    for step in range(steps):
        for cell in range(WIDTH):
            values = [f"${{stages.s{step - 1}_{each}}}" for each in reads(cell)] if step else []
            needs = {} if step else {"needs": ["warm"]}
            stages.append(Stage(f"s{step}_{cell}", call=work.cell, with_=[seconds, *values], **needs))
    clock = Clock()
    pipeline = Pipeline("stencil", stages)
    result = pipeline.run(workers=WORKERS, on_event=clock, state=Path(f"state-{seconds}-{steps}"))
    good(result)
    check([result[f"s{steps - 1}_{cell}"] for cell in range(WIDTH)], [steps] * WIDTH)
    of_steps = [name for name in clock.began if name != "warm"]
    return max(clock.ended[name] for name in of_steps) - min(clock.began[name] for name in of_steps)


@W9.ours("prun, a stage for each cell, journal")
def ours(size: SimpleNamespace) -> Figures:
    return metg(lambda seconds, steps: _graph(seconds, steps, near), size)


@W9.ours("prun, four chains that can be dealt out, journal")
def ours_chains(size: SimpleNamespace) -> Figures:
    return metg(lambda seconds, steps: _graph(seconds, steps, lambda cell: [cell]), size)


CELLS, CHAINS = "prun, a stage for each cell, journal", "prun, four chains that can be dealt out, journal"
W9.target("× the raw pool, journal on", (CELLS, "s"), ("raw Pool.apply_async", "s"), most=1.2)
W9.target("times as short as joblib's", ("joblib", "s"), (CELLS, "s"), least=7.0)
W9.target("times as short as ray's", ("ray", "s"), (CELLS, "s"), least=7.0)
W9.target("chains, × a bare pipe", (CHAINS, "s"), ("bare pipe", "s"), most=2.0)
