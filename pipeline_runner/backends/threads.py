"""`concurrent.futures.ThreadPoolExecutor`: threads of the runner itself, for calls that wait rather than compute."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.backends._launch import PoolKilled
from pipeline_runner.calls import Chunks, Perform, Receipt
from pipeline_runner.methods import Backend, Method, PoolSettings, Process
from pipeline_runner.typed import TYPE_CHECKING, Any
from pipeline_runner.worker import shell

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pipeline_runner.backends._threads import Threads


def open_threads(settings: PoolSettings) -> Threads:
    from pipeline_runner.backends._threads import Threads

    return Threads(settings.workers)


def submit(pool: Threads, perform: Perform, chunks: Chunks) -> Iterator[Receipt]:
    waiting: deque[Future[Receipt]] = deque()
    for task in chunks:
        waiting.append(pool.submit(perform.row, *task))
        while waiting and waiting[0].done():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def map_(pool: Threads, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    return pool.map(perform.row, *chunks.columns())


def close(pool: Threads) -> None:
    pool.shutdown(wait=False, cancel_futures=True)
    for thread in pool._threads:
        thread.join(CLOSING_S)


def kill(pool: Threads) -> None:
    """Wake whoever waits. A thread cannot be ended: its call runs on, if it is no command, and nobody hears of it.

    The interpreter's exit is told not to wait for such a thread either.
    """
    pool.shutdown(wait=False, cancel_futures=True)
    for future in list(pool.futures):
        if not future.done():
            fail(future)
    from concurrent.futures import thread as module

    queues: Any = module._threads_queues
    for thread in pool._threads:
        queues.pop(thread, None)
    shell.end_those_of(thread.ident for thread in pool._threads if thread.ident is not None)


def fail(future: Future[Any]) -> None:
    tell = future.set_exception
    vars(future).update(set_result=ignore, set_exception=ignore)
    with suppress(Exception):  # InvalidStateError: it has just ended
        tell(PoolKilled())


def ignore(outcome: object) -> None:
    """Takes what a call that was given up still has to say."""


def processes(pool: Threads) -> Sequence[Process]:
    return ()


CLOSING_S = 1.0  # nothing is owed, so they are idle, and end at once

STUCK = "there is no process to die; a call that never ends cannot be ended"

BACKEND = Backend(
    name="concurrent.futures.ThreadPoolExecutor",
    keyword="threads",
    methods=(
        Method(
            name="concurrent.futures.ThreadPoolExecutor.submit",
            dispatch=Dispatch.ASYNC,
            style=Style.SINGLE,
            returns=Returns.APPLY_RESULT,
            ask=submit,
            lazy=True,
            ordered=True,
            parallel=True,
            refills=True,
            serializer="none",
            on_raise="raised by its result()",
            on_death=STUCK,
            aliases=("ThreadPoolExecutor.submit",),
            note="not in the survey; for calls that wait (network, disk): one Python computes at a time",
        ),
        Method(
            name="concurrent.futures.ThreadPoolExecutor.map",
            dispatch=Dispatch.ASYNC,
            style=Style.ZIP,
            returns=Returns.ITERATOR,
            ask=map_,
            lazy=False,
            ordered=True,
            parallel=True,
            refills=True,
            serializer="none",
            on_raise="raised; the first ends the iterator, the rest is lost",
            on_death=STUCK,
            also_styles=frozenset({Style.MAP}),
            aliases=("ThreadPoolExecutor.map",),
            note="not in the survey; hands in all calls before it gives the first result",
        ),
    ),
    open=open_threads,
    close=close,
    kill=kill,
    processes=processes,
    start_methods=frozenset(),
    in_process=True,
    rank=80,
)
