"""`concurrent.futures.ProcessPoolExecutor`: the pool that notices a dead worker, and then gives up all others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.backends._launch import GRACE_S, PoolKilled, Roster, context
from pipeline_runner.calls import Chunks, Perform, Receipt
from pipeline_runner.methods import Backend, Method, PoolSettings, Process, Surveyed
from pipeline_runner.worker.start import begin


@dataclass(frozen=True)
class Opened:
    pool: Any
    roster: Roster


def open_executor(settings: PoolSettings) -> Opened:
    from concurrent.futures import ProcessPoolExecutor

    roster = Roster()
    pool = ProcessPoolExecutor(
        settings.workers,
        mp_context=context("multiprocessing", settings.start_method, roster),
        initializer=begin,
        max_tasks_per_child=settings.max_calls_per_worker,
    )
    return Opened(pool, roster)


def submit(opened: Opened, perform: Perform, chunks: Chunks) -> Iterator[Receipt]:
    waiting: deque[Any] = deque()
    for task in chunks:
        waiting.append(opened.pool.submit(perform.row, *task))
        while waiting and waiting[0].done():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def map_(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    receipts: Iterator[Receipt] = opened.pool.map(perform.row, *chunks.columns(), chunksize=1)
    return receipts


def close(opened: Opened) -> None:
    manager = opened.pool._executor_manager_thread
    opened.pool.shutdown(wait=False, cancel_futures=True)
    if manager is not None:
        manager.join(GRACE_S)
        if manager.is_alive():
            kill(opened)
    opened.roster.reaped(1.0)


def kill(opened: Opened) -> None:
    """End the workers; the executor's own thread sees it and fails every future."""
    pool = opened.pool
    manager = pool._executor_manager_thread
    pending = pool._pending_work_items
    opened.roster.kill()
    # Also wakes the thread: it may be waiting without knowing the worker that was started last.
    pool.shutdown(wait=False, cancel_futures=True)
    if manager is not None:
        manager.join(2.0)
    for item in list(pending.values()):
        with suppress(Exception):  # InvalidStateError: it has just been given its end
            item.future.set_exception(PoolKilled())
    opened.roster.reaped(1.0)


def processes(opened: Opened) -> Sequence[Process]:
    return opened.roster.processes()


BROKEN = "BrokenProcessPool for every pending call; the executor is dead"
CLASSES = ("ProcessPoolExecutor", "concurrent.futures.process.ProcessPoolExecutor")

BACKEND = Backend(
    name="concurrent.futures.ProcessPoolExecutor",
    keyword="futures",
    methods=(
        Method(
            name="concurrent.futures.ProcessPoolExecutor.submit",
            dispatch=Dispatch.ASYNC,
            style=Style.SINGLE,
            returns=Returns.APPLY_RESULT,
            ask=submit,
            lazy=True,
            ordered=True,
            parallel=True,
            refills=True,
            serializer="pickle",
            on_raise="raised by its result(); sys.exit and KeyboardInterrupt too, in the parent",
            on_death=BROKEN,
            surveyed=Surveyed(dispatch=Dispatch.ASYNC, style=Style.SINGLE, returns=Returns.NONE),
            aliases=tuple(f"{name}.submit" for name in CLASSES),
            note="the article says that nothing is returned directly; it is a Future",
        ),
        Method(
            name="concurrent.futures.ProcessPoolExecutor.map",
            dispatch=Dispatch.ASYNC,
            style=Style.ZIP,
            returns=Returns.ITERATOR,
            ask=map_,
            lazy=False,
            ordered=True,
            parallel=True,
            refills=True,
            serializer="pickle",
            on_raise="the first ends the iterator, the rest is lost",
            on_death=BROKEN,
            surveyed=Surveyed(dispatch=Dispatch.ASYNC, style=Style.ZIP, returns=Returns.ITERATOR),
            also_styles=frozenset({Style.MAP}),
            aliases=tuple(f"{name}.map" for name in CLASSES),
            note="hands in all calls before it gives the first result",
        ),
    ),
    open=open_executor,
    close=close,
    kill=kill,
    processes=processes,
    rank=20,
)
