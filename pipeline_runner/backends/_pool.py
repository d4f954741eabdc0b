"""What the pools of `multiprocessing`, `multiprocess` and pathos have in common: asking, closing, killing."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from select import POLLIN, poll
from time import monotonic
from weakref import ref

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.backends._launch import GRACE_S, PoolKilled, Roster, brand_for, context
from pipeline_runner.calls import Chunks, Perform, Receipt
from pipeline_runner.classes import dataclass
from pipeline_runner.methods import Ask, Method, PoolSettings, Process, Surveyed
from pipeline_runner.typed import Any
from pipeline_runner.worker.start import begin


@dataclass
class Opened:
    """An open pool and every process that it has started."""

    pool: Any  # the library's own object, the one that is asked
    inner: Any  # the Pool underneath; the same object where nothing is wrapped around it
    roster: Roster


def open_pool(library: str, settings: PoolSettings) -> Opened:
    roster = Roster()
    made = import_module(f"{library}.pool").Pool
    pool = (made if settings.max_calls_per_worker else undisturbed(made))(
        settings.workers,
        initializer=begin,
        initargs=(brand_for(settings.start_method),),
        maxtasksperchild=settings.max_calls_per_worker,
        context=context(library, settings.start_method, roster),
    )
    return Opened(pool, pool, roster)


@cache
def undisturbed(made: Any) -> Any:
    """A class of Pool whose keeper of workers sleeps while they work.

    The library's own is woken by every result until it has been read, and asks each worker in a circle whether it
    is still alive: 70–190 µs of the runner's CPU for each chunk, as much as all else that a chunk costs. It need only
    hear of a worker's end and of the pool's. Where workers come and go, its way finds those whose end was hidden.
    """

    class Undisturbed(made):  # type: ignore[misc]
        def _get_sentinels(self) -> list[Any]:
            self._cache.notifier = AtTheEnd(self)  # it is called in the middle of __init__, before any thread is
            return [self._change_notifier._reader]

    return Undisturbed


class AtTheEnd:
    """Hears that a pool has nothing to do, and wakes its keeper only if it is to go then."""

    def __init__(self, pool: Any) -> None:
        self._pool = ref(pool)  # who forgets a pool is to be warned of it by the library

    def put(self, nothing: None) -> None:
        pool = self._pool()
        if pool is not None and pool._state != "RUN":
            pool._change_notifier.put(nothing)


def processes(opened: Opened) -> Sequence[Process]:
    return opened.roster.processes()


def close(opened: Opened) -> None:
    """Let idle workers go; whoever does not go in time is killed."""
    pool = opened.inner
    deadline = monotonic() + GRACE_S
    pool.close()
    for thread in (pool._worker_handler, pool._task_handler, pool._result_handler):
        thread.join(max(0.0, deadline - monotonic()))
    if opened.roster.reaped(deadline - monotonic()) and not threads(pool):
        put_away(pool)
    else:
        kill(opened)


def kill(opened: Opened) -> None:
    """End the pool without the library's `terminate`, which can wait for ever after a SIGKILL.

    A dead worker may hold the lock of the input queue (an idle one always waits inside it), and
    may have read half a task: `terminate` waits for that lock and reads that queue as if whole.
    """
    pool = opened.inner
    if not pool._terminate.still_active():
        return
    pool._state = "TERMINATE"
    handlers = (pool._worker_handler, pool._task_handler, pool._result_handler)
    for thread in handlers:
        thread._state = "TERMINATE"
    tasks = pool._taskqueue
    pool._taskqueue = Refusing()  # who was just about to hand something in must not wait for it
    opened.roster.kill()
    fail_waiting(pool)
    deadline = monotonic() + 2.0
    opened.roster.reaped(1.0)
    free(pool._outqueue._wlock)
    pool._change_notifier.put(None)
    tasks.put(None)
    while pool._task_handler.is_alive() and monotonic() < deadline:
        drain(pool._inqueue._reader)
        pool._task_handler.join(0.01)
    pool._worker_handler.join(max(0.1, deadline - monotonic()))
    pool._outqueue.put(None)
    pool._result_handler.join(max(0.1, deadline - monotonic()))
    fail_waiting(pool)
    opened.roster.reaped(0.5)  # a worker that was being started meanwhile
    put_away(pool)


def free(lock: Any) -> None:
    """Take a lock from the dead: nobody alive holds it for longer than a moment."""
    lock.acquire(True, 0.2)
    lock.release()


class Refusing:
    """Stands where a killed pool had its task queue."""

    def put(self, task: object) -> None:
        raise PoolKilled


def threads(pool: Any) -> list[Any]:
    mine = (pool._worker_handler, pool._task_handler, pool._result_handler)
    return [thread for thread in mine if thread.is_alive()]


def fail_waiting(pool: Any) -> None:
    """Give every unfinished answer of the pool an error, so that whoever waits for it wakes."""
    for answer in list(pool._cache.values()):
        if hasattr(answer, "_number_left"):
            answer._number_left = 1  # a map waits for all of its parts
        with suppress(KeyError):  # the pool's own thread was faster
            answer._set(getattr(answer, "_index", 0), (False, PoolKilled()))


def drain(reader: Any) -> None:
    """Empty a pipe of whole and half messages."""
    told = poll()  # select() refuses descriptors from 1024 on
    told.register(reader, POLLIN)
    while told.poll(0):
        if not os.read(reader.fileno(), 1 << 16):
            return


def put_away(pool: Any) -> None:
    """Nothing of the pool is left for the interpreter's exit to do."""
    pool._terminate.cancel()
    pool._pool.clear()
    pool._cache.clear()
    if not threads(pool):
        for queue in (pool._inqueue, pool._outqueue, pool._change_notifier):
            queue.close()


def waited(handles: Iterable[Any]) -> Iterator[Receipt]:
    """The receipts of handles in call order; those that are ready go before the next call is handed in."""
    waiting: deque[Any] = deque()
    for handle in handles:
        waiting.append(handle)
        while waiting and waiting[0].ready():
            yield waiting.popleft().get()
    while waiting:
        yield waiting.popleft().get()


def apply(opened: Opened, perform: Perform, chunks: Chunks) -> Iterator[Receipt]:
    for task in chunks:
        yield opened.pool.apply(perform.row, task)


def apply_async(opened: Opened, perform: Perform, chunks: Chunks) -> Iterator[Receipt]:
    return waited(opened.pool.apply_async(perform.row, task) for task in chunks)


def map_(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    receipts: list[Receipt] = opened.pool.map(perform.one, iter(chunks), chunksize=1)
    return receipts


def map_async(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    receipts: list[Receipt] = opened.pool.map_async(perform.one, iter(chunks), chunksize=1).get()
    return receipts


def imap(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    receipts: Iterator[Receipt] = opened.pool.imap(perform.one, iter(chunks), chunksize=1)
    return receipts


def imap_unordered(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    receipts: Iterator[Receipt] = opened.pool.imap_unordered(perform.one, iter(chunks), chunksize=1)
    return receipts


def starmap(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    receipts: list[Receipt] = opened.pool.starmap(perform.row, chunks.rows(), chunksize=1)
    return receipts


def starmap_async(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    receipts: list[Receipt] = opened.pool.starmap_async(perform.row, chunks.rows(), chunksize=1).get()
    return receipts


HANG = "waits for ever; the pool starts another worker"
FIRST = "raised, the first only; all other results are lost"
PARTS = "refills when asked with chunksize=1, as we do; by default a worker takes several tasks at once"
AHEAD = "its feeder reads ahead without bound; our window holds it"

_ROWS: tuple[tuple[str, Dispatch, Style, Returns, Ask, bool, bool, str, str], ...] = (
    # name, dispatch, style, returns, ask, lazy, ordered, on_raise, note
    ("apply", Dispatch.BLOCKING, Style.SINGLE, Returns.VALUE, apply, True, True, "raised", ""),
    (
        "apply_async",
        Dispatch.ASYNC,
        Style.SINGLE,
        Returns.APPLY_RESULT,
        apply_async,
        True,
        True,
        "raised by its get()",
        "",
    ),
    ("map", Dispatch.ASYNC, Style.MAP, Returns.LIST, map_, False, True, FIRST, PARTS),
    ("map_async", Dispatch.ASYNC, Style.MAP, Returns.MAP_RESULT, map_async, False, True, FIRST, PARTS),
    (
        "imap",
        Dispatch.ASYNC,
        Style.MAP,
        Returns.ITERATOR,
        imap,
        True,
        True,
        "raised by its next(), which goes on",
        AHEAD,
    ),
    (
        "imap_unordered",
        Dispatch.ASYNC,
        Style.MAP,
        Returns.UNORDERED,
        imap_unordered,
        True,
        False,
        "raised by its next(), which goes on",
        AHEAD,
    ),
    ("starmap", Dispatch.ASYNC, Style.STAR, Returns.LIST, starmap, False, True, FIRST, PARTS),
    ("starmap_async", Dispatch.ASYNC, Style.STAR, Returns.MAP_RESULT, starmap_async, False, True, FIRST, PARTS),
)


def rows(library: str, serializer: str, classes: Sequence[str]) -> tuple[Method, ...]:
    """The eight rows of a Pool; `classes` are the other names that its class goes by."""
    return tuple(
        Method(
            name=f"{library}.Pool.{name}",
            dispatch=dispatch,
            style=style,
            returns=returns,
            ask=ask,
            lazy=lazy,
            ordered=ordered,
            parallel=dispatch is Dispatch.ASYNC,
            refills=dispatch is Dispatch.ASYNC,
            serializer=serializer,
            on_raise=on_raise,
            on_death=HANG,
            surveyed=Surveyed(dispatch=dispatch, style=style, returns=returns),
            aliases=tuple(f"{other}.{name}" for other in classes),
            note=note,
            # Each task has a handle of its own; the others draw their input in a thread that all askers would share.
            shared=style is Style.SINGLE,
        )
        for name, dispatch, style, returns, ask, lazy, ordered, on_raise, note in _ROWS
    )


def raw(library: str, workers: int) -> Opened:
    pool = import_module(library).Pool(workers)
    return Opened(pool, pool, Roster())


def opener(library: str) -> Callable[[PoolSettings], Opened]:
    return lambda settings: open_pool(library, settings)
