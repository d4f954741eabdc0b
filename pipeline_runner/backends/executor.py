"""`concurrent.futures.ProcessPoolExecutor`: the pool that notices a dead worker, and then gives up all others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from threading import Thread

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.backends._launch import GRACE_S, PoolKilled, Roster, brand_for, context
from pipeline_runner.calls import Chunks, Perform, Receipt
from pipeline_runner.classes import dataclass
from pipeline_runner.methods import Backend, Method, PoolSettings, Process, Surveyed
from pipeline_runner.typed import Any
from pipeline_runner.worker.start import begin


@dataclass
class Opened:
    pool: Any
    roster: Roster
    manager: Any = None  # the executor's own thread, which it forgets when it is shut down


class NeverIdle:
    """In the place of the executor's count of idle workers.

    With `max_tasks_per_child` it also counts workers that have left, and then starts none in their
    place: everything waits for ever (cpython issue 115634).
    """

    def acquire(self, blocking: bool = True) -> bool:
        return False

    def release(self) -> None:
        """Nothing is counted."""


def open_executor(settings: PoolSettings) -> Opened:
    from concurrent.futures import ProcessPoolExecutor

    roster = Roster()
    pool: Any = ProcessPoolExecutor(
        settings.workers,
        mp_context=context("multiprocessing", settings.start_method, roster),
        initializer=begin,
        initargs=(brand_for(settings.start_method),),
        max_tasks_per_child=settings.max_calls_per_worker,
    )
    if settings.max_calls_per_worker:
        pool._idle_worker_semaphore = NeverIdle()
    return Opened(pool, roster)


def raw(workers: int) -> Opened:
    from concurrent.futures import ProcessPoolExecutor

    return Opened(ProcessPoolExecutor(workers), Roster())


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
    if not shut_down(opened, GRACE_S):
        kill(opened)
    opened.roster.reaped(1.0)


def kill(opened: Opened) -> None:
    """End the workers; the executor's own thread sees it and fails every future.

    Where it does not (there may be no worker whose end it could see), we do it in its place.
    """
    opened.roster.kill()
    if not shut_down(opened, 1.0):
        manager = opened.manager
        for item in list(manager.pending_work_items.values()):
            with suppress(Exception):  # InvalidStateError: it has just been given its end
                item.future.set_exception(PoolKilled())
        manager.pending_work_items.clear()
        with manager.shutdown_lock:
            manager.thread_wakeup.wakeup()
        manager.join(1.0)
    opened.roster.reaped(0.5)


def _shut_down(pool: Any) -> None:
    # Its own thread closes the same pipe when it sees its workers die, and one of the two comes too late.
    with suppress(OSError):
        pool.shutdown(cancel_futures=True)


def shut_down(opened: Opened, within_s: float) -> bool:
    """Shut the executor down in a bounded time. False: it is still at it.

    Not with wait=False, which forgets the processes while the executor's thread may still start one.
    """
    opened.manager = opened.pool._executor_manager_thread or opened.manager
    hand = Thread(target=_shut_down, args=(opened.pool,), daemon=True)
    hand.start()
    hand.join(within_s)
    return not hand.is_alive()


def processes(opened: Opened) -> Sequence[Process]:
    return opened.roster.processes()


BROKEN = "BrokenProcessPool for every pending call; the executor is dead"
CLASSES = ("ProcessPoolExecutor", "Executor", "concurrent.futures.process.ProcessPoolExecutor")

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
            shared=True,
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
            on_raise="raised; the first ends the iterator, the rest is lost",
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
    raw=raw,
    library="multiprocessing",
    rank=20,
)
