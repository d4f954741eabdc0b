"""`ppft.Server`: Parallel Python's job server, as pathos carries it; workers are fresh interpreters."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.backends._launch import Roster
from pipeline_runner.calls import Chunks, Perform, Receipt
from pipeline_runner.methods import Backend, Method, PoolSettings, Process, Surveyed
from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.backends._ppft import Opened


def open_server(settings: PoolSettings) -> Opened:
    from pipeline_runner.backends import _ppft

    server = _ppft.open_server(settings)
    return _ppft.Opened(server, server, server.roster)


def raw(workers: int) -> Opened:
    from pipeline_runner.backends import _ppft

    return _ppft.Opened(_ppft.raw_server(workers), _ppft.Unwatched(), Roster(), guarded=False)


def submit(opened: Opened, perform: Perform, chunks: Chunks) -> Iterable[Receipt]:
    from pipeline_runner.backends._ppft import told

    return told(opened, results(opened, perform, chunks))


def results(opened: Opened, perform: Perform, chunks: Chunks) -> Iterator[Any]:
    """Never by calling an unfinished task, which waits for ever when its worker is dead."""
    waiting: deque[Any] = deque()
    for task in chunks:
        # Named as imported, our ticket's class is not sent along as source text.
        waiting.append(opened.pool.submit(perform.row, task, modules=("pipeline_runner.calls",)))
        while waiting and waiting[0].finished:
            yield waiting.popleft()()
    while waiting:
        opened.server.wait_for(waiting[0])
        yield waiting.popleft()()


def stop(opened: Opened) -> None:
    opened.server.stop()


def processes(opened: Opened) -> Sequence[Process]:
    return opened.roster.processes()


BACKEND = Backend(
    name="ppft.Server",
    keyword="ppft",
    methods=(
        Method(
            name="ppft.Server.submit",
            dispatch=Dispatch.ASYNC,
            style=Style.SINGLE,
            also_styles=frozenset({Style.MAP}),  # the library has no map: an item as it is, one call each
            returns=Returns.APPLY_RESULT,
            ask=submit,
            lazy=True,
            ordered=True,
            parallel=True,
            refills=True,
            serializer="source text",
            on_raise="None; the traceback is printed on stdout",
            on_death="waits for ever, and the dead worker swallows every later task",
            surveyed=Surveyed(dispatch=Dispatch.ASYNC, style=Style.SINGLE, returns=Returns.NONE),
            aliases=("pp.Server.submit", "pathos.pp.pp.Server.submit", "pathos.parallel.pp.Server.submit"),
            note="the article says that nothing is returned directly; it is a task to be called. "
            "We give it workers that start again when they die, and read a task only when it has finished",
        ),
    ),
    open=open_server,
    close=stop,
    kill=stop,
    processes=processes,
    raw=raw,
    start_methods=frozenset(),
    rank=70,
)
