"""`pathos.ParallelPool`: ppft's server under pathos' names, one iterable a parameter."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.backends._launch import Roster
from pipeline_runner.calls import Chunks, Perform, Receipt
from pipeline_runner.methods import Ask, Backend, Method, PoolSettings, Process, Surveyed
from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.backends._ppft import Opened


def open_pool(settings: PoolSettings) -> Opened:
    """A pool on a server of our own.

    pathos makes one server per id, has no way to give it a secret or workers, and quietly makes
    another when it is asked after its end. Ours always asks the server that it was given.
    """
    from pathos.parallel import ParallelPool

    from pipeline_runner.backends import _ppft

    server = _ppft.open_server(settings)

    class OwnPool(ParallelPool):  # type: ignore[misc]
        def _serve(self, nodes: int | None = None, servers: object = None) -> Any:
            return server

    return _ppft.Opened(OwnPool(settings.workers), server, server.roster)


def raw(workers: int) -> Opened:
    from pathos.parallel import ParallelPool

    from pipeline_runner.backends import _ppft

    name = os.urandom(16).hex()
    ParallelPool.__state__[name] = _ppft.raw_server(workers)
    return _ppft.Opened(ParallelPool(workers, id=name), _ppft.Unwatched(), Roster(), guarded=False)


def told(opened: Opened, results: Iterable[Any]) -> Iterable[Receipt]:
    from pipeline_runner.backends import _ppft

    return _ppft.told(opened, results)


def patiently(opened: Opened, results: Iterable[Any]) -> Iterable[Any]:
    from pipeline_runner.backends import _ppft

    return _ppft.patiently(opened, results)


def pipe(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    return told(opened, (opened.pool.pipe(perform.row, *task) for task in chunks))


def apipe(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    return told(opened, handled(opened, perform, chunks))


def handled(opened: Opened, perform: Perform, chunks: Chunks) -> Iterator[Any]:
    waiting: deque[Any] = deque()
    for task in chunks:
        waiting.append(opened.pool.apipe(perform.row, *task))
        while waiting and waiting[0].ready():
            yield waiting.popleft().get()
    while waiting:
        opened.server.wait_for(waiting[0])  # its own get() can miss the end
        yield waiting.popleft().get()


def map_(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    return told(opened, opened.pool.map(perform.row, *chunks.columns()))


def imap(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    return told(opened, opened.pool.imap(perform.row, *chunks.columns()))


def uimap(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    return told(opened, patiently(opened, opened.pool.uimap(perform.row, *chunks.columns())))


def amap(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    rows = list(chunks)  # it asks for the length of its columns
    result = opened.pool.amap(perform.row, [ticket for ticket, _ in rows], [payload for _, payload in rows])
    opened.server.wait_for(result)  # its own get() can miss the end
    return told(opened, result.get())


def stop(opened: Opened) -> None:
    opened.server.stop()


def processes(opened: Opened) -> Sequence[Process]:
    return opened.roster.processes()


def row(name: str, ask: Ask, dispatch: Dispatch, returns: Returns, on_raise: str, note: str) -> Method:
    """`dispatch` is the article's; every row but `pipe` was measured to be parallel."""
    single = returns in (Returns.VALUE, Returns.APPLY_RESULT)
    style = Style.SINGLE if single else Style.ZIP
    parallel = name != "pipe"
    return Method(
        name=f"pathos.ParallelPool.{name}",
        dispatch=Dispatch.ASYNC if parallel else Dispatch.BLOCKING,
        style=style,
        returns=returns,
        ask=ask,
        lazy=single,
        ordered=returns is not Returns.UNORDERED,
        parallel=parallel,
        refills=parallel,
        serializer="source text",
        on_raise=on_raise,
        on_death="waits for ever, and the dead worker swallows every later task",
        surveyed=Surveyed(dispatch=dispatch, style=style, returns=returns),
        also_styles=frozenset() if single else frozenset({Style.MAP}),
        aliases=tuple(
            f"{other}.{name}"
            for other in (
                "ParallelPool",
                "pathos.pp.ParallelPool",
                "pathos.pp.ParallelPythonPool",
                "pathos.parallel.ParallelPool",
                "pathos.parallel.ParallelPythonPool",
                "pathos.pools.ParallelPool",
            )
        ),
        note=note,
    )


NONE = "None; the traceback is printed on stdout"
IN_PLACE = "None in its place; the traceback is printed on stdout"
ONCE = "serial up to pathos 0.2.5, as the article says; parallel since 0.2.6 (2020)"

BACKEND = Backend(
    name="pathos.ParallelPool",
    keyword="parallel",
    methods=(
        row("pipe", pipe, Dispatch.BLOCKING, Returns.VALUE, NONE, "drops keyword arguments without a word"),
        row(
            "apipe", apipe, Dispatch.ASYNC, Returns.APPLY_RESULT, NONE, "its get() can hang; we ask only what is ready"
        ),
        row("map", map_, Dispatch.BLOCKING, Returns.LIST, IN_PLACE, ONCE),
        row("imap", imap, Dispatch.BLOCKING, Returns.ITERATOR, IN_PLACE, f"{ONCE}; all calls are handed in at once"),
        row("uimap", uimap, Dispatch.ASYNC, Returns.UNORDERED, NONE, "starts at the first next(); busy while it waits"),
        row(
            "amap",
            amap,
            Dispatch.ASYNC,
            Returns.MAP_RESULT,
            "a wrong list: results move or are lost",
            "its get() can hang, and a call that prints breaks its list; our workers print elsewhere "
            "and we ask only what is ready",
        ),
    ),
    open=open_pool,
    close=stop,
    kill=stop,
    processes=processes,
    raw=raw,
    start_methods=frozenset(),
    rank=60,
)
