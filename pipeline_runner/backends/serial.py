"""`pathos.SerialPool`: one call after the other in the runner itself, the yardstick for all others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from threading import get_ident

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.calls import Chunks, Perform, Receipt
from pipeline_runner.methods import Ask, Backend, Method, PoolSettings, Process
from pipeline_runner.typed import Any
from pipeline_runner.worker import shell


def open_serial(settings: PoolSettings) -> Any:
    from pathos.serial import SerialPool

    return SerialPool()


def pipe(pool: Any, perform: Perform, chunks: Chunks) -> Iterator[Receipt]:
    pool.thread = get_ident()
    for task in chunks:
        yield pool.pipe(perform.row, *task)


def map_(pool: Any, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    pool.thread = get_ident()
    receipts: Iterator[Receipt] = pool.map(perform.row, *chunks.columns())
    return receipts


def imap(pool: Any, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    pool.thread = get_ident()
    receipts: Iterator[Receipt] = pool.imap(perform.row, *chunks.columns())
    return receipts


def close(pool: Any) -> None:
    pool.close()


def kill(pool: Any) -> None:
    """End the command that it waits for, if it does. Any other call runs on."""
    shell.end_those_of([getattr(pool, "thread", 0)])
    close(pool)


def processes(pool: Any) -> Sequence[Process]:
    return ()


def row(name: str, ask: Ask, returns: Returns, style: Style, note: str) -> Method:
    many = style is Style.ZIP
    return Method(
        name=f"pathos.SerialPool.{name}",
        dispatch=Dispatch.BLOCKING,
        style=style,
        returns=returns,
        ask=ask,
        lazy=True,
        ordered=True,
        parallel=False,
        refills=False,
        serializer="none",
        on_raise="raised",
        on_death="the runner itself dies: there is no other process",
        also_styles=frozenset({Style.MAP, Style.STAR}) if many else frozenset(),
        also_returns=frozenset({Returns.ITERATOR}) if many else frozenset(),
        aliases=(f"SerialPool.{name}", f"pathos.serial.SerialPool.{name}", f"pathos.pools.SerialPool.{name}"),
        note=note,
    )


BACKEND = Backend(
    name="pathos.SerialPool",
    keyword="serial",
    methods=(
        row("pipe", pipe, Returns.VALUE, Style.SINGLE, "the survey sets it aside: nothing runs beside anything"),
        row("map", map_, Returns.LIST, Style.ZIP, "documented as a list; it is the lazy built-in map"),
        row("imap", imap, Returns.ITERATOR, Style.ZIP, "the lazy built-in map"),
    ),
    open=open_serial,
    close=close,
    kill=kill,
    processes=processes,
    start_methods=frozenset(),
    in_process=True,
    rank=90,
)
