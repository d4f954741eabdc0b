"""`pathos.ProcessPool`: multiprocess' pool under pathos' names, one iterable a parameter."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.backends import _pool
from pipeline_runner.backends._launch import Roster
from pipeline_runner.backends._pool import Opened
from pipeline_runner.calls import Chunks, Perform, Receipt
from pipeline_runner.methods import Ask, Backend, Method, PoolSettings, Surveyed
from pipeline_runner.typed import Any


def open_pool(settings: PoolSettings) -> Opened:
    """A pool that is ours alone.

    pathos keeps one pool per id: two ProcessPool(2) would be the same pool, closing one would stop
    the other, and asking one that is gone would quietly make another. Ours always asks its own.
    """
    from pathos.multiprocessing import ProcessPool

    inner = _pool.open_pool("multiprocess", settings)

    class OwnPool(ProcessPool):  # type: ignore[misc]
        def _serve(self, nodes: int | None = None) -> Any:
            return inner.inner

    return Opened(OwnPool(settings.workers), inner.inner, inner.roster)


def raw(workers: int) -> Opened:
    from pathos.multiprocessing import ProcessPool

    pool = ProcessPool(workers, id=os.urandom(16).hex())
    return Opened(pool, pool._serve(), Roster())


def pipe(opened: Opened, perform: Perform, chunks: Chunks) -> Iterator[Receipt]:
    for task in chunks:
        yield opened.pool.pipe(perform.row, *task)


def apipe(opened: Opened, perform: Perform, chunks: Chunks) -> Iterator[Receipt]:
    return _pool.waited(opened.pool.apipe(perform.row, *task) for task in chunks)


def map_(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    receipts: list[Receipt] = opened.pool.map(perform.row, *chunks.columns(), chunksize=1)
    return receipts


def imap(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    receipts: Iterator[Receipt] = opened.pool.imap(perform.row, *chunks.columns(), chunksize=1)
    return receipts


def uimap(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    receipts: Iterator[Receipt] = opened.pool.uimap(perform.row, *chunks.columns(), chunksize=1)
    return receipts


def amap(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    receipts: list[Receipt] = opened.pool.amap(perform.row, *chunks.columns(), chunksize=1).get()
    return receipts


def row(name: str, ask: Ask, dispatch: Dispatch, returns: Returns, lazy: bool, on_raise: str, note: str = "") -> Method:
    style = Style.SINGLE if returns in (Returns.VALUE, Returns.APPLY_RESULT) else Style.ZIP
    return Method(
        name=f"pathos.ProcessPool.{name}",
        dispatch=dispatch,
        style=style,
        returns=returns,
        ask=ask,
        lazy=lazy,
        ordered=returns is not Returns.UNORDERED,
        parallel=dispatch is Dispatch.ASYNC,
        refills=dispatch is Dispatch.ASYNC,
        serializer="dill",
        on_raise=on_raise,
        on_death=_pool.HANG,
        surveyed=Surveyed(dispatch=dispatch, style=style, returns=returns),
        also_styles=frozenset({Style.MAP}) if style is Style.ZIP else frozenset(),
        aliases=tuple(
            f"{other}.{name}"
            for other in (
                "ProcessPool",
                "pathos.multiprocessing.ProcessPool",
                "pathos.multiprocessing.ProcessingPool",
                "pathos.pools.ProcessPool",
            )
        ),
        note=note,
        shared=style is Style.SINGLE,
    )


NEXT = "raised by its next(), which goes on"
SINGLETON = "pathos keeps one pool per number of workers for the whole program; ours is not shared"

BACKEND = Backend(
    name="pathos.ProcessPool",
    keyword="pathos",
    methods=(
        row("pipe", pipe, Dispatch.BLOCKING, Returns.VALUE, True, "raised", SINGLETON),
        row("apipe", apipe, Dispatch.ASYNC, Returns.APPLY_RESULT, True, "raised by its get()", SINGLETON),
        row("map", map_, Dispatch.ASYNC, Returns.LIST, False, _pool.FIRST, _pool.PARTS),
        row("imap", imap, Dispatch.ASYNC, Returns.ITERATOR, True, NEXT, _pool.AHEAD),
        row("uimap", uimap, Dispatch.ASYNC, Returns.UNORDERED, True, NEXT, _pool.AHEAD),
        row("amap", amap, Dispatch.ASYNC, Returns.MAP_RESULT, False, _pool.FIRST, _pool.PARTS),
    ),
    open=open_pool,
    close=_pool.close,
    kill=_pool.kill,
    processes=_pool.processes,
    raw=raw,
    rank=30,
)
