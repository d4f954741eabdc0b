"""W8: a million items flow through, and whoever hands them on must not keep them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import work
from workload import Figures, Workload, check

W8 = Workload(
    "W8-stream",
    "1,000,000 no-op items from a generator, read as they come: how much the parent grows",
    full={"items": 1_000_000},
    quick={"items": 30_000},
    figure="grew_mb",
    unit="MB more",
    columns={"s": "s", "first_mb": "MB at the beginning"},
    timeout_s=150,
    times=1,
)
WARM = 0.1  # of the items: then everything is imported and every buffer has its size


class Scale:
    """Weighs this process now and then, while its items are made and its values are read."""

    def __init__(self, size: SimpleNamespace) -> None:
        self._items = size.items
        self._every = size.items // 50
        self.first = self.most = self._began = 0.0

    def source(self) -> Iterator[int]:
        self._began = time.perf_counter()
        for number in range(self._items):
            if number % self._every == 0:
                self._look(number)
            yield number

    def _look(self, number: int) -> None:
        import os

        from commands import pss_mb

        now = pss_mb(os.getpid())
        if number <= self._items * WARM:
            self.first = max(self.first, now)
        self.most = max(self.most, now)

    def read(self, values: Iterable[int], slow: bool = False) -> Figures:
        count = total = 0
        for value in values:
            count, total = count + 1, total + value
            if slow and count % 5000 == 0:
                time.sleep(0.05)
        self._look(self._items)
        check((count, total), (self._items, self._items * (self._items - 1) // 2))
        return {
            "grew_mb": max(0.0, self.most - self.first),
            "first_mb": self.first,
            "s": time.perf_counter() - self._began,
        }


def _ours(size: SimpleNamespace, slow: bool) -> Figures:
    from commands import WORKERS

    from pipeline_runner import Pipeline, Stage

    scale = Scale(size)
    pipeline = Pipeline("stream", [Stage("work", call=work.same, over=scale.source())])
    with pipeline.start(workers=WORKERS, keep=None, state=Path("state")) as run:  # passed on: nothing is kept
        return scale.read(run["work"], slow)


@W8.ours("prun, journal")
def ours(size: SimpleNamespace) -> Figures:
    return _ours(size, slow=False)


@W8.ours("prun, journal, a slow reader")
def ours_slow(size: SimpleNamespace) -> Figures:
    return _ours(size, slow=True)


for name in ("prun, journal", "prun, journal, a slow reader"):
    W8.target(f"{name}: growth of the parent", (name, "grew_mb"), most=5.0, unit="MB")


def peer(name: str, *needs: str) -> Callable[[Callable[[Scale], Figures]], None]:
    def add(do: Callable[[Scale], Figures]) -> None:
        W8.peer(name, *needs)(lambda size: do(Scale(size)))

    return add


@peer("Pool.imap_unordered, chunksize 1,000")
def imap(scale: Scale) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:
        return scale.read(pool.imap_unordered(work.same, scale.source(), chunksize=1000))


@peer("Pool.imap_unordered, chunksize 1,000, a slow reader")
def imap_slow(scale: Scale) -> Figures:
    from multiprocessing import Pool

    with Pool(2) as pool:
        return scale.read(pool.imap_unordered(work.same, scale.source(), chunksize=1000), slow=True)


@peer("ProcessPoolExecutor.map, chunksize 1,000")
def executor(scale: Scale) -> Figures:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        return scale.read(pool.map(work.same, scale.source(), chunksize=1000))


@peer("mpire imap_unordered", "mpire")
def mpire(scale: Scale) -> Figures:
    from mpire import WorkerPool

    with WorkerPool(2) as pool:
        return scale.read(pool.imap_unordered(work.same, scale.source(), chunk_size=1000))


@peer("joblib, a list", "joblib")
def joblib_list(scale: Scale) -> Figures:
    from joblib import Parallel, delayed

    return scale.read(Parallel(n_jobs=2, batch_size=1000)(delayed(work.same)(x) for x in scale.source()))


@peer("joblib, a generator", "joblib")
def joblib_generator(scale: Scale) -> Figures:
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=2, batch_size=1000, return_as="generator")
    return scale.read(pool(delayed(work.same)(x) for x in scale.source()))


@peer("dask.bag", "dask")
def dask_bag(scale: Scale) -> Figures:
    import dask
    import dask.bag
    from dask.multiprocessing import get

    with dask.config.set(scheduler=get, num_workers=2):
        return scale.read(dask.bag.from_sequence(scale.source(), npartitions=100).map(work.same).compute())
